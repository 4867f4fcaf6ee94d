"""How a delimited text is written: its delimiter, its header, its decimal sign."""

from __future__ import annotations

import csv
import re
from collections import Counter

_NUMBER = re.compile(r"\s*[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?\s*%?")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def delimiter_of(lines: list[str]) -> tuple[str, int]:
    """The delimiter that splits most lines into the same number of fields, and that number."""
    best = (0.0, 0, ",")
    for delimiter in (",", ";", "\t", "|"):
        widths = Counter(len(row) for row in csv.reader(lines[:50], delimiter=delimiter))
        if widths:
            width, times = widths.most_common(1)[0]
            share = times / sum(widths.values())
            if width > 1:
                best = max(best, (round(share, 1), width, delimiter))
    return best[2], best[1] or 1


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it holds no number where numbers follow."""
    first, rest = rows[0], rows[1:]
    numbers = [cell for cell in first if _NUMBER.fullmatch(cell)]
    if not numbers:
        return True
    years = [cell.strip() for cell in numbers]
    if len(numbers) < len(first) and all(_YEAR.fullmatch(year) for year in years):
        return len(years) > 1 and years == sorted(set(years), reverse=years[0] > years[-1])
    return len(numbers) < len(first) and not any(map(_NUMBER.fullmatch, rest[0] if rest else []))


def has_decimal_commas(rows: list[list[str]], delimiter: str) -> bool:
    """Whether numbers are written as ``1,5``."""
    if delimiter == ",":
        return False
    numbers = [cell for row in rows for cell in row if _NUMBER.fullmatch(cell)]
    some = any(_DECIMAL_COMMA.fullmatch(number) for number in numbers)
    return some and not any("." in number for number in numbers)
