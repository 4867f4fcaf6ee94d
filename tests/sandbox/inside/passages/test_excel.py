from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import pytest

from backend.sandbox.inside.passages import excel

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def write(path: Path, rows: str, *, texts: str = "", styles: str = "", about: str = "") -> Path:
    parts = {
        "xl/workbook.xml": (
            f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}">{about}<sheets>'
            '<sheet name="Data" sheetId="1" r:id="rId1"/><sheet name="Gone" r:id="rId9"/>'
            "</sheets></workbook>"
        ),
        "xl/_rels/workbook.xml.rels": (
            f'<Relationships xmlns="{PACKAGE}">'
            '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
            '<Relationship Id="rId2" Target="/xl/sharedStrings.xml"/>'
            '<Relationship Id="rId3" Target="styles.xml"/></Relationships>'
        ),
        "xl/worksheets/sheet1.xml": (
            f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        ),
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{texts}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in parts.items():
            archive.writestr(part, text)
    return path


def lines(path: Path) -> list[tuple[int, str]]:
    return [(unit.number, unit.text) for unit in excel.rows(str(path))]


def test_cells_of_every_type_are_read_where_they_stand(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.xlsx",
        '<row r="3"><c r="B3" t="s"><v>0</v></c><c r="C3"><v>12.50</v></c></row>'
        '<row r="7"><c r="A7" t="b"><v>1</v></c><c r="B7" t="e"><v>#N/A</v></c>'
        '<c r="C7" t="str"><f>A1</f><v>made</v></c><c r="D7"><v>1.2E3</v></c></row>'
        '<row><c t="inlineStr"><is><t>in </t><t>line</t></is></c><c t="s"><v>99</v></c>'
        "<c><v>7</v></c></row><row/>",
        texts="<si><r><t>Se</t></r><r><t>oul</t></r><rPh><t>soul</t></rPh></si>",
    )
    assert lines(path) == [
        (3, "Seoul | 12.50"),
        (7, "TRUE | #N/A | made | 1200"),
        (8, "in line |  | 7"),
        (9, ""),
    ]


@pytest.mark.parametrize(
    ("about", "days"),
    [("", 45351), ('<workbookPr date1904="1"/>', 43889)],
    ids=["since 1900", "since 1904"],
)
def test_dates_are_told_by_their_formats(tmp_path: Path, about: str, days: int) -> None:
    path = write(
        tmp_path / "a.xlsx",
        f'<row r="1"><c s="1"><v>{days}</v></c><c s="2"><v>{days}.5</v></c>'
        f'<c s="3"><v>{days}</v></c><c s="4"><v>9e99</v></c></row>',
        styles=(
            '<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm"/>'
            '<numFmt numFmtId="165" formatCode="0&quot; days&quot;[Red]"/></numFmts>'
            '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
            '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/>'
            '<xf numFmtId="165"/><xf numFmtId="22"/></cellXfs>'
        ),
        about=about,
    )
    assert lines(path) == [(1, f"2024-02-29 | 2024-02-29T12:00:00 | {days} | 9e99")]


def test_it_reads_what_openpyxl_reads(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "첫 장"
    book.active.append(["day", None, "amount"])
    book.active.append([datetime.datetime.fromisoformat("2024-02-29T08:30:00"), "x", -0.5])
    book.active["AA4"] = "far"
    book.create_chartsheet("Chart")
    book.create_sheet("Last").append([True, 3])
    path = tmp_path / "a.xlsx"
    book.save(path)
    told = [(unit.part, unit.number, unit.text, unit.head) for unit in excel.rows(str(path))]
    assert [entry for entry in told if entry[2]] == [
        ("sheet '첫 장'", 1, "day |  | amount", ""),
        ("sheet '첫 장'", 2, "2024-02-29T08:30:00 | x | -0.5", "day |  | amount"),
        ("sheet '첫 장'", 4, "far", "day |  | amount"),
        ("sheet 'Last'", 1, "TRUE | 3", ""),
    ]


def test_no_excel_file_is_told_as_such(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(ValueError, match="no Excel file"):
        lines(tmp_path / "a.xlsx")
