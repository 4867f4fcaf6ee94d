"""Columnar files: Parquet and Feather."""

from __future__ import annotations

from typing import Any

from . import tables
from .facts import TABLE_ROWS, Facts

_CELLS = 2_000_000
"""Of a wide table fewer rows are read."""


def inspect_parquet(name: str) -> Facts:
    """Its table; only the first rows are read."""
    from pyarrow import parquet

    with parquet.ParquetFile(name) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
        wanted = _rows_for(len(schema.names))
        first = next(file.iter_batches(batch_size=wanted), None)
        frame = schema.empty_table().to_pandas() if first is None else first.to_pandas()
    return {
        "read_with": f"pd.read_parquet({name!r})",
        **_index(frame),
        **tables.describe(frame, rows=rows),
    }


def inspect_feather(name: str) -> Facts:
    """Its table."""
    from pyarrow import feather

    table = feather.read_table(name, memory_map=True)
    frame = table.slice(0, _rows_for(table.num_columns)).to_pandas()
    return {
        "read_with": f"pd.read_feather({name!r})",
        **_index(frame),
        **tables.describe(frame, rows=table.num_rows),
    }


def _rows_for(columns: int) -> int:
    return max(100, min(TABLE_ROWS, _CELLS // max(1, columns)))


def _index(frame: Any) -> Facts:
    """The index, where it is more than the rows' numbers."""
    names = [None if name is None else str(name) for name in frame.index.names]
    if names == [None] and frame.index.dtype.kind in "iu":
        return {}
    return {"index": [{"name": name, "dtype": str(frame.index.get_level_values(place).dtype)}
                      for place, name in enumerate(names)]}  # fmt: skip
