"""DataFrames and Series as Arrow tables, where that gives them back exactly."""

from __future__ import annotations

import json
from typing import Any

import pandas
import pyarrow

_SERIES = b"python_coder_series"
"""Metadata of a table that is one Series: its name as JSON."""


def as_table(value: Any) -> Any:
    """The table; None where Arrow cannot take the value, or would change anything about it."""
    is_series = isinstance(value, pandas.Series)
    if value.attrs or not value.flags.allows_duplicate_labels:
        return None
    if is_series and not (value.name is None or type(value.name) is str):
        return None
    frame = value.to_frame("value") if is_series else value
    if not _is_faithful(frame):
        return None
    try:
        table = pyarrow.Table.from_pandas(frame)
        back = table.to_pandas()
    except Exception:  # anything a column may hold that Arrow has no type for
        return None
    if not _is_same(frame, back):
        return None
    if is_series:
        metadata = {**(table.schema.metadata or {}), _SERIES: json.dumps(value.name).encode()}
        table = table.replace_schema_metadata(metadata)
    return table


def least_bytes(value: Any) -> int:
    """What it takes up in memory at the least, told at once however large it is."""
    used = value.memory_usage(deep=False)
    return int(used if isinstance(value, pandas.Series) else used.sum())


def _is_faithful(frame: Any) -> bool:
    """Objects are texts or None: of others, such as lists and NaN, Arrow makes something else."""
    parts = [frame.iloc[:, place] for place in range(frame.shape[1])]
    parts += [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    parts += [part.cat.categories for part in parts if hasattr(part, "cat")]
    return all(
        all(type(item) is str or item is None for item in part)
        for part in parts
        if part.dtype == object
    )


def _is_same(frame: Any, back: Any) -> bool:
    if list(frame.dtypes) != list(back.dtypes) or frame.shape != back.shape:
        return False
    for one, other in ((frame.index, back.index), (frame.columns, back.columns)):
        if type(one) is not type(other) or one.dtype != other.dtype:
            return False
        if not one.identical(other) or getattr(one, "freq", None) != getattr(other, "freq", None):
            return False
    return bool(frame.equals(back))
