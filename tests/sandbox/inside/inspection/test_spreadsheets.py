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


def test_a_header_below_titles_is_found_and_the_way_to_read_it_is_told(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    lines = [["Sales of 2024", None, None], [None] * 3, ["city", "price", "n"], ["Seoul", 1, 2]]
    path = tmp_path / "t.xlsx"
    pd.DataFrame(lines).to_excel(path, index=False, header=False)
    sheet = look(tmp_path, "t.xlsx")[0]["sheets"][0]
    assert (sheet["header_row"], sheet["above_the_header"]) == (2, ["Sales of 2024"])
    assert [c["name"] for c in sheet["columns"]] == ["city", "price", "n"]
    assert sheet["read_with"] == "pd.read_excel('t.xlsx', sheet_name='Sheet1', header=2)"


def test_a_sheet_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pd.DataFrame([[1, 2], [3, 4]]).to_excel(tmp_path / "t.xlsx", index=False, header=False)
    sheet = look(tmp_path, "t.xlsx")[0]["sheets"][0]
    assert sheet["rows"] == 2
    assert sheet["read_with"].endswith("header=None)")


def test_hidden_sheets_and_sheets_of_charts_are_named(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, 2])
    hidden = book.create_sheet("rates")
    hidden.append(["rate", "name"])
    hidden.append([3, "x"])
    hidden.sheet_state = "hidden"
    book.create_sheet("empty")
    book.create_chartsheet("chart").add_chart(pytest.importorskip("openpyxl.chart").BarChart())
    book.save(tmp_path / "t.xlsx")
    facts = look(tmp_path, "t.xlsx")[0]
    assert facts["sheet_names"][:3] == ["Sheet", "rates", "empty"]
    sheets = {sheet["name"]: sheet for sheet in facts["sheets"]}
    assert sheets["rates"]["hidden"] is True
    assert "hidden" not in sheets["Sheet"]
    assert sheets["empty"]["rows"] == 0
