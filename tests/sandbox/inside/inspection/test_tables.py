from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.inside.inspection.program import column, look, look_at


def test_column_names_are_exact(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", " price ,\uc774\ub984,a,a\n1,\ucca0\uc218,2,3\n")
    assert [c["name"] for c in facts["columns"]] == [" price ", "\uc774\ub984", "a", "a.1"]


def test_columns_without_a_header_are_named_as_pandas_names_them(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "1,2\n3,4\n5,6\n")
    assert [c["name"] for c in facts["columns"]] == [0, 1]


def test_dates_and_decorated_numbers_that_are_text_are_pointed_out(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", 'd,m\n2024-01-31,"$1,200.50"\n2023-05-01,$3\n')
    day = column(facts, "d")
    assert (day["looks_like"], day["min"], day["max"]) == ("date", "2023-05-01", "2024-01-31")
    assert column(facts, "m")["looks_like"].startswith("number")


def test_values_without_json_form_are_null(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "a\ninf\n1\n")
    assert column(facts, "a")["max"] is None


def test_a_wide_table_tells_its_first_columns_and_how_many_there_are(tmp_path: Path) -> None:
    names = ",".join(f"column_{n}" for n in range(3000))
    cells = ",".join(["x" * 70] * 3000)
    facts = look_at(tmp_path, "t.csv", f"{names}\n{cells}\n{cells}\n")
    assert (len(facts["columns"]), facts["columns_in_all"]) == (150, 3000)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_what_was_read_in_part_says_so_though_its_rows_are_counted(
    tmp_path: Path, ending: str
) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(100_001)})
    getattr(frame, f"to_{ending}")(tmp_path / f"t.{ending}")
    facts = look(tmp_path, f"t.{ending}")[0]
    assert (facts["rows"], facts["rows_exact"]) == (100_001, True)
    assert facts["facts_from_first_rows"] == 100_000


@pytest.mark.parametrize(("long", "named"), [(8, 5000), (200, 300)])
def test_all_columns_are_named_as_far_as_there_is_room(
    tmp_path: Path, long: int, named: int
) -> None:
    names = [f"{n:05}" + "n" * (long - 5) for n in range(5000)]
    facts = look_at(tmp_path, "t.csv", ",".join(names) + "\n" + ",".join("x" * 5000) + "\n")
    assert facts["column_names"] == names[:named]
    assert facts["columns_in_all"] == 5000
    assert [c["name"] for c in facts["columns"]] == names[:150]
    assert facts["dtypes"] == {"object": 5000}
