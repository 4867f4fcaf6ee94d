"""What a tool from elsewhere gave back, as the agents keep it: a text, and files by their content."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.sandbox.file_types import media_type
from backend.tools.toolbox import ToolContext, ToolResult, told
from backend.types import Artifact, ArtifactRef


class Collected:
    """Texts and files of one result, in their order."""

    def __init__(self, tool: str, *, max_file_bytes: int) -> None:
        self._tool = tool
        self._max_file_bytes = max_file_bytes
        self._texts: list[str] = []
        self._files: dict[str, Artifact] = {}

    @property
    def is_empty(self) -> bool:
        """Nothing was given back."""
        return not self._texts and not self._files

    def add_text(self, text: str) -> None:
        """A piece of the observation."""
        if text.strip():
            self._texts.append(text)

    def add_base64(self, data: str, kind: str | None = None, *, uri: str = "") -> None:
        """A file as JSON carries it; one that cannot be read or is too big is only spoken of."""
        if len(data) * 3 // 4 > self._max_file_bytes:
            size = f"{self._max_file_bytes / 1048576:g} MiB"
            self.add_text(f"[{kind or 'file'} left out: it has more than {size}]")
            return
        try:
            content = base64.b64decode(data, validate=False)
        except (binascii.Error, ValueError):
            self.add_text(f"[{kind or 'file'} left out: it cannot be read]")
            return
        self.add_file(content, kind, uri=uri)

    def add_file(self, content: bytes, kind: str | None = None, *, uri: str = "") -> None:
        """Keep bytes, named by where they come from, or else by the tool."""
        name = self._free_name(uri, kind)
        kind = kind or media_type(name, content)
        self._files[name] = Artifact(name=name, media_type=kind, size=len(content), content=content)
        self._texts.append(f"[{kind}, kept as {name}]")

    def _free_name(self, uri: str, kind: str | None) -> str:
        last = PurePosixPath(unquote(urlsplit(uri).path)).name if uri else ""
        name = re.sub(r"[^\w.-]+", "_", last).lstrip(".")[-100:] or self._tool
        if "." not in name:
            name += (mimetypes.guess_extension(kind.partition(";")[0]) if kind else None) or ""
        stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
        number = 1
        while name in self._files:
            number += 1
            name = f"{stem}_{number}{dot}{ending}"
        return name

    async def as_result(self, context: ToolContext, *, success: bool, **details: Any) -> ToolResult:
        """The result; its files are in the store then."""
        artifacts: list[ArtifactRef] = [
            await context.blobs.put_artifact(each) for each in self._files.values()
        ]
        nothing = "(it gave nothing back)" if success else "(it failed without saying why)"
        text = "\n".join(self._texts) or nothing
        return told(
            shorten(text, OBSERVATION_CHARS), success=success, artifacts=artifacts, **details
        )
