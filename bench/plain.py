"""Plain CPython for harmless programs: nothing around them but another user and an empty folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from backend.errors import MachineError

_NOBODY = 65534


async def run_plain(code: str, seconds: float) -> str | None:
    """Run a program to its end or for so many seconds, whatever it starts included.

    As root it is run as nobody, who may write nothing but its folder, and who may read what root
    may, because the interpreter can lie in root's home.

    Returns:
        None when it ended with exit status 0, else the last line it said.

    Raises:
        MachineError: root has no ``setpriv``.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "main.py"
        program.write_text(code, encoding="utf-8", errors="surrogatepass")
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        process = await asyncio.create_subprocess_exec(
            *_as_nobody(),
            sys.executable,
            str(program),
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "MPLBACKEND": "Agg"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            return "time-out"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if process.returncode == 0 else last_line(said.decode(errors="replace"))


def last_line(text: str) -> str:
    """What was said last, for a person to read."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def _as_nobody() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise MachineError(
            "Root would run plain programs as nobody with setpriv, which is not there.",
            "Install util-linux, or measure as an ordinary user.",
        )
    reading = "-all,+dac_read_search"
    return (
        setpriv,
        *(f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs"),
        *(f"--{kind}={reading}" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
    )
