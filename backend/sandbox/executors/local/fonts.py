"""The list of fonts that matplotlib makes at its first use: made once, given to all that follow.

A zygote that imports matplotlib makes it by itself. Where none does, a program of our own makes it
before the first program that may plot: programs never write what others read.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from backend.sandbox.workspace import Workspaces
from backend.types import Execute, ExecutionRequest

_NAME = re.compile(r"fontlist[\w.-]{1,40}")
_HINT = re.compile(r"matplotlib|pylab|seaborn|plot|hist\(")
_CODE = """
import os, shutil
import matplotlib.font_manager
cache = os.environ["MPLCONFIGDIR"]
for name in os.listdir(cache):
    if name.startswith("fontlist"):
        shutil.copyfile(f"{cache}/{name}", f"/workspace/{name}")
"""
_SECONDS = 60.0


class FontLists:
    """Sees to it that there is one when a program may want it."""

    def __init__(self, workspaces: Workspaces, *, made_by_zygote: bool) -> None:
        self._workspaces = workspaces
        self._lock = asyncio.Lock()
        self._settled = made_by_zygote

    async def prepare_for(self, code: str, run: Execute) -> None:
        """Make the list with ``run`` if ``code`` may want one and there is none yet.

        A failure costs time later, no more; it is not tried again.
        """
        if not self._may_want_one(code):
            return
        async with self._lock:
            if self._may_want_one(code) and not _kept(self._workspaces).is_dir():
                made = await run(ExecutionRequest(code=_CODE, timeout_s=_SECONDS))
                for found in made.artifacts:
                    await asyncio.to_thread(self.keep, found.name, found.content)
            self._settled = True

    def _may_want_one(self, code: str) -> bool:
        return not self._settled and _HINT.search(code) is not None

    def keep(self, name: str, text: bytes) -> None:
        """Keep a list for later ones. Where that cannot be, the next one takes longer, no more."""
        if not _NAME.fullmatch(name):
            return
        with suppress(OSError):
            _kept(self._workspaces).mkdir(exist_ok=True)
            for folder in (_kept(self._workspaces), self._workspaces.runtime / "fonts"):
                fd, unfinished = tempfile.mkstemp(dir=folder)
                with open(fd, "wb") as file:
                    file.write(text)
                os.chmod(unfinished, 0o644)
                os.rename(unfinished, folder / name)


def lay_out_fonts(workspaces: Workspaces) -> None:
    """Show zygotes the lists that were kept."""
    kept = _kept(workspaces)
    if kept.is_dir():
        shutil.copytree(kept, workspaces.runtime / "fonts", dirs_exist_ok=True)
    else:
        (workspaces.runtime / "fonts").mkdir()


def _kept(workspaces: Workspaces) -> Path:
    return workspaces.folder.parent / "fonts"
