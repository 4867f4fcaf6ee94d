"""Tables and arrays as plain JSON: a column is a dtype and a list of values.

Numbers are numbers, and texts where they are infinite or NaN; what is missing in a column that has a
sign for it is null; times are text, those of a zone in UTC; durations are nanoseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Encode = Callable[[Any], Any]
"""Gives the form of one value among others."""

_LARGEST = sys.float_info.max


def as_json(pandas: Any, value: Any, encode: Encode, tag: str) -> dict[str, Any]:
    """A DataFrame, a Series or an Index."""
    numpy: Any = sys.modules["numpy"]
    if isinstance(value, pandas.Index):
        return {tag: "Index", "index": _index(pandas, numpy, value, encode)}
    index = _index(pandas, numpy, value.index, encode)
    if isinstance(value, pandas.Series):
        column = _column(pandas, numpy, value, encode)
        return {tag: "Series", "name": encode(value.name), "index": index, **column}
    # By position: of two columns with one name there would be a table.
    data = [_column(pandas, numpy, value.iloc[:, place], encode) for place in range(value.shape[1])]
    columns = _index(pandas, numpy, value.columns, encode)
    return {tag: "DataFrame", "columns": columns, "index": index, "data": data}


def plain(numpy: Any, values: Any, encode: Encode) -> dict[str, Any]:
    """A flat array: its dtype and its values."""
    kind = values.dtype.kind
    found: list[Any]
    if kind in "biu":
        found = values.tolist()
    elif kind == "f":
        found = [each if -_LARGEST <= each <= _LARGEST else repr(each) for each in values.tolist()]
    elif kind == "M":
        found = numpy.datetime_as_string(values).tolist()
    elif kind == "m":
        found = [
            None if missing else each
            for each, missing in zip(
                values.astype("m8[ns]").astype("i8").tolist(), numpy.isnat(values), strict=True
            )
        ]
    else:
        found = [encode(each) for each in values.tolist()]
    return {"dtype": str(values.dtype), "values": found}


def _column(pandas: Any, numpy: Any, values: Any, encode: Encode) -> dict[str, Any]:
    dtype = values.dtype
    types = pandas.api.types
    if isinstance(dtype, numpy.dtype):
        return plain(numpy, values.to_numpy(), encode)
    if isinstance(dtype, pandas.CategoricalDtype):
        categories = _column(pandas, numpy, dtype.categories, encode)
        codes = pandas.Categorical(values).codes.tolist()
        ordered = bool(dtype.ordered)
        return {"dtype": "category", "categories": categories, "ordered": ordered, "values": codes}
    if isinstance(dtype, pandas.DatetimeTZDtype):
        moments = values.to_numpy(dtype="M8[ns]")
        return {"dtype": str(dtype), "values": numpy.datetime_as_string(moments).tolist()}
    if isinstance(dtype, pandas.PeriodDtype) or types.is_string_dtype(dtype):
        found = [None if each is pandas.NA or each is pandas.NaT else str(each) for each in values]
        return {"dtype": str(dtype), "values": [encode(each) for each in found]}
    if types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype):
        found = [None if each is pandas.NA else each for each in values]
        return {"dtype": str(dtype), "values": [encode(each) for each in found]}
    return {"dtype": "object", "values": [encode(each) for each in values]}


def _index(pandas: Any, numpy: Any, index: Any, encode: Encode) -> dict[str, Any]:
    if isinstance(index, pandas.RangeIndex):
        name = encode(index.name)
        return {"range": [index.start, index.stop, index.step], "name": name}
    if isinstance(index, pandas.MultiIndex):
        levels = [
            _column(pandas, numpy, index.get_level_values(place), encode)
            for place in range(index.nlevels)
        ]
        return {"levels": levels, "names": [encode(name) for name in index.names]}
    return {**_column(pandas, numpy, index, encode), "name": encode(index.name)}
