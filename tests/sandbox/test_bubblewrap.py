"""Where the project may lie: also below the folders that every program gets for itself."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend

pytestmark = pytest.mark.sandbox

SCRIPT = """
import asyncio, json, os, sys
from backend.config.settings import load_settings
from backend.sandbox import ExecutionRequest, open_executor

CODE = '''
import os, sys, numpy
print("numpy", numpy.ones(3).sum(), sys.executable)
first = os.path.join(PLACE, os.path.relpath(sys.prefix, PLACE).split("/")[0])
for attempt in (
    lambda: os.rename(first, PLACE + "/other"),
    lambda: os.mkdir(first + "/mine"),
    lambda: os.rename(sys.prefix, first + "/other"),
    lambda: open(sys.prefix + "/sitecustomize.py", "w"),
    lambda: open(sys.executable + "2", "w"),
):
    try:
        attempt()
        print("DONE")
    except OSError as error:
        print("refused")
open(PLACE + "/scratch", "w").write("x")
'''

async def main():
    place, execution = sys.argv[1:]
    settings = load_settings(execution_dir=execution)
    async with open_executor("local", settings) as executor:
        variables = {"PLACE": place}
        result = await executor.run(ExecutionRequest(code=CODE, variables=variables))
        print(json.dumps([result.stdout, result.stderr, [a.name for a in result.artifacts]]))

asyncio.run(main())
"""


@pytest.fixture(params=["/tmp", "/dev/shm"])
def place(request: pytest.FixtureRequest) -> str:
    if not os.access(request.param, os.W_OK):
        pytest.skip(f"{request.param} cannot be written here")
    return str(request.param)


@pytest.fixture
def environment(place: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        made = Path(folder) / "my project" / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
        yield made


def test_an_interpreter_below_a_private_folder_is_seen_and_cannot_be_changed(
    environment: Path, place: str, tmp_path: Path
) -> None:
    packages = [str(Path(backend.__file__).parent.parent), *site.getsitepackages()]
    finished = subprocess.run(
        [environment / "bin/python", "-c", SCRIPT, place, tmp_path / "execution"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(packages), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "bubblewrap (bwrap) is not installed" in finished.stderr:
        pytest.skip(finished.stderr.strip().splitlines()[-1])
    assert finished.returncode == 0, finished.stderr
    stdout, stderr, artifacts = json.loads(finished.stdout)
    said, *attempts = stdout.splitlines()
    assert said == f"numpy 3.0 {environment}/bin/python", stderr
    assert attempts == ["refused"] * 5
    assert artifacts == []
