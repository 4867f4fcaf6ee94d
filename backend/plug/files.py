"""Which files of this machine a use of the coder may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class OfferedFiles:
    """Files by name. Whoever names them may be a model, or a stranger: others stay out of reach."""

    files: tuple[str, ...] = ()
    """Paths; they can be named by path or by basename, and all are meant where none is named."""
    folder: str | None = None
    """Each file below it can be named, too, by its path from there."""

    def describe(self) -> str:
        """For a tool's description."""
        listed = ", ".join(Path(path).name for path in self.files)
        parts = [f"It can read these files: {listed}."] if listed else []
        if self.folder is not None:
            parts.append("Name the files to read in `files`.")
        return " ".join(parts)

    def choose(self, names: Sequence[str] | None) -> list[str]:
        """The paths of the named files. It looks at the disk: not for the event loop.

        Raises:
            NotFound: a name that is none of them.
        """
        if names is None:
            return list(self.files)
        return [self._find(name) for name in names]

    def _find(self, name: str) -> str:
        for path in self.files:
            if name in (path, Path(path).name):
                return path
        if self.folder is not None:
            folder = Path(self.folder).resolve()
            found = (folder / name).resolve()
            if found.is_relative_to(folder) and found.is_file():
                return str(found)
        known = [Path(path).name for path in self.files]
        if self.folder is not None:
            known.append("what lies below the offered folder")
        raise NotFound(
            f"There is no file {name!r} to read here.",
            f"There is {', '.join(known)}." if known else "None was offered.",
        )
