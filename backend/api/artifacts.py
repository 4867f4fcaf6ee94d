"""What programs wrote, as it goes out: files of the owner's, with links to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.api.state import Server
from backend.errors import NotFound
from backend.types import ArtifactRef

Kept = Mapping[tuple[str, str], dict[str, Any]]
"""Artifacts that are files already: name and SHA-256 -> what describes them."""

_ESCAPED = str.maketrans({character: f"\\{character}" for character in "[]\\`*_<>"})


async def keep_artifact(
    reference: ArtifactRef,
    server: Server,
    owner: str,
    base_url: str,
    *,
    session_id: str | None = None,
) -> dict[str, Any]:
    """Make a file of an artifact and describe it, with a link that a browser can open.

    It goes with the conversation ``session_id`` when that is deleted.
    """
    file = await server.files.add_artifact(reference, owner=owner, session_id=session_id)
    return {
        "id": file.id,
        "name": reference["name"],
        "media_type": reference["media_type"],
        "size": reference["size"],
        "url": server.links.url(base_url, file.id, owner=owner),
    }


async def keep_artifacts(
    references: Iterable[ArtifactRef],
    server: Server,
    owner: str,
    base_url: str,
    kept: Kept | None = None,
    *,
    session_id: str | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The same for all of an answer, of a name that was written again the last one.

    Returns:
        What describes them; and a sentence about each that is gone by now.
    """
    newest = {reference["name"]: reference for reference in references}
    found: list[dict[str, Any]] = []
    lost: list[str] = []
    for name, each in newest.items():
        described = (kept or {}).get((name, each["sha256"]))
        try:
            found.append(
                described
                or await keep_artifact(each, server, owner, base_url, session_id=session_id)
            )
        except NotFound:
            lost.append(f"The file {name[:80]!r} could not be kept: its bytes were removed.")
    return found, lost


def as_markdown(artifacts: Sequence[Mapping[str, Any]]) -> str:
    """Pictures and links, to follow an answer's words; '' when there are none."""
    lines = []
    for artifact in artifacts:
        name = str(artifact["name"]).translate(_ESCAPED)
        mark = "!" if str(artifact["media_type"]).startswith("image/") else ""
        lines.append(f"{mark}[{name}]({artifact['url']})")
    return "\n\n" + "\n\n".join(lines) if lines else ""
