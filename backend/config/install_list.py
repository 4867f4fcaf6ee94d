"""The list of packages that may be installed for programs: read, held to what it may say."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_CLAUSE = r"(?:~=|===?|!=|<=?|>=?)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_SPECIFIERS = re.compile(rf"{_CLAUSE}(?:\s*,\s*{_CLAUSE})*")
_OPERATORS = ("~", "=", "!", "<", ">")


def normalised(name: str) -> str:
    """A distribution's name as the package index compares it: ``Foo_Bar`` is ``foo-bar``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_install_list(text: str) -> Mapping[str, str]:
    """Normalised names of distributions with their version specifiers, '' for any version.

    Args:
        text: ``openpyxl, PyYAML>=6,<7``: names as the package index writes them.

    Raises:
        ValueError: an entry is not of that form; extras, URLs, paths and options are none.
    """
    listed: dict[str, str] = {}
    for entry in _entries(text):
        found = _NAME.match(entry)
        rest = entry[found.end() :].strip() if found else entry
        if found is None or (rest and not _SPECIFIERS.fullmatch(rest)):
            raise ValueError(
                f"{entry!r} is no name of a distribution with version specifiers; write "
                "for instance: lifelines, PyYAML>=6,<7 (no extras, URLs or options)"
            )
        listed[normalised(found.group())] = re.sub(r"\s", "", rest)
    return listed


def _entries(text: str) -> list[str]:
    """Split at commas; what begins with an operator goes on with the entry before it."""
    entries: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.startswith(_OPERATORS) and entries:
            entries[-1] += f",{part}"
        else:
            entries.append(part)
    return entries
