from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.sandbox.inside.inspection.program import look, look_at


def test_a_scanned_pdf_is_told_as_one(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (60, 40), "white").save(tmp_path / "scan.pdf")
    facts = look(tmp_path, "scan.pdf")[0]
    assert facts["pages"] == 1
    assert "scanned" in facts["note"]


def test_an_encrypted_pdf_is_an_error_that_says_so(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    writer.write(tmp_path / "t.pdf")
    assert "encrypted" in look(tmp_path, "t.pdf")[0]["error"]


def test_of_a_long_pdf_the_first_pages_are_read(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter()
    for _ in range(400):
        writer.add_blank_page(100, 100)
    writer.write(tmp_path / "t.pdf")
    assert look(tmp_path, "t.pdf")[0]["pages"] == 400


def test_an_archive_that_would_explode_is_listed_and_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("zeros.csv", "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
        for number in range(2000):
            archive.writestr(f"part{number}.txt", "x")
    facts = look(tmp_path, "t.zip")[0]
    assert facts["members"][0] == {"name": "zeros.csv", "size": 300 << 20}
    assert (facts["members_in_all"], facts["types"]) == (2001, {"txt": 2000, "csv": 1})
    assert len(facts["members"]) == 60


def test_a_python_file_that_does_not_parse_is_told_as_text(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.py", "def f(:\n")
    assert facts["note"].startswith("no Python that can be parsed")
    assert facts["preview"] == ["def f(:"]
