"""The list of fonts that matplotlib makes at its first use: made by one zygote, given to the next."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from backend.sandbox.workspace import Workspaces

_NAME = re.compile(r"fontlist[\w.-]{1,40}")


def lay_out_fonts(workspaces: Workspaces) -> None:
    """Show zygotes the lists that were kept."""
    kept = _kept(workspaces)
    if kept.is_dir():
        shutil.copytree(kept, workspaces.runtime / "fonts", dirs_exist_ok=True)
    else:
        (workspaces.runtime / "fonts").mkdir()


def keep_fonts(workspaces: Workspaces, name: str, text: bytes) -> None:
    """Keep a list for later ones. Where that cannot be, the next one takes longer, no more."""
    if not _NAME.fullmatch(name):
        return
    with suppress(OSError):
        _kept(workspaces).mkdir(exist_ok=True)
        for folder in (_kept(workspaces), workspaces.runtime / "fonts"):
            fd, unfinished = tempfile.mkstemp(dir=folder)
            with open(fd, "wb") as file:
                file.write(text)
            os.chmod(unfinished, 0o644)
            os.rename(unfinished, folder / name)


def _kept(workspaces: Workspaces) -> Path:
    return workspaces.folder.parent / "fonts"
