"""The file of a notebook: known to be writable before any work is done for it."""

from __future__ import annotations

import os
from pathlib import Path

from backend.cli.writing import write_new, write_over
from backend.errors import MachineError, RequestError


class NotebookFile:
    """Where a notebook is to be written; never over another file unless that is wanted."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Look whether it can be written.

        Raises:
            RequestError: it is there already, or its folder is not there or cannot be written to.
        """
        self.path = path.absolute()
        self._overwrite = overwrite
        folder = self.path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise self._refusal(f"{str(folder)!r} is no folder that can be written to")
        if self.path.is_dir() or (self.path.exists() and not overwrite):
            raise self._refusal("it is there already")

    def write(self, text: str) -> Path:
        """Write it whole, or leave what was there.

        Raises:
            MachineError: the disk is full or the like.
            RequestError: somebody else has written it meanwhile.
        """
        try:
            write = write_over if self._overwrite else write_new
            write(self.path, text.encode("utf-8"))
        except FileExistsError:
            raise self._refusal("it is there already") from None
        except OSError as error:
            raise MachineError(
                f"The notebook {str(self.path)!r} cannot be written: {error.strerror or error}.",
                "Make room there, or name another file.",
            ) from None
        return self.path

    def _refusal(self, why: str) -> RequestError:
        return RequestError(
            f"The notebook {str(self.path)!r} cannot be written: {why}.",
            "Name another file, or give --overwrite to replace one.",
        )
