"""Dates and numbers that are kept as text, keys, doubles, and tables with any index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.inside.inspection.program import Facts, column, look, look_at

DATES = {
    "ISO": (["2024-01-31", "2023-05-01"], "%Y-%m-%d", "2023-05-01"),
    "with a time": (["2024-01-31 10:00:00", "2024-01-30 09:30:15"], "%Y-%m-%d %H:%M:%S",
                    "2024-01-30T09:30:15"),
    "ISO with a zone": (["2024-01-31T10:00:00Z"] * 2, "%Y-%m-%dT%H:%M:%S%z",
                        "2024-01-31T10:00:00+00:00"),
    "day first": (["31/01/2024", "01/02/2024"], "%d/%m/%Y", "2024-01-31"),
    "month first": (["01/31/2024", "02/01/2024"], "%m/%d/%Y", "2024-01-31"),
    "either": (["01/02/2024", "03/04/2024"], "%d/%m/%Y or %m/%d/%Y", None),
    "points": (["31.01.2024", "01.02.2024"], "%d.%m.%Y", "2024-01-31"),
    "words": (["5 Jan 2024", "31 Dec 2023"], "%d %b %Y", "2023-12-31"),
    "Korean": (["2024\ub144 1\uc6d4 5\uc77c", "2023\ub144 12\uc6d4 31\uc77c"],
               "%Y\ub144 %m\uc6d4 %d\uc77c", "2023-12-31"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "told", "first"), DATES.values(), ids=DATES)
def test_dates_are_told_with_their_format(
    tmp_path: Path, values: list[str], told: str, first: str | None
) -> None:
    lines = "".join(f"{value};{number}\n" for number, value in enumerate(values))
    day = column(look_at(tmp_path, "t.csv", f"day;n\n{lines}"), "day")
    assert (day["looks_like"], day["date_format"], day.get("min")) == ("date", told, first)


NUMBERS = {
    "with signs": (["$1,200.50", "$3"], {"looks_like": "number written with signs or separators"}),
    "percent": (["15.17%", "2%"], {"looks_like": "number written with signs or separators"}),
    "with a word among them": (["1", "2", "unknown", "4"],
                               {"looks_like": "number", "not_numbers": ["unknown"]}),
    "words": (["a", "b"], {}),
    "words with numbers": (["a", "b", "3"], {}),
    "spaces around": (["x ", " y"], {"note": "values have spaces around them"}),
}  # fmt: skip


@pytest.mark.parametrize(("values", "wanted"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_kept_as_text_are_pointed_out(
    tmp_path: Path, values: list[str], wanted: Facts
) -> None:
    facts = column(look_at(tmp_path, "t.csv", "v;n\n" + "".join(f"{v};1\n" for v in values)), "v")
    told = {key: facts[key] for key in ("looks_like", "not_numbers", "note") if key in facts}
    assert told == wanted


def test_keys_and_doubles_are_told(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "id,code,x\n1,a,0.5\n2,b,0.7\n3,,0.9\n")
    assert [c["name"] for c in facts["columns"] if c.get("likely_key")] == ["id"]
    assert facts["duplicate_rows"] == 0
    assert look_at(tmp_path, "u.csv", "a,b\n1,x\n1,x\n2,y\n1,x\n")["duplicate_rows"] == 2


INDEXES: dict[str, Any] = {
    "dates": lambda pd: pd.date_range("2024-01-01", periods=3, name="day"),
    "texts twice": lambda pd: pd.Index(["a", "a", "b"]),
    "several levels": lambda pd: pd.MultiIndex.from_tuples(
        [(1, "x"), (1, "y"), (2, "x")], names=["n", "s"]
    ),
    "intervals": lambda pd: pd.Index([0.5, None, 2.5], name="gap"),
    "categories": lambda pd: pd.CategoricalIndex(["u", "v", "u"]),
    "rows": lambda pd: pd.RangeIndex(3),
}


@pytest.mark.parametrize("make", INDEXES.values(), ids=INDEXES)
def test_a_table_with_any_index_is_told_exactly(tmp_path: Path, make: Any) -> None:
    pd = pytest.importorskip("pandas")
    index = make(pd)
    frame = pd.DataFrame({"a": [3, 1, 2], "b": ["x", None, "x"]}, index=index)
    frame.to_parquet(tmp_path / "t.parquet")
    facts = look(tmp_path, "t.parquet")[0]
    a, b = column(facts, "a"), column(facts, "b")
    assert (a["min"], a["max"], a["mean"], a["unique"], b["nulls"]) == (1, 3, 2, 3, 1)
    assert (facts["rows"], len(facts["preview"])) == (3, 3)
    names = [entry["name"] for entry in facts.get("index", [])]
    assert names == ([] if isinstance(index, pd.RangeIndex) else list(index.names))


@pytest.mark.parametrize("dtype", ["category", "string", "boolean", "Int64", "timedelta64[ns]"])
def test_columns_of_other_dtypes_are_told(tmp_path: Path, dtype: str) -> None:
    pd = pytest.importorskip("pandas")
    values = {"boolean": [True, None, True], "Int64": [1, None, 3]}.get(dtype, ["1", "2", "1"])
    if dtype.startswith("timedelta"):
        values = pd.to_timedelta([1, 2, 3], unit="h")
    pd.DataFrame({"v": pd.Series(values, dtype=dtype)}).to_parquet(tmp_path / "t.parquet")
    facts = look(tmp_path, "t.parquet")[0]
    assert "error" not in facts
    assert column(facts, "v")["nulls"] == (1 if dtype in ("boolean", "Int64") else 0)
