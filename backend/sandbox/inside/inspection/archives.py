"""Archives: what is in a ZIP file."""

from __future__ import annotations

from collections import Counter

from .facts import ENTRIES, NAME_CHARS, Facts, short


def inspect(name: str) -> Facts:
    """Names, types and sizes of the members; nothing is unpacked, so that none can explode."""
    import zipfile

    with zipfile.ZipFile(name) as archive:
        members = archive.infolist()
    files = [member for member in members if not member.is_dir()]
    types = Counter(_type_of(member.filename) for member in files)
    facts: Facts = {
        "members": [
            {"name": short(member.filename, NAME_CHARS), "size": member.file_size}
            for member in files[:ENTRIES]
        ],
        "members_in_all": len(files),
        "types": {short(kind, 20): times for kind, times in types.most_common(20)},
        "unpacked_size": sum(member.file_size for member in files),
    }
    if any(member.flag_bits & 1 for member in files):
        facts["note"] = "members are encrypted: a password is needed"
    if files:
        member = files[0].filename
        facts["read_with"] = f"import zipfile; zipfile.ZipFile({name!r}).open({member!r}).read()"
    return facts


def _type_of(member: str) -> str:
    base = member.rpartition("/")[2]
    return base.rpartition(".")[2].lower() if "." in base else "no ending"
