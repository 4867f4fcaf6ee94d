"""What the facts about input files tell the static check and the fixes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How a table's text has to be read."""

    encoding: str = "utf-8"
    delimiter: str = ","


@dataclass(frozen=True, kw_only=True)
class KnownFiles:
    """The files in the working directory, as far as they are known."""

    files: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """File -> every column of its table, or of all its sheets; only where that is complete."""
    formats: Mapping[str, FileFormat] = field(default_factory=dict)


def known_files(names: Iterable[str], facts: Iterable[Mapping[str, Any]] = ()) -> KnownFiles:
    """What is known of the files, from the inspection's facts.

    Args:
        names: every file that lies in the working directory.
        facts: one mapping a file, as ``describe_files`` returns them.
    """
    columns: dict[str, tuple[str, ...]] = {}
    formats: dict[str, FileFormat] = {}
    for entry in facts:
        name = str(entry.get("name"))
        if (found := _columns(entry)) is not None:
            columns[name] = found
        if isinstance(entry.get("encoding"), str) and isinstance(entry.get("delimiter"), str):
            formats[name] = FileFormat(encoding=entry["encoding"], delimiter=entry["delimiter"])
    return KnownFiles(files=tuple(names), columns=columns, formats=formats)


def _columns(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """All columns of a file; None where some may be missing or none has a name."""
    sheets = entry.get("sheets")
    if isinstance(sheets, list) and sheets:
        names = entry.get("sheet_names", sheets)
        parts = [_columns_of_table(sheet) for sheet in sheets if isinstance(sheet, Mapping)]
        if len(parts) != _length(names) or any(part is None for part in parts):
            return None
        return tuple(dict.fromkeys(name for part in parts if part for name in part))
    return _columns_of_table(entry)


def _columns_of_table(table: Mapping[str, Any]) -> tuple[str, ...] | None:
    columns = table.get("columns")
    if not isinstance(columns, list) or not columns or table.get("header") is False:
        return None
    if "column names are probably not" in str(table.get("note")):
        return None
    if any(option in str(table.get("read_with")) for option in ("skiprows", "header=", "names=")):
        return None
    if "columns_in_all" in table:
        columns = table.get("column_names", [])
        if _length(columns) != table["columns_in_all"]:
            return None
    names = [column.get("name") if isinstance(column, Mapping) else column for column in columns]
    exact = [name for name in names if isinstance(name, str) and not name.endswith("\u2026")]
    return tuple(exact) if len(exact) == len(names) else None


def _length(value: object) -> int:
    return len(value) if isinstance(value, Collection) else 0
