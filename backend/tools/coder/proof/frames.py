"""Tables and arrays rebuilt from their encoded form; imports pandas and numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backend.tools.coder.proof.encoded import Malformed, elements, labels, nested, tag_of
from backend.tools.coder.proof.values import as_object

_NUMPY = re.compile(
    r"bool|[<>]?[iuf][1248]|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)|object"
    r"|(datetime64|timedelta64)\[(Y|M|W|D|h|m|s|ms|us|ns)\]|[<>][Mm]8\[(D|s|ms|us|ns)\]"
)
_PANDAS = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|boolean|string|period\[[A-Za-z0-9-]{1,12}\]")
_ZONED = re.compile(r"datetime64\[(s|ms|us|ns), [A-Za-z0-9_/+:-]{1,60}\]")


def build(raw: Mapping[str, Any]) -> Any:
    """An array, a Series, an Index or a DataFrame.

    Raises:
        Malformed: sides that do not fit, or a dtype that is none.
    """
    tag = tag_of(raw)
    if tag == "ndarray":
        nested({**raw, "dtype": "object"})  # the shape fits
        return _array(raw).reshape(raw["shape"])
    if tag == "Index":
        return _index(raw["index"])
    index = _index(raw["index"])
    if tag == "Series":
        return pd.Series(_column(raw, len(index)), index=index, name=_hashable(raw["name"]))
    columns = _index(raw["columns"])
    if len(columns) != len(raw["data"]):
        raise Malformed("columns that do not fit their names")
    data = {place: _column(column, len(index)) for place, column in enumerate(raw["data"])}
    frame = pd.DataFrame(data, index=index)
    frame.columns = columns
    return frame


def _array(column: Mapping[str, Any]) -> Any:
    dtype = str(column["dtype"])
    if re.fullmatch(r"[<>|]?[US]\d+", dtype):
        # Its own width: one that is told could be any.
        found = [as_object(each) for each in column["values"]]
        return np.array(found, dtype="S" if "S" in dtype else "U")
    if not _NUMPY.fullmatch(dtype):
        raise Malformed(f"the dtype {dtype!r:.60}")
    if dtype == "object":
        array: Any = np.empty(len(column["values"]), dtype=object)
        array[:] = [as_object(each) for each in column["values"]]
        return array
    if "complex" in dtype:
        return np.array([as_object(each) for each in column["values"]], dtype=dtype)
    if "imedelta" in dtype or "m8" in dtype:
        spans = ["NaT" if each is None else each for each in column["values"]]
        return np.array(spans, dtype="m8[ns]").astype(dtype)
    if "atetime" in dtype or "M8" in dtype:
        return np.array(column["values"], dtype=dtype)
    if dtype.lstrip("<>").startswith("f"):
        return np.array([float(each) for each in column["values"]], dtype=dtype)
    if not all(type(each) in (int, bool) for each in column["values"]):
        raise Malformed("a column of whole numbers with something else in it")
    return np.array(column["values"], dtype=dtype)


def _column(column: Mapping[str, Any], rows: int) -> Any:
    dtype = str(column["dtype"])
    if not isinstance(column["values"], list) or len(column["values"]) != rows:
        raise Malformed("a column that does not fit its index")
    if dtype == "category":
        elements(column)  # every code is one
        categories = _column(column["categories"], len(column["categories"]["values"]))
        kind = pd.CategoricalDtype(categories, ordered=column["ordered"] is True)
        return pd.Categorical.from_codes(column["values"], dtype=kind)
    if _ZONED.fullmatch(dtype):
        moments = pd.to_datetime(pd.Series(column["values"], dtype="object"), utc=True)
        return pd.array(moments.astype(dtype))
    if _PANDAS.fullmatch(dtype):
        found = [as_object(each) for each in column["values"]]
        return pd.array([pd.NA if each is None else each for each in found], dtype=dtype)
    return _array(column)


def _index(index: Mapping[str, Any]) -> Any:
    if "range" in index:
        labels(index)  # its bounds are some
        start, stop, step = index["range"]
        return pd.RangeIndex(start, stop, step, name=_hashable(index["name"]))
    if "levels" in index:
        sizes = {len(level["values"]) for level in index["levels"]}
        if len(sizes) != 1:
            raise Malformed("levels that do not fit")
        levels = [_column(level, math.prod(sizes)) for level in index["levels"]]
        return pd.MultiIndex.from_arrays(levels, names=[_hashable(each) for each in index["names"]])
    return pd.Index(_column(index, len(index["values"])), name=_hashable(index["name"]))


def _hashable(raw: Any) -> Any:
    name = as_object(raw)
    hash(name)
    return name
