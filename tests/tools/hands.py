"""What the tools of an agent get to work with: the real engine, a real store, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backend.config.settings import Settings
from backend.store.blobs import BlobStore
from backend.tools.python_executor_engine import PythonExecutor
from backend.tools.toolbox import ToolContext
from backend.types import Event, Execute


class Hands:
    """A tool's context, and the events that a use of it led to."""

    def __init__(self, engine: PythonExecutor, settings: Settings, folder: Path) -> None:
        self.engine = engine
        self.settings = settings
        self.folder = folder
        self.blobs = BlobStore(folder / "blobs")
        self.events: list[Event] = []

    def context(
        self, files: Mapping[str, Path] | None = None, execute: Execute | None = None
    ) -> ToolContext:
        return ToolContext(
            settings=self.settings,
            execute=execute or self.engine.execute,
            blobs=self.blobs,
            files=files or {},
            emit=self.events.append,
        )

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
