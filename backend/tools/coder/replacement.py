"""Other data for a program: which file stands for which, and whether it has what is needed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from backend.errors import RequestError
from backend.foreign_code import parse
from backend.tools.coder.recall import columns_of

_SHOWN = 20


def match_files(expected: Iterable[str], given: Iterable[str]) -> dict[str, str]:
    """Which given file is read under which of the names that a program knows.

    By its name; else by its type, where one file of that type is given and one is needed.

    Args:
        expected: the names that the program knows.
        given: the names of the files that there are.

    Returns:
        Known name -> given name, of all that were given.

    Raises:
        RequestError: it cannot be told what a file stands for; names both sides.
    """
    known, given = list(expected), list(given)
    matched = {name: name for name in given if name in known}
    left = [name for name in given if name not in matched]
    for name in left:
        fitting = [other for other in known if other not in matched and _type(other) == _type(name)]
        rivals = [other for other in left if _type(other) == _type(name)]
        if len(fitting) != 1 or len(rivals) != 1:
            raise _no_place(name, known)
        matched[fitting[0]] = name
    return matched


def _type(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _no_place(name: str, known: Sequence[str]) -> RequestError:
    if not known:
        return RequestError(
            f"{name!r} was given, and the program reads no files.", "Leave it out.", param="files"
        )
    reads = ", ".join(map(repr, known[:_SHOWN]))
    return RequestError(
        f"It cannot be told what {name!r} stands for: the program reads {reads}.",
        "Give it under the name of the file that it replaces.",
        param="files",
    )


def compare_columns(
    code: str,
    seen: Mapping[str, Sequence[str]],
    facts: Sequence[Mapping[str, Any]],
    shown: Mapping[str, str],
) -> list[str]:
    """Whether the new files have the columns that the program's run had seen.

    Args:
        code: the program.
        seen: known name -> the columns of that file then.
        facts: of the files now, under the known names.
        shown: known name -> what the file is called where it comes from.

    Returns:
        Sentences about columns that are gone and that the program does not name.

    Raises:
        RequestError: a file cannot be read, or lacks a column that the program names.
    """
    for entry in facts:
        if entry.get("error"):
            raise RequestError(
                f"{shown[entry['name']]!r} cannot be read: {entry['error']}.",
                "Check that the file is whole.",
                param="files",
            )
    now, named, notes = columns_of(facts), _names_in(code), []
    for name in now.keys() & seen.keys():
        gone = [column for column in seen[name] if column not in now[name]]
        needed = [column for column in gone if column in named]
        if needed:
            lacks, has = (", ".join(map(repr, names[:_SHOWN])) for names in (needed, now[name]))
            raise RequestError(
                f"{shown[name]!r}, read as {name!r}, lacks what the program uses: {lacks}. "
                f"It has: {has}.",
                "Rename its columns, or ask for a new program.",
                param="files",
            )
        if gone:
            lacks = ", ".join(map(repr, gone[:_SHOWN]))
            notes.append(f"{shown[name]!r}, read as {name!r}, lacks {lacks}, as far as seen.")
    return notes


def _names_in(code: str) -> frozenset[str]:
    """Whatever in a program can name a column: its texts and its attributes."""
    tree = parse(code)
    nodes = [] if tree is None else list(ast.walk(tree))
    texts = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return frozenset(texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)})
