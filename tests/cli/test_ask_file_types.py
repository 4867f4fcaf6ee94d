"""A real file of each type through the real command: only the model's words are scripted.

The program that the model is said to write reads the file the way the prompt says, and the answer
comes only if what it printed is what is in the file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from backend.sandbox.file_types import SUPPORTED_FILE_TYPES
from tests.commands import needs_sandbox, run
from tests.sandbox.inside.inspection.samples import make_all
from tests.scripts import APPROVE, act, generate, use_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]


class Told(NamedTuple):
    """What the prompt must say of a type's sample, and what comes of following it."""

    read_with: str
    """NAME stands for the file's."""
    facts: tuple[str, ...]
    value: str
    """An expression of ``data``, which is what was read."""
    printed: str


TABLE = ("column 'city' object", "column 'price' float64: nulls 1; min 1.5; max 2.5", "rows 3")
PEOPLE = ("column 'city' object", "column 'n' int64: min 1; max 2", 'data[0]["city"]: str')
IMAGE = ("width 8; height 6",)
SUM = "data['price'].sum()"
OPENED = "open('NAME', encoding='utf-8')"
SHEET = "pd.read_excel('NAME', sheet_name="
DATABASE = Told(
    "import sqlite3; pd.read_sql_query('SELECT * FROM \"prices\"', "
    "sqlite3.connect('file:NAME?mode=ro&immutable=1', uri=True))",
    ("table 'prices'", "column 'price' float64", "primary key: id", "city -> cities.id"),
    SUM,
    "4.0",
)
PICTURE = Told("import PIL.Image; PIL.Image.open('NAME')", IMAGE, "data.size", "(8, 6)")
YAML = "import yaml; yaml.safe_load(" + OPENED + ")"

TOLD = {
    "csv": Told("pd.read_csv('NAME')", TABLE, SUM, "4.0"),
    "tsv": Told(r"pd.read_csv('NAME', sep='\t')", TABLE, SUM, "4.0"),
    "xlsx": Told(
        SHEET + "'Prices')", ("sheet 'Prices'", "sheet '\uc218\ub7c9'", *TABLE), SUM, "4.0"
    ),
    "xls": Told(SHEET + "'Sheet 1')", ("column 'price' float64", "rows 1"), SUM, "2.5"),
    "ods": Told(SHEET + "'Sheet1')", TABLE, SUM, "4.0"),
    "parquet": Told("pd.read_parquet('NAME')", TABLE, SUM, "4.0"),
    "feather": Told("pd.read_feather('NAME')", TABLE, SUM, "4.0"),
    "sqlite": DATABASE,
    "db": DATABASE,
    "h5": Told(
        "import h5py; h5py.File('NAME', 'r')['group/data'][()]",
        ("path group/data, shape [4, 2], dtype float64", "units m/s"),
        "data.shape",
        "(4, 2)",
    ),
    "nc": Told(
        "import scipy.io; scipy.io.netcdf_file('NAME', mmap=False).variables['heat'][:]",
        ("path heat, shape [3]", "units K", "dimensions time 3"),
        "float(data.sum())",
        "6.0",
    ),
    "npy": Told(
        "np.load('NAME')", ("shape: 2; 3", "min 0.0; max 5.0"), "float(data.sum())", "15.0"
    ),
    "npz": Told("np.load('NAME')['a']", ("name b, shape [2, 2]",), "int(data.sum())", "3"),
    "json": Told(f"import json; pd.DataFrame(json.load({OPENED}))", PEOPLE, "data['n'].sum()", "3"),
    "jsonl": Told(
        f"import json; pd.DataFrame([json.loads(line) for line in {OPENED} if line.strip()])",
        PEOPLE,
        "data['n'].sum()",
        "3",
    ),
    "xml": Told(
        "import xml.etree.ElementTree as ET; ET.parse('NAME').getroot()",
        ("shop/item (2) with attributes 'id'",),
        "sum(int(item.text) for item in data.iter('item'))",
        "3",
    ),
    "yaml": Told(YAML, ('data["a"]["b"]: list of 2',), 'sum(data["a"]["b"])', "3"),
    "yml": Told(YAML, ('data["a"]: int, such as 1',), 'data["a"] + 1', "2"),
    "toml": Told(
        f"import tomllib; tomllib.loads({OPENED}.read())",
        ('data["tool"]["name"]: str',),
        'data["tool"]["name"]',
        "x",
    ),
    "ini": Told(
        "import configparser; data = configparser.ConfigParser(interpolation=None, strict=False); "
        "data.read('NAME', encoding='utf-8'); data",
        ('data["part"]["key"]: str',),
        'data["part"]["key"]',
        "value",
    ),
    "txt": Told(f"{OPENED}.read()", ("lines 2", "second line, with a comma"), "len(data)", "37"),
    "md": Told(f"{OPENED}.read()", ("headings: # Title",), "data.split()[1]", "Title"),
    "log": Told(
        f"{OPENED}.read()",
        ("<time> <level> web: GET <path> took ... (3 of 3 lines)", "levels INFO 2, ERROR 1"),
        "data.count('INFO')",
        "2",
    ),
    "html": Told(
        "pd.read_html('NAME', encoding='utf-8')[0]",
        ("title Prices", "column 'price' float64: min 1.5; max 2.5"),
        SUM,
        "4.0",
    ),
    "py": Told(
        f"{OPENED}.read()",
        ("def area(radius: float) -> float", "import with import sample"),
        "data.count('math')",
        "2",
    ),
    "pdf": Told(
        "import pdfplumber; pdfplumber.open('NAME').pages[0].extract_tables()[0]",
        ("pages 1", "    hello", '["Seoul", "1.5"]'),
        "sum(float(row[1]) for row in data[1:])",
        "4.0",
    ),
    "docx": Told(
        "import docx; [p.text for p in docx.Document('NAME').paragraphs]",
        ("headings: Report", '["a", "b"]; ["c", "d"]'),
        "data[-1]",
        "All went well.",
    ),
    "pptx": Told(
        "import pptx; [[s.text_frame.text for s in slide.shapes if s.has_text_frame] "
        "for slide in pptx.Presentation('NAME').slides]",
        ("slides 1", "titles: Welcome", "first cell"),
        "data[0][0]",
        "Welcome",
    ),
    "png": PICTURE,
    "webp": PICTURE,
    "jpg": PICTURE._replace(facts=(*IMAGE, "exif Model Camera 1")),
    "jpeg": PICTURE._replace(facts=(*IMAGE, "exif Model Camera 1")),
    "gif": PICTURE._replace(facts=(*IMAGE, "frames 2"), value="data.n_frames", printed="2"),
    "zip": Told(
        "import zipfile; zipfile.ZipFile('NAME').open('a.txt').read()",
        ("name b/c.txt, size 20", "types txt 2", "unpacked size 30"),
        "len(data)",
        "10",
    ),
}


