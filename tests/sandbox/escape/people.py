"""Who runs the server: we ourselves, and when we are root an ordinary user as well."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import backend
from backend.sandbox.walls.probe import blocked_namespaces
from tests.sandbox.escape.canaries import DISTRIBUTIONS

NOBODY = 65534
ROOT = Path(backend.__file__).parents[1]
_PATIENCE_S = 120
"""No answer for so long is a hanging server."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a program, as the helper told it."""

    stdout: str = ""
    stderr: str = ""
    success: bool = False
    returncode: int | None = None
    stopped_by: str | None = None
    value: str | None = None
    html: str | None = None
    charts: tuple[Any, ...] = ()
    failure: Any = None
    notes: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    walls: tuple[str, ...] = ()
    issues: tuple[str, ...] = ()
    """What the static check refused it for; it was not run then."""
    artifacts: Mapping[str, tuple[int, bytes]]
    """Name -> size and the first KiB."""
    error: str = ""
    """The class and words of an error that the request was answered with."""

    @property
    def attempts(self) -> dict[str, str]:
        """What ``attempt`` said of each of them (see ``cases.PRELUDE``)."""
        lines = (line.removeprefix("# ") for line in self.stdout.splitlines() if line[:2] == "# ")
        return dict(line.split(": ", 1) for line in lines)


class Person:
    """A process of some user in which an engine is open."""

    def __init__(self, process: subprocess.Popen[str], uid: int) -> None:
        self._process = process
        self.uid = uid
        self.walls: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, code: str, *, check: bool = False, **request: Any) -> Answer:
        """Run one program."""
        (answer,) = self.run_together({"code": code, "check": check, **request})
        return answer

    def run_together(self, *requests: Mapping[str, Any]) -> list[Answer]:
        """Run programs at the same time."""
        plain = [{"check": False, **request} for request in requests]
        for request in plain:
            files = request.get("files", {})
            request["files"] = {name: str(path) for name, path in files.items()}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(plain) + "\n")
        self._process.stdin.flush()
        return [_answer(**each) for each in self.read()]

    def read(self) -> Any:
        """The next line of the helper."""
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_S)
        assert ready, f"the server has said nothing for {_PATIENCE_S} s"
        line = self._process.stdout.readline()
        assert line, f"the server has ended: {self._process.stderr and self._process.stderr.read()}"
        return json.loads(line)


def _answer(artifacts: Mapping[str, Any] | None = None, **fields: Any) -> Answer:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    contents = {
        name: (size, base64.b64decode(content))
        for name, (size, content) in (artifacts or {}).items()
    }
    return Answer(artifacts=contents, **{**fields, **lists})


@contextmanager
def open_person(
    command: list[str], folder: Path, secret: str, variables: Mapping[str, str] | None = None
) -> Iterator[Person]:
    """Start the helper; every program has ended and every file is gone when this is left."""
    packages = [str(ROOT), *site.getsitepackages()]
    process = subprocess.Popen(
        [*command, "-m", "tests.sandbox.escape.helper", str(folder / "execution")],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folder),
            "SECRET_TOKEN": secret,
            **(variables or {}),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    person = Person(process, NOBODY if command[0] != sys.executable else os.getuid())
    try:
        person.walls = tuple(_first_words(process)["walls"])
        yield person
        process.stdin.close()
        assert process.wait(_PATIENCE_S) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
    assert list((folder / "execution").glob("run-*")) == []


def _first_words(process: subprocess.Popen[str]) -> Any:
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    if line:
        return json.loads(line)
    said = process.stderr.read()
    if "ermi" in said and (forbidden := blocked_namespaces()):
        pytest.skip(f"user namespaces are forbidden here. {forbidden} {said.splitlines()[-1]}")
    if "bubblewrap (bwrap) is not installed" in said:
        pytest.skip(said.strip().splitlines()[-1])
    raise AssertionError(said)


def ordinary_user() -> list[str]:
    """The command with which root runs Python with our packages as somebody else."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = shutil.which("python3", path=DISTRIBUTIONS)
    setpriv = shutil.which("setpriv")
    if not python or not setpriv:
        pytest.skip("install python3 and util-linux (setpriv) of the distribution")
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    if asked.stdout.strip() != minor:
        pytest.skip(f"needs Python {minor} at {python}, whose packages these are")
    nobody = [setpriv, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    tried = subprocess.run([*nobody, "test", "-r", backend.__file__], check=False)
    if tried.returncode:
        pytest.skip(f"another user cannot read {backend.__file__}")
    return [*nobody, python]
