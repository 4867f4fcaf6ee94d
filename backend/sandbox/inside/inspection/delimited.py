"""Delimited texts: CSV, TSV, and other texts that are tables all the same."""

from __future__ import annotations

import csv
import io
import warnings
from typing import Any, NamedTuple

from . import dialects, sampling, tables, texts
from .facts import SHEET_ROWS, Facts

_LOOKED_AT = 200
"""Lines from which the way of writing is told."""


def inspect(name: str) -> Facts:
    """How it is written, how to read it, and its table."""
    return _describe(name, texts.read(name))


def inspect_text(name: str) -> Facts:
    """A .txt that is really a table is described as one."""
    text = texts.read(name)
    return _describe(name, text) if _is_table(text) else texts.describe(name, text)


def inspect_log(name: str) -> Facts:
    """The same of a .log, else the pattern of its lines."""
    text = texts.read(name)
    return _describe(name, text) if _is_table(text) else texts.describe_log(name, text)


def _is_table(text: texts.Text) -> bool:
    lines = [line for line in text.first_lines(50) if line.strip()]
    delimiter, width = dialects.delimiter_of(lines)
    widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
    return len(lines) >= 3 and width > 1 and widths == {width}


def _describe(name: str, text: texts.Text) -> Facts:
    lines = [line for line in text.first_lines(_LOOKED_AT) if line.strip()]
    is_tsv = name.lower().endswith(".tsv")
    delimiter = "\t" if is_tsv else dialects.delimiter_of(lines)[0]
    first_rows = list(csv.reader(lines, delimiter=delimiter))
    if not first_rows:
        raise ValueError("there are no lines in it")
    header = dialects.has_header(first_rows)
    options = _options(text.encoding, delimiter, header, first_rows)
    sample = sampling.take(name, text.encoding)
    if not sample.decodes:
        options["encoding_errors"] = "replace"
    reading = _read(sample, options)
    facts: Facts = {"encoding": text.encoding, "delimiter": delimiter, "header": header}
    if reading.bad_lines:
        options["on_bad_lines"] = "skip"
        facts["note"] = f"lines with too many fields are left out: {reading.bad_lines}"
    shown = "".join(f", {key}={value!r}" for key, value in options.items())
    facts["read_with"] = f"pd.read_csv({name!r}{shown})"
    if sample.whole and reading.complete:
        return {**facts, **tables.describe(reading.frame)}
    rows = max(len(reading.frame), sample.line_breaks - header)
    told = tables.describe(reading.frame, rows=rows, exact=False, spread=reading.spread)
    return {**facts, **told}


def _options(encoding: str, delimiter: str, header: bool, rows: list[list[str]]) -> Facts:
    """What ``pandas.read_csv`` has to be told."""
    return {
        **({} if delimiter == "," else {"sep": delimiter}),
        **({} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}),
        **({} if header else {"header": None}),
        **({"decimal": ","} if dialects.has_decimal_commas(rows[1:], delimiter) else {}),
    }


class _Reading(NamedTuple):
    frame: Any
    complete: bool = True
    """Whether that is all that was given to read."""
    bad_lines: int = 0
    """Lines with too many fields, which are not in the frame."""
    spread: int = 0
    """Rows at the end that do not follow those before."""


def _read(sample: sampling.Sample, options: Facts) -> _Reading:
    import pandas as pd

    warn: Facts = {"low_memory": False, "on_bad_lines": "warn"}
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            frame = pd.read_csv(io.BytesIO(sample.head + sample.rest), **warn, **options)
    except pd.errors.ParserError:
        # A quote that is never closed: the slow engine takes what follows for one field.
        options.update(engine="python", on_bad_lines="skip")
        frame = pd.read_csv(io.BytesIO(sample.head), nrows=SHEET_ROWS, **options)
        return _Reading(frame, complete=len(frame) < SHEET_ROWS)
    bad = sum(str(warning.message).count("Skipping line") for warning in told)
    first = len(frame)
    if sample.rest:
        first = min(first, sample.head.count(b"\n") - ("header" not in options))
    return _Reading(frame, bad_lines=bad, spread=len(frame) - first)
