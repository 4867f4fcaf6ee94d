"""The same walls when the server is not root. As root, the tests become somebody else first."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import backend
from backend.sandbox.walls.probe import blocked_namespaces

pytestmark = pytest.mark.sandbox

SCRIPT = """
import asyncio, json, os, sys
from pathlib import Path
from backend.config.settings import load_settings
from backend.sandbox import ExecutionRequest, open_executor

PROGRAMS = {
    "plain": "import os; print(os.getuid(), os.getpid())",
    "numpy": "import numpy; print(numpy.ones(3).sum())",
    "shadow": "print('ran'); open('/etc/shadow')",
    "socket": "import socket; print('ran'); socket.socket()",
    "usr": "print('ran'); open('/usr/x', 'w')",
    "dev": "print('ran'); open('/dev/x', 'w')",
    "keeper": '''import os
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
for name in ("mem", "environ", "fd/3", "root"):
    try: open(f"/proc/1/{name}", "rb").read(1); print("opened", name)
    except OSError: pass
print("alive")''',
    "input": "print(open('in.txt').read()); open('in.txt', 'w')",
    "forks": "import os\\nprint('ran', flush=True)\\nwhile True:\\n  try: os.fork()\\n  except OSError: pass",
    "locked": "import os; print('ran'); open('part.txt', 'w').write('x'); os.chmod('.', 0)",
    "hidden": '''import ctypes, os, time
print('ran', flush=True)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
for _ in range(4):
    if not os.fork(): mine = b'x' * (150 << 20); time.sleep(60)
time.sleep(60)''',
    "memory": "print('ran')\\nx = []\\nwhile True: x.append(b'x' * (4 << 20))",
    "loop": "open('part.txt', 'w').write('x'); print('ran')\\nwhile True: pass",
}

async def main():
    Path("in.txt").write_text("input")
    found = {"uid": os.getuid()}
    async with open_executor("local", load_settings(execution_dir=Path("execution"))) as executor:
        found["isolation"] = executor.isolation.as_dict()
        for name, code in PROGRAMS.items():
            request = ExecutionRequest(code=code, files={"in.txt": "in.txt"}, timeout_s=4)
            result = await executor.run(request)
            found[name] = [result.stdout, result.stopped_by, result.stderr[-300:],
                           [artifact.name for artifact in result.artifacts]]
    found["left"] = sorted(path.name for path in Path("execution").glob("run-*"))
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.fixture
def somebody(tmp_path: Path) -> list[str]:
    """A command that runs Python with our packages as a user that is not root."""
    if os.getuid() != 0:
        return [sys.executable]
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    setpriv = shutil.which("setpriv")
    if not python or not setpriv:
        pytest.skip("install python3 and util-linux (setpriv) of the distribution")
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    if asked.stdout.strip() != minor:
        pytest.skip(f"needs Python {minor} at {python}, whose packages these are")
    nobody = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    readable = subprocess.run(
        [*nobody, "test", "-r", backend.__file__], capture_output=True, check=False
    )
    if readable.returncode:
        pytest.skip(f"another user cannot read {backend.__file__}")
    os.chown(tmp_path, 65534, 65534)
    for folder in tmp_path.parents:
        if folder != Path(tempfile.gettempdir()) and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(0o755)
    return [*nobody, python]


def test_an_ordinary_user_gets_the_same_walls(somebody: list[str], tmp_path: Path) -> None:
    packages = [str(Path(backend.__file__).parent.parent), *site.getsitepackages()]
    finished = subprocess.run(
        [*somebody, "-c", SCRIPT],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(packages), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode and (forbidden := blocked_namespaces()):
        pytest.skip(f"user namespaces are forbidden here. {forbidden}")
    if "bubblewrap (bwrap) is not installed" in finished.stderr:
        pytest.skip(finished.stderr.strip().splitlines()[-1])
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["uid"] != 0
    assert {"user namespace", "no network", "seccomp", "unprivileged user"} <= set(
        found["isolation"]["walls"]
    )
    assert found["plain"][0] == "65534 2\n"
    assert found["keeper"][0] == "alive\n"
    assert found["numpy"][0] == "3.0\n"
    assert found["input"][0] == "input\n"
    for name in ("shadow", "socket", "usr", "dev"):
        assert (found[name][0], found[name][1]) == ("ran\n", None), name
        assert "Error" in found[name][2], name
    assert "Error" in found["input"][2]
    assert found["forks"][1] == "processes"
    assert found["memory"][1] == "memory"
    assert found["hidden"][:2] == ["ran\n", "memory"]
    assert (found["locked"][0], found["locked"][3]) == ("ran\n", ["part.txt"])
    assert found["loop"][:2] == ["ran\n", "timeout"]
    assert found["loop"][3] == ["part.txt"]
    assert found["left"] == []
