"""Makes one real file of every supported type."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
from pathlib import Path

import pytest

TABLE = {"city": ["Seoul", "Busan", "Seoul"], "price": [1.5, 2.5, None], "n": [1, 2, 3]}

_CAMERA_MODEL = 0x0110


def make_all(folder: Path) -> None:
    """Write ``sample.<ending>`` for each ending into `folder`."""
    _texts(folder)
    _tables(folder)
    _arrays(folder)
    _documents(folder)
    _pictures(folder)
    with zipfile.ZipFile(folder / "sample.zip", "w") as archive:
        archive.writestr("a.txt", "x" * 10)
        archive.writestr("b/c.txt", "y" * 20)


def _texts(folder: Path) -> None:
    texts = {
        "txt": "first line\nsecond line, with a comma\n",
        "log": (
            "2024-01-31 12:00:05 INFO web: GET /a took 12 ms\n"
            "2024-01-31 12:00:09 ERROR web: GET /b took 950 ms\n"
            "2024-02-01 00:10:00 INFO web: GET /c took 7 ms\n"
        ),
        "md": "# Title\n\nText\n",
        "py": "import math\n\n\ndef area(radius: float) -> float:\n    return math.pi * radius**2\n",
        "html": (
            "<html><title>Prices</title><table><tr><th>city</th><th>price</th></tr>"
            "<tr><td>Seoul</td><td>1.5</td></tr><tr><td>Busan</td><td>2.5</td></tr></table></html>"
        ),
        "xml": "<shop><item id='a'>1</item><item id='b'>2</item></shop>",
        "yaml": "a:\n  b: [1, 2]\n",
        "yml": "a: 1\n",
        "toml": "[tool]\nname = 'x'\n",
        "ini": "[part]\nkey = value\n",
        "csv": "city,price,n\nSeoul,1.5,1\nBusan,2.5,2\nSeoul,,3\n",
        "tsv": "city\tprice\tn\nSeoul\t1.5\t1\nBusan\t2.5\t2\nSeoul\t\t3\n",
        "json": json.dumps([{"city": "Seoul", "n": 1}, {"city": "Busan", "n": 2}]),
        "jsonl": '{"city": "Seoul", "n": 1}\n{"city": "Busan", "n": 2}\n',
    }
    for ending, text in texts.items():
        (folder / f"sample.{ending}").write_text(text, encoding="utf-8")


def _tables(folder: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(TABLE)
    with pd.ExcelWriter(folder / "sample.xlsx") as book:
        frame.to_excel(book, sheet_name="Prices", index=False)
        frame[["n"]].to_excel(book, sheet_name="\uc218\ub7c9", index=False)
    frame.to_excel(folder / "sample.ods", index=False, engine="odf")
    frame.to_parquet(folder / "sample.parquet")
    frame.to_feather(folder / "sample.feather")
    (folder / "sample.xls").write_bytes(_biff2())
    for ending in ("sqlite", "db"):
        with sqlite3.connect(folder / f"sample.{ending}") as database:
            frame.to_sql("prices", database, index=False)
            database.execute("CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT)")
            database.execute("CREATE TABLE visits (city INTEGER REFERENCES cities (id), day TEXT)")
        database.close()


def _biff2() -> bytes:
    """A worksheet as Excel 2 wrote it: a heading and a number."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    cell = struct.pack("<HH3s", 0, 0, b"\0\0\0")
    return b"".join(
        (
            record(0x0009, struct.pack("<HH", 7, 0x10)),
            record(0x0042, struct.pack("<H", 1252)),
            record(0x0004, cell + b"\x05price"),
            record(0x0003, struct.pack("<HH3sd", 1, 0, b"\0\0\0", 2.5)),
            record(0x000A, b""),
        )
    )


def _arrays(folder: Path) -> None:
    np = pytest.importorskip("numpy")
    h5py = pytest.importorskip("h5py")
    netcdf = pytest.importorskip("scipy.io").netcdf_file
    np.save(folder / "sample.npy", np.arange(6.0).reshape(2, 3))
    np.savez(folder / "sample.npz", a=np.arange(3), b=np.eye(2))
    with h5py.File(folder / "sample.h5", "w") as file:
        file["group/data"] = np.zeros((4, 2))
        file["group/data"].attrs["units"] = "m/s"
    with netcdf(folder / "sample.nc", "w") as file:
        file.createDimension("time", 3)
        heat = file.createVariable("heat", "f8", ("time",))
        heat[:] = [1, 2, 3]
        heat.units = "K"


def _documents(folder: Path) -> None:
    docx = pytest.importorskip("docx")
    pptx = pytest.importorskip("pptx")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    document = docx.Document()
    document.add_heading("Report", 1)
    document.add_paragraph("All went well.")
    table = document.add_table(2, 2)
    for cell, text in zip((c for row in table.rows for c in row.cells), "abcd", strict=True):
        cell.text = text
    document.save(str(folder / "sample.docx"))
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[5])
    slide.shapes.title.text = "Welcome"
    slide.shapes.add_table(1, 2, 0, 0, 100, 100).table.cell(0, 0).text = "first cell"
    slides.save(str(folder / "sample.pptx"))
    figure.text(0.1, 0.9, "hello")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.4), frame_on=False, xticks=[], yticks=[])
    axes.table([["city", "price"], ["Seoul", "1.5"], ["Busan", "2.5"]], loc="center")
    figure.savefig(folder / "sample.pdf")


def _pictures(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    red, blue = image.new("RGB", (8, 6), "red"), image.new("RGB", (8, 6), "blue")
    exif = image.Exif()
    exif[_CAMERA_MODEL] = "Camera 1"
    for ending in ("png", "webp"):
        red.save(folder / f"sample.{ending}")
    for ending in ("jpg", "jpeg"):
        red.save(folder / f"sample.{ending}", exif=exif)
    red.save(folder / "sample.gif", save_all=True, append_images=[blue])
