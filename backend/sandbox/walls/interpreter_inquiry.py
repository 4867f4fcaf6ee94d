"""Ask another Python for its facts, whatever it is that the setting names."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.errors import SandboxUnavailable
from backend.sandbox.walls import interpreter_facts
from backend.sandbox.walls.interpreter_facts import Facts

_OLDEST = (3, 10)
"""What runs inside the walls is written for it."""
_MARK = "python-coder asked: "
"""Begins the line of the answer: packages may print something at every start."""
_STARTER = f"""\
import sys
if sys.version_info < {_OLDEST}:
    answer = '{{"version": [%d, %d]}}' % sys.version_info[:2]
else:
    module = {{"__name__": "__main__"}}
    exec(sys.argv[1], module)
    answer = module["as_json"]()
sys.stdout.write("\\n" + sys.argv[2] + answer + "\\n")
sys.stdout.flush()
"""
"""Any Python can read it, one of 2005 too; else it could not say that it is too old."""
_MAX_ANSWER = 1 << 20
"""Bytes; a name such as /usr/bin/yes would fill the memory."""
_MAX_QUOTED = 200
_TEXTS = ("implementation", "abi", "executable", "prefix", "base_prefix", "base_exec_prefix")
_LISTS = ("standard_library", "path", "site_packages", "libraries")
_NAME_ONE = (
    "Name a Python such as /path/to/venv/bin/python, or a virtual environment's folder; "
    "without the setting, programs run with the Python that runs us."
)


def ask(executable: Path, *, timeout_s: float) -> Facts:
    """Run a Python once, away from our folder and environment, and let it tell its facts.

    Args:
        executable: a Python, or the folder of a virtual environment; ``~`` and relative paths are
            understood, and the bare name of a command.
        timeout_s: seconds it may take to answer.

    Raises:
        SandboxUnavailable: it is no Python that programs can run with; names the setting.
    """
    program = _program(executable)
    source = Path(interpreter_facts.__file__).read_text(encoding="utf-8")
    # Not -I: what its user has installed for himself belongs to it.
    argv = [program, "-B", "-c", _STARTER, source, _MARK]
    try:
        said, in_time = _run(argv, timeout_s)
    except OSError as error:
        raise _unusable(executable, f"which cannot be started: {error.strerror}") from error
    answer = _answer(said)
    if answer is None and not in_time:
        raise _unusable(executable, f"which has not answered within {timeout_s:g} seconds")
    version = _version(answer or {})
    if version is not None and version < _OLDEST:
        raise _unusable(
            executable,
            "which is Python {}.{}; programs need {}.{} or newer".format(*version, *_OLDEST),
        )
    facts = _facts(version, answer or {})
    if facts is None:
        raise _unusable(executable, f"which does not answer as a Python does: {_quoted(said)}")
    if facts.implementation != "cpython":
        raise _unusable(executable, f"which is {facts.implementation}; programs need CPython")
    if not os.path.isfile(facts.executable):
        raise _unusable(
            executable, f"which calls itself {facts.executable!r}, and there is no such file"
        )
    return facts


def _program(named: Path) -> str:
    """The absolute path of what is to be started; of its links none is resolved."""
    path = Path(os.path.expanduser(named)).absolute()
    if ".." in path.parts:  # beyond a link it leads elsewhere than it looks
        path = Path(os.path.realpath(path.parent), path.name)
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        if len(named.parts) == 1 and (found := shutil.which(named)):
            return os.path.abspath(found)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unusable(named, f"which cannot be found: {reason}") from error
    if not path.is_dir():
        return str(path)
    for name in ("python", "python3"):
        if os.path.isfile(path / "bin" / name):
            return str(path / "bin" / name)
    raise _unusable(named, "a folder without bin/python")


def _run(argv: list[str], timeout_s: float) -> tuple[bytes, bool]:
    """What a program says until it has answered, or ends, and whether that was in time."""
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"HOME": os.path.expanduser("~"), "PATH": os.defpath, "LANG": "C.UTF-8"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            return _listen(process.stdout.fileno(), deadline)
        finally:
            # Whatever it has started may hold its output open for ever.
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


def _listen(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    said = b""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    while len(said) < _MAX_ANSWER:
        left = deadline - time.monotonic()
        if left <= 0:
            return said, False
        if not waiting.poll(left * 1000):
            continue
        new = os.read(descriptor, 1 << 16)
        said += new
        if not new or _line(said) is not None:
            break
    return said, True


def _line(said: bytes) -> bytes | None:
    """The line of the answer, once it is complete."""
    _, mark, rest = said.partition(b"\n" + _MARK.encode())
    line, end, _ = rest.partition(b"\n")
    return line if mark and end else None


def _answer(said: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(_line(said) or b"")
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _version(answer: Mapping[str, Any]) -> tuple[int, int] | None:
    match answer.get("version"):
        case [int(major), int(minor)]:
            return major, minor
    return None


def _facts(version: tuple[int, int] | None, answer: Mapping[str, Any]) -> Facts | None:
    """The facts in an answer, if it has them all and they can be paths."""
    texts = {name: answer.get(name) for name in _TEXTS}
    lists = {name: answer.get(name) for name in _LISTS}
    if version is None or not all(isinstance(found, list) for found in lists.values()):
        return None
    found = [*texts.values(), *(text for found in lists.values() for text in found or ())]
    if not all(isinstance(text, str) and "\0" not in text for text in found):
        return None
    paths: dict[str, Any] = {name: tuple(found or ()) for name, found in lists.items()}
    return Facts(version=version, **{**texts, **paths})


def _quoted(said: bytes) -> str:
    words = " ".join(said.decode(errors="replace").split())
    if len(words) > _MAX_QUOTED:
        words = f"... {words[-_MAX_QUOTED:]}"
    return f"it said {words!r}" if words else "it said nothing"


def _unusable(named: Path, why: str) -> SandboxUnavailable:
    return SandboxUnavailable(f"PYTHON_CODE_INTERPRETER is {str(named)!r}, {why}.", _NAME_ONE)
