"""Values that the program finds defined, as the host has encoded them.

This runs in the program's own process, behind every wall: a pickle may do whatever the program may.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

_SERIES = b"python_coder_series"
_EXTENSION = b"ARROW:extension:name"


class VariableError(Exception):
    """A variable cannot be rebuilt here; says which one and why."""


def decode(encoded: Mapping[str, tuple[str, bytes]]) -> dict[str, Any]:
    """The values by name; each is new and may be changed.

    Raises:
        VariableError: one cannot be rebuilt, such as an object of a library that is missing here.
    """
    values: dict[str, Any] = {}
    for name, (kind, data) in encoded.items():
        try:
            values[name] = _READERS[kind](data)
        except Exception as error:
            raise VariableError(
                f"The variable {name!r} cannot be rebuilt in the sandbox: "
                f"{type(error).__name__}: {error}. Pass plain values, arrays, DataFrames or a file."
            ) from None
    return values


def _from_json(data: bytes) -> Any:
    import json

    return json.loads(data)


def _from_npy(data: bytes) -> Any:
    import numpy

    return numpy.load(io.BytesIO(data), allow_pickle=False)


def _from_arrow(data: bytes) -> Any:
    import pyarrow

    # Threads would count as the program's, and outlive what they are needed for.
    options = pyarrow.ipc.IpcReadOptions(use_threads=False)
    if any(_EXTENSION in (field.metadata or {}) for field in pyarrow.ipc.open_stream(data).schema):
        # Else periods and intervals would come back as the numbers that they are stored as.
        import pandas.core.arrays.arrow.extension_types  # noqa: F401
    with pyarrow.ipc.open_stream(data, options=options) as stream:
        table = stream.read_all()
    frame = table.to_pandas(use_threads=False)
    series = (table.schema.metadata or {}).get(_SERIES)
    return frame if series is None else frame["value"].rename(_from_json(series))


def _from_pickle(data: bytes) -> Any:
    import pickle

    return pickle.loads(data)


_READERS: dict[str, Callable[[bytes], Any]] = {
    "json": _from_json,
    "npy": _from_npy,
    "arrow": _from_arrow,
    "pickle": _from_pickle,
}
