"""Delimited texts: CSV, TSV, and other texts that are tables all the same."""

from __future__ import annotations

import csv
import warnings
from typing import Any, NamedTuple

from . import dialects, tables, texts
from .facts import SHEET_ROWS, TABLE_ROWS, Facts


def inspect(name: str) -> Facts:
    """How it is written, how to read it, and its table."""
    return _describe(name, texts.read(name))


def inspect_text(name: str) -> Facts:
    """A .txt or .log that is really a table is described as one."""
    text = texts.read(name)
    lines = [line for line in text.lines()[:50] if line.strip()]
    delimiter, width = dialects.delimiter_of(lines)
    widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
    if len(lines) >= 3 and width > 1 and widths == {width}:
        return _describe(name, text)
    return texts.describe(text)


def _describe(name: str, text: texts.Text) -> Facts:
    lines = [line for line in text.lines()[:200] if line.strip()]
    is_tsv = name.lower().endswith(".tsv")
    delimiter = "\t" if is_tsv else dialects.delimiter_of(lines)[0]
    sample = list(csv.reader(lines, delimiter=delimiter))
    if not sample:
        raise ValueError("there are no lines in it")
    header = dialects.has_header(sample)
    options = _options(text.encoding, delimiter, header, sample)
    reading = _read(name, options)
    facts: Facts = {"encoding": text.encoding, "delimiter": delimiter, "header": header}
    if reading.bad_lines:
        options["on_bad_lines"] = "skip"
        facts["note"] = f"lines with too many fields are left out: {reading.bad_lines}"
    shown = "".join(f", {key}={value!r}" for key, value in options.items())
    facts["read_with"] = f"pd.read_csv({name!r}{shown})"
    if len(reading.frame) < reading.max_rows:
        return {**facts, **tables.describe(reading.frame)}
    rows = max(len(reading.frame), _line_breaks(name) - header)
    return {**facts, **tables.describe(reading.frame, rows=rows, exact=False)}


def _options(encoding: str, delimiter: str, header: bool, sample: list[list[str]]) -> Facts:
    """What ``pandas.read_csv`` has to be told."""
    return {
        **({} if delimiter == "," else {"sep": delimiter}),
        **({} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}),
        **({} if header else {"header": None}),
        **({"decimal": ","} if dialects.has_decimal_commas(sample[1:], delimiter) else {}),
    }


class _Reading(NamedTuple):
    frame: Any
    max_rows: int
    """Where reading stops; a frame with fewer rows is the whole file."""
    bad_lines: int
    """Lines with too many fields, which are not in the frame."""


def _read(name: str, options: Facts) -> _Reading:
    try:
        return _parse(name, options)
    except UnicodeDecodeError:
        # Beyond the part from which the encoding was told.
        options["encoding_errors"] = "replace"
        return _parse(name, options)


def _parse(name: str, options: Facts) -> _Reading:
    import pandas as pd

    warn: Facts = {"low_memory": False, "on_bad_lines": "warn"}
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            frame = pd.read_csv(name, nrows=TABLE_ROWS, **warn, **options)
        bad = sum(str(warning.message).count("Skipping line") for warning in told)
        return _Reading(frame, TABLE_ROWS, bad)
    except pd.errors.ParserError:
        # A quote that is never closed: the slow engine takes what follows for one field.
        options.update(engine="python", on_bad_lines="skip")
        return _Reading(pd.read_csv(name, nrows=SHEET_ROWS, **options), SHEET_ROWS, 0)


def _line_breaks(name: str) -> int:
    with open(name, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
