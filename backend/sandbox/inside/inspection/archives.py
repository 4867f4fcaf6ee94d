"""Archives: what is in a ZIP file."""

from __future__ import annotations

from .facts import ENTRIES, NAME_CHARS, Facts, short


def inspect(name: str) -> Facts:
    """Names and sizes of the members; nothing is unpacked."""
    import zipfile

    with zipfile.ZipFile(name) as archive:
        members = archive.infolist()
    return {
        "members": [
            {"name": short(member.filename, NAME_CHARS), "size": member.file_size}
            for member in members[:ENTRIES]
        ],
        "members_in_all": len(members),
        "unpacked_size": sum(member.file_size for member in members),
    }
