"""Makes one real file of every supported type."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
from pathlib import Path

import pytest

TABLE = {"city": ["Seoul", "Busan", "Seoul"], "price": [1.5, 2.5, None], "n": [1, 2, 3]}


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
        "log": "12:00 started\n12:01 stopped\n",
        "md": "# Title\n\nText\n",
        "py": "def f():\n    return 1\n",
        "html": "<html><title>Prices</title><table><tr><td>1</td></tr></table></html>",
        "xml": "<shop><item>1</item><item>2</item></shop>",
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
        database.close()


def _biff2() -> bytes:
    """A worksheet as Excel 2 wrote it: a heading and a number."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    cell = struct.pack("<HH3s", 0, 0, b"\0\0\0")
    return b"".join(
        (
            record(0x0009, struct.pack("<HH", 7, 0x10)),
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
    with netcdf(folder / "sample.nc", "w") as file:
        file.createDimension("time", 3)
        file.createVariable("heat", "f8", ("time",))[:] = [1, 2, 3]


def _documents(folder: Path) -> None:
    docx = pytest.importorskip("docx")
    pptx = pytest.importorskip("pptx")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    document = docx.Document()
    document.add_heading("Report", 1)
    document.add_paragraph("All went well.")
    document.save(str(folder / "sample.docx"))
    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[0]).shapes.title.text = "Welcome"
    slides.save(str(folder / "sample.pptx"))
    figure.text(0.5, 0.5, "hello")
    figure.savefig(folder / "sample.pdf")


def _pictures(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for ending in ("png", "jpg", "jpeg", "gif", "webp"):
        image.new("RGB", (8, 6), "red").save(folder / f"sample.{ending}")
