"""Programs that take the data for something else than it is: columns, files, encodings, values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.sandbox.policy.nearest import nearest
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of

_QUOTED = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"")
_OF_COLUMNS = re.compile(
    r"not in index|are in the \[(?:columns|index)\]|not found in axis|Usecols do not match|"
    r"Missing column provided|Could not interpret value|Column not found|columns are missing|"
    r"not a column|No such column"
)
_FILE = re.compile(
    r"No such file or directory: '((?:[^'\\]|\\.)*)'|(?:File|file) '?([^' ]+)'? (?:does not exist|not found)"
)
_NO_TABLE = re.compile(
    r"no such (table|column): ([\w.\" ]+)|Worksheet named '([^']+)' not found|Worksheet (\S+) (?:does not exist|not found)"
)
_CONVERSIONS = re.compile(
    r"could not convert string|invalid literal for|Unable to parse string|does(?:n't| not) match format|"
    r"unconverted data|Unknown (?:datetime )?string format|day is out of range|month must be in|"
    r"Invalid isoformat|OutOfBounds|out of bounds nanosecond|ConversionSyntax|"
    r"[Cc]annot convert (?:float NaN|non-finite)|contains NaN|contains NaN, infinity|"
    r"must not contain NaN|cannot convert NA|agg function failed|Could not convert .* to numeric|"
    r"time data"
)
_MISSING = re.compile(r"NaN|non-finite|\bNA\b|infinity|missing")
_DATES = re.compile(
    r"time data|datetime|format|isoformat|OutOfBounds|day is|month|unconverted|nanosecond"
)
_ACCESSORS = {
    ".dt accessor": "Convert it first: df[c] = pd.to_datetime(df[c], errors='coerce').",
    ".str accessor": "Convert it first: df[c] = df[c].astype(str).",
    ".cat accessor": "Convert it first: df[c] = df[c].astype('category').",
}
_LISTED = 30


def no_column(case: Case) -> Diagnosis | None:
    """A table has no such column."""
    if case.type not in ("KeyError", "ValueError", "ColumnNotFoundError", "IndexError"):
        return None
    speaks_of_columns = bool(_OF_COLUMNS.search(case.message))
    if case.type == "ValueError" and not speaks_of_columns:
        return None
    wanted = _wanted(case)
    if not wanted or not case.columns or (not speaks_of_columns and _is_of_a_dictionary(case)):
        return None
    missing = [name for name in wanted if name not in case.columns] or list(wanted)
    near = {name: nearest(name, case.columns, n=1) for name in missing[:5]}
    meant = ", ".join(f"{found[0]!r}" for found in near.values() if found)
    names = ", ".join(map(repr, missing[:5]))
    cause = f"There is no column {names}." + (f" Did you mean {meant}?" if meant else "")
    return Diagnosis(
        kind="data",
        root_cause=f"{cause} The columns are: {_listed(case.columns)}.",
        advice=("Use the names exactly as they are, with case and spaces.",),
        signature="data: column",
    )


def _wanted(case: Case) -> tuple[str, ...]:
    if case.type == "KeyError" and not _OF_COLUMNS.search(case.message):
        inner = case.message.strip("'\"")
        return (inner,) if inner and not inner.lstrip("-").isdigit() else ()
    text = case.message.partition("] are in the")[0].partition(", dtype")[0]
    found = [one or two for one, two in _QUOTED.findall(text.replace('"[', "[").replace(']"', "]"))]
    return tuple(dict.fromkeys(found))


def _is_of_a_dictionary(case: Case) -> bool:
    """The values that are seen hold no table, and a dictionary."""
    texts = list(case.variables.values())
    has_table = any(text.startswith(("DataFrame", "Series", "<pandas")) for text in texts)
    return not has_table and any(re.match(r"\{|<\w+ of \d+: \{", text) for text in texts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def no_file(case: Case) -> Diagnosis | None:
    """There is no file of this name."""
    found = _FILE.search(case.message) if case.type in ("FileNotFoundError", "OSError") else None
    return missing_file(case, found[1] or found[2]) if found else None


def missing_file(case: Case, path: str) -> Diagnosis:
    """What to say of a path that is not there."""
    name = path.rstrip("/").rpartition("/")[2]
    near = (
        [path]
        if path in case.files
        else [each for each in case.files if each.rpartition("/")[2] == name]
    )
    near = near or nearest(name, case.files, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    there = (
        f" The files are: {_listed(case.files)}." if case.files else " There are no input files."
    )
    advice = (
        f"Open {near[0]!r}: input files lie in the working directory."
        if near
        else "Use one of the files that are there, or make the data that the request describes."
    )
    return Diagnosis(
        kind="data",
        root_cause=f"There is no file {path!r}.{meant}{there}",
        advice=(advice,),
        signature="data: file",
    )


def no_table(case: Case) -> Diagnosis | None:
    """A database or a workbook has no such table, sheet or column."""
    found = _NO_TABLE.search(case.message)
    if found is None or case.failure is None:
        return None
    wanted = (found[2] or found[3] or found[4] or "").strip()
    if found[1] == "column":
        known: tuple[str, ...] = case.columns
    else:
        parts = [
            part
            for key in ("tables", "sheets")
            for entry in case.facts
            for part in entry.get(key) or ()
        ]
        known = tuple(str(part.get("name")) for part in parts if isinstance(part, Mapping))
    near = nearest(wanted, known, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    there = f" There are: {_listed(known)}." if known else ""
    return Diagnosis(
        kind="data",
        root_cause=f"There is no {found[1] or 'sheet'} {wanted!r}.{meant}{there}",
        advice=("Use the names exactly as they are.",),
        signature=f"data: {found[1] or 'sheet'}",
    )


def unreadable(case: Case) -> Diagnosis | None:
    """A file is not of the form that it is read in."""
    advice = _reading(case)
    if not advice:
        return None
    return Diagnosis(
        kind="data",
        root_cause=f"The data is not in the form that it is read in: {case.message[:300]}",
        advice=(*_read_with(case), advice),
        signature=f"data: {case.type}",
    )


def _reading(case: Case) -> str:
    message, kind = case.message, case.type
    if kind == "UnicodeDecodeError":
        known = [str(entry["encoding"]) for entry in case.facts if entry.get("encoding")]
        return f"Pass encoding={known[0]!r}." if known else "Pass encoding='latin-1' or 'cp949'."
    if kind == "ParserError" and ("tokenizing" in message or "Expected" in message):
        known = [str(entry["delimiter"]) for entry in case.facts if entry.get("delimiter")]
        first = f"Pass sep={known[0]!r}" if known else "Pass the separator that the file has (sep=)"
        return f"{first}; lines before the header are left out with skiprows=."
    if kind == "EmptyDataError":
        return "The file is empty, or skiprows= leaves nothing of it."
    if kind in ("JSONDecodeError", "JSONDecodeException"):
        return "It is not one JSON document: with one a line, use pd.read_json(lines=True) or json.loads for each."
    if (
        kind in ("BadZipFile", "InvalidFileException", "XLRDError")
        or "Excel file format" in message
    ):
        return "The file is no such archive or workbook, whatever its name: look at its type."
    if kind == "Error" and case.failure and case.failure.type == "_csv.Error":
        return "Open it with newline='' and the right encoding and delimiter."
    return ""


def _read_with(case: Case) -> Iterator[str]:
    for entry in case.facts:
        if entry.get("read_with") and str(entry.get("name")) in case.code:
            yield f"Read it with {entry['read_with']}"


def not_convertible(case: Case) -> Diagnosis | None:
    """A value is not what the program takes it for."""
    for accessor, advice in _ACCESSORS.items():
        if accessor in case.message:
            return _value(case, f"A column is not of the type that {accessor} is for.", advice)
    if case.failure is None or not (
        _CONVERSIONS.search(case.message)
        or case.type in ("IntCastingNaNError", "OutOfBoundsDatetime")
    ):
        return None
    where = _column_holding(case)
    cause = f"A value is not what it is taken for{where}: {case.message[:200]}"
    if _MISSING.search(case.message):
        return _value(case, cause, "Deal with missing values first: dropna() or fillna().")
    if _DATES.search(case.message):
        advice = (
            "Use pd.to_datetime(column, errors='coerce'), with format= as the values really are."
        )
        return _value(case, cause, advice)
    return _value(
        case,
        cause,
        "Clean it first (strip blanks, signs and thousands separators), then "
        "pd.to_numeric(column, errors='coerce').",
    )


def _value(case: Case, cause: str, advice: str) -> Diagnosis:
    return Diagnosis(
        kind="data", root_cause=cause, advice=(advice,), signature=signature_of("data", case)
    )


def _column_holding(case: Case) -> str:
    """Which text column the value in the message is seen in, or could be of."""
    values = [one or two for one, two in _QUOTED.findall(case.message)]
    columns = [
        column
        for entry in case.facts
        for column in entry.get("columns") or ()
        if isinstance(column, Mapping)
    ]
    for column in columns:
        if any(value in map(str, _samples(column)) for value in values):
            return f" (column {column.get('name')!r} holds such values)"
    named = [
        str(column.get("name"))
        for column in columns
        if case.frame and str(column.get("name")) in case.frame.source
    ]
    return f" (column {named[0]!r})" if named else ""


def _samples(column: Mapping[str, Any]) -> list[Any]:
    samples = column.get("samples") or column.get("values") or []
    return samples if isinstance(samples, list) else []