GROUPS = {
    "delimited and columnar": ("csv", "tsv", "parquet", "feather"),
    "spreadsheets": ("xlsx", "xls", "ods"),
    "databases": ("sqlite", "db"),
    "arrays": ("h5", "nc", "npy", "npz"),
    "trees": ("json", "jsonl", "xml", "yaml", "yml", "toml", "ini"),
    "texts": ("txt", "md", "log", "html", "py"),
    "documents and archives": ("pdf", "docx", "pptx", "zip"),
    "pictures": ("png", "jpg", "jpeg", "gif", "webp"),
}
"""Files that are asked about together: a process each would take minutes."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    make_all(folder)
    return folder


def test_no_type_is_left_out() -> None:
    assert set(TOLD) == set(SUPPORTED_FILE_TYPES)
    assert sorted(ending for group in GROUPS.values() for ending in group) == sorted(TOLD)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_files_are_answered_from_as_the_prompt_says(
    group: tuple[str, ...], samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = ["import numpy as np", "import pandas as pd"]
    said, printed = "", []
    for ending in group:
        told = TOLD[ending]
        read_with = told.read_with.replace("NAME", f"sample.{ending}")
        parts = [f"read with: {read_with}\n", *told.facts]
        said += _entry(f"- 'sample.{ending}' ({ending}, ", parts)
        code += _reading(read_with, ending, told.value)
        printed.append(f"{ending} has <{told.printed}>")
    answer = ", ".join(printed)
    use_script(
        monkeypatch,
        tmp_path / "script.jsonl",
        act("python_coder", "Read the files"),
        generate("\n".join(code), when=f"(?s)\\A{said}"),
        APPROVE,
        act("finish", answer, when=re.escape("\n".join(printed))),
    )
    files = [part for ending in group for part in ("-f", samples / f"sample.{ending}")]
    done = run("ask", "What is in the files?", *files, "--agent", "react", "-q")
    assert (done.status, done.out) == (0, f"{answer}\n"), done.err


def _entry(head: str, parts: list[str]) -> str:
    """A pattern that fits where each part stands in the file's own entry, in any order."""
    inside = r"(?:(?!\n- ').)*"  # up to the next file's
    return "".join(f"(?=.*?{re.escape(head)}{inside}{re.escape(part)})" for part in parts)


def _reading(read_with: str, ending: str, value: str) -> list[str]:
    """The line as it was told, what it reads being ``data``, and a value of that."""
    *before, last = ast.parse(read_with).body
    return [
        *(ast.unparse(statement) for statement in before),
        f"data = {ast.unparse(last)}",
        f"print('{ending} has <%s>' % ({value},))",
    ]
