"""Columnar files: Parquet and Feather."""

from __future__ import annotations

from . import tables
from .facts import TABLE_ROWS, Facts


def inspect_parquet(name: str) -> Facts:
    """Its table; only the first rows are read."""
    from pyarrow import parquet

    with parquet.ParquetFile(name) as file:
        first = next(file.iter_batches(batch_size=TABLE_ROWS), None)
        rows = file.metadata.num_rows
        frame = file.schema_arrow.empty_table().to_pandas() if first is None else first.to_pandas()
    return {"read_with": f"pd.read_parquet({name!r})", **tables.describe(frame, rows=rows)}


def inspect_feather(name: str) -> Facts:
    """Its table."""
    from pyarrow import feather

    table = feather.read_table(name, memory_map=True)
    frame = table.slice(0, TABLE_ROWS).to_pandas()
    return {
        "read_with": f"pd.read_feather({name!r})",
        **tables.describe(frame, rows=table.num_rows),
    }
