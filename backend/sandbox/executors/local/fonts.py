"""The list of fonts that matplotlib makes at its first use, made once and given to every run."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from backend.sandbox.walls.interpreter import Interpreter
from backend.sandbox.workspace import Workspaces
from backend.types import ExecutionResult

_HINT = re.compile(r"matplotlib|pylab|seaborn|plot|hist\(")
_CODE = """
import os, shutil
import matplotlib.font_manager
cache = os.environ["MPLCONFIGDIR"]
for name in os.listdir(cache):
    if name.startswith("fontlist"):
        shutil.copyfile(f"{cache}/{name}", f"/workspace/{name}")
"""


class FontCache:
    """Made by matplotlib itself inside the walls, before the first program that may plot.

    It is kept in the execution folder for the executors after this one; programs get copies.
    """

    def __init__(self, interpreter: Interpreter, workspaces: Workspaces) -> None:
        self._version = _matplotlib(interpreter)
        self._shown = workspaces.runtime / "fonts"
        self._kept = workspaces.folder.parent / "fonts"
        self._lock = asyncio.Lock()
        self._ready = self._version is None

    def is_wanted(self, code: str) -> bool:
        """Whether a program may plot and the list is not there yet."""
        return not self._ready and _HINT.search(code) is not None

    async def prepare(self, run: Callable[[str], Awaitable[ExecutionResult]]) -> None:
        """Make the list with ``run`` unless it is there; a failure costs time later, no more."""
        async with self._lock:
            if self._ready:
                return
            kept = self._kept / str(self._version)
            if not kept.is_dir():
                result = await run(_CODE)
                await asyncio.to_thread(_keep, result, kept)
            if kept.is_dir():
                await asyncio.to_thread(shutil.copytree, kept, self._shown, dirs_exist_ok=True)
            self._ready = True


def _matplotlib(interpreter: Interpreter) -> str | None:
    """The version that programs will import, told by its folder: the host imports nothing."""
    for packages in interpreter.packages:
        for found in Path(packages).glob("matplotlib-*.dist-info"):
            return found.name
    return None


def _keep(result: ExecutionResult, place: Path) -> None:
    lists = [found for found in result.artifacts if re.fullmatch(r"fontlist[\w.-]+", found.name)]
    if not (result.success and lists):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=place.parent))
    unfinished.chmod(0o755)
    for found in lists:
        (unfinished / found.name).write_bytes(found.content)
    try:
        os.rename(unfinished, place)
    except OSError:  # another executor was faster
        shutil.rmtree(unfinished, ignore_errors=True)
