from __future__ import annotations

from pathlib import Path

import pytest

from backend.sandbox.inside.inspection.facts import SHEET_ROWS
from tests.sandbox.inside.inspection.program import look


@pytest.mark.parametrize(("ending", "told"), [("xlsx", SHEET_ROWS + 7), ("ods", SHEET_ROWS)])
def test_a_long_sheet_is_read_in_part_and_counted_where_the_file_tells(
    tmp_path: Path, ending: str, told: int
) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(SHEET_ROWS + 7)})
    frame.to_excel(str(tmp_path / f"t.{ending}"), index=False)
    sheet = look(tmp_path, f"t.{ending}")[0]["sheets"][0]
    assert (sheet["rows"], sheet["rows_exact"]) == (told, False)
    assert sheet["facts_from_first_rows"] == SHEET_ROWS


def test_names_that_are_not_in_the_first_row_are_suspected(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([["Sales of 2024", None, None], ["city", "price", "n"], ["Seoul", 1, 2]])
    frame.to_excel(tmp_path / "t.xlsx", index=False, header=False)
    sheet = look(tmp_path, "t.xlsx")[0]["sheets"][0]
    assert sheet["note"] == "the column names are probably not in the first row"
