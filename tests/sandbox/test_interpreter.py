"""What of this machine's Python is shown inside, and that nothing lies beside it."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

import backend

SCRIPT = """
import asyncio, json, sys
from backend.config.settings import load_settings
from backend.sandbox import ExecutionRequest, open_executor

CODE = '''
import os, subprocess, sys, numpy
print("numpy", numpy.ones(3).sum())
print(os.path.exists(HOME + "/.ssh/id_rsa"), os.path.exists(HOME + "/bin/backup.sh"))
for name in (sys.executable, "python3"):
    subprocess.run([name, "-c", "import json, sys; print(sys.prefix == " + repr(sys.prefix) + ")"])
'''

async def main():
    home, execution = sys.argv[1:]
    async with open_executor("local", load_settings(execution_dir=execution)) as executor:
        result = await executor.run(ExecutionRequest(code=CODE, variables={"HOME": home}))
        print(json.dumps([result.stdout, result.stderr]))

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a link to the interpreter in its ``bin``, and with secrets."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_rsa").write_text("secret")
    (folder / "bin").mkdir()
    (folder / "bin" / "backup.sh").write_text("secret")
    (folder / "versions").symlink_to(Path(sys.base_prefix))
    name = f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin" / "python3").symlink_to(f"../versions/{name}")
    return folder


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["a virtual environment", "the link itself"])
def test_a_link_to_the_interpreter_does_not_show_the_folders_around_it(
    home: Path, tmp_path: Path, kind: str
) -> None:
    python = home / "bin" / "python3"
    if kind == "a virtual environment":
        venv = tmp_path / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        python = venv / "bin" / "python3"
    packages = [str(Path(backend.__file__).parent.parent), *site.getsitepackages()]
    execution = tmp_path / "execution"
    done = subprocess.run(
        [str(python), "-c", SCRIPT, str(home), str(execution)],
        env={**os.environ, "PYTHONPATH": ":".join(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "bubblewrap (bwrap) is not installed" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    stdout, stderr = json.loads(done.stdout)
    assert stdout == "numpy 3.0\nFalse False\nTrue\nTrue\n", stderr
