from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.sandbox.file_types import SUPPORTED_FILE_TYPES
from backend.sandbox.inside import inspection
from tests.sandbox_inside.files import make_all

PROGRAM = Path(inspection.__file__).read_text(encoding="utf-8")
Facts = dict[str, Any]


def look(folder: Path, *names: str) -> list[Facts]:
    """Run the program as the sandbox does: its text, in the files' folder."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names], cwd=folder, capture_output=True, check=True
    )
    entries = json.loads(done.stdout)
    assert [entry["name"] for entry in entries] == list(names)
    return entries  # type: ignore[no-any-return]


def look_at(folder: Path, name: str, content: str | bytes) -> Facts:
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    return look(folder, name)[0]


def column(facts: Facts, name: object) -> Facts:
    return next(c for c in facts["columns"] if c["name"] == name)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    """The facts of one real file of each type."""
    folder = tmp_path_factory.mktemp("samples")
    make_all(folder)
    names = [f"sample.{ending}" for ending in SUPPORTED_FILE_TYPES]
    return {entry["type"]: entry for entry in look(folder, *names)}


def test_there_are_34_types_each_with_a_media_type() -> None:
    assert len(SUPPORTED_FILE_TYPES) == 34
    assert all(
        "/" in media and not key.startswith(".") for key, media in SUPPORTED_FILE_TYPES.items()
    )


@pytest.mark.parametrize("ending", SUPPORTED_FILE_TYPES)
def test_every_type_gives_facts(ending: str, samples: dict[str, Facts]) -> None:
    facts = samples[ending]
    assert "error" not in facts
    assert facts["size"] > 0
    assert len(facts) > 3 or facts["note"] == "size only"


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "feather"])
def test_tables_tell_exact_columns_dtypes_nulls_and_ranges(
    ending: str, samples: dict[str, Facts]
) -> None:
    facts = samples[ending]
    assert (facts["rows"], facts["rows_exact"]) == (3, True)
    assert [c["name"] for c in facts["columns"]] == ["city", "price", "n"]
    price = column(facts, "price")
    assert (price["dtype"], price["nulls"], price["min"], price["max"]) == ("float64", 1, 1.5, 2.5)
    assert column(facts, "city")["categories"] == ["Seoul", "Busan"]
    assert facts["preview"][0] == ["Seoul", 1.5, 1]


@pytest.mark.parametrize("ending", ["xlsx", "ods", "xls"])
def test_workbooks_tell_each_sheet(ending: str, samples: dict[str, Facts]) -> None:
    sheet = samples[ending]["sheets"][0]
    assert column(sheet, "price")["max"] == 2.5
    if ending == "xlsx":
        assert samples[ending]["sheet_names"] == ["Prices", "\uc218\ub7c9"]


def test_other_kinds_tell_what_matters(samples: dict[str, Facts]) -> None:
    assert samples["sqlite"]["tables"][0]["name"] == "prices"
    assert samples["db"]["tables"][0]["rows"] == 3
    assert samples["json"]["structure"][:2] == ["$: list of 2", "$[]: object with 2 keys"]
    assert column(samples["jsonl"], "n")["max"] == 2
    assert samples["h5"]["datasets"] == [
        {"path": "group/data", "shape": [4, 2], "dtype": "float64"}
    ]
    assert samples["nc"]["dimensions"] == {"time": 3}
    assert (samples["npy"]["shape"], samples["npy"]["max"]) == ([2, 3], 5.0)
    assert [a["name"] for a in samples["npz"]["arrays"]] == ["a", "b"]
    assert samples["pdf"]["pages"] == 1
    assert samples["docx"]["headings"] == ["Report"]
    assert samples["pptx"]["titles"] == ["Welcome"]
    assert (samples["png"]["width"], samples["png"]["height"]) == (8, 6)
    assert [m["name"] for m in samples["zip"]["members"]] == ["a.txt", "b/c.txt"]
    assert samples["xml"]["elements"] == {"item": 2, "shop": 1}
    assert samples["html"]["title"] == "Prices"
    assert "$.a.b: list of 2" in samples["yaml"]["structure"]
    assert samples["txt"]["lines"] == 2


# --- delimited text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"a;b\n1,5;x\n2,5;y\n", {"delimiter": ";", "header": True}),
        (b"a|b|c\n1|2|3\n4|5|6\n", {"delimiter": "|", "header": True}),
        (b"1,2,3\n4,5,6\n7,8,9\n", {"delimiter": ",", "header": False}),
        (b"country,2019,2020\nKorea,1,2\nJapan,3,4\n", {"header": True}),
        (b"only\nx\ny\n", {"delimiter": ",", "header": True, "rows": 2}),
        ("\ufeffa,b\n1,2\n".encode(), {"encoding": "utf-8-sig"}),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("\uc774\ub984,\ub098\uc774\n\ucca0\uc218,3\n".encode("cp949"), {"encoding": "cp949"}),
        (b"a,b\n1,2\n3,4,5,6\n7,8\n", {"rows": 2}),
        (b'a,b\n"x\ny",2\n', {"rows": 1}),
        (b"a,b\n", {"rows": 0}),
        (b"a,b\n1,2\n1,2\n", {"duplicate_rows": 1}),
    ],
)
def test_delimited_text_is_understood(tmp_path: Path, content: bytes, wanted: Facts) -> None:
    facts = look_at(tmp_path, "t.csv", content)
    assert {key: facts[key] for key in wanted} == wanted


def test_decimal_commas_become_numbers_and_the_way_to_read_them_is_told(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "a;b\n1,5;x\n2,5;y\n")
    assert column(facts, "a")["max"] == 2.5
    assert facts["read_with"] == "pd.read_csv('t.csv', sep=';', decimal=',')"


def test_column_names_are_exact(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", " price ,\uc774\ub984,a,a\n1,\ucca0\uc218,2,3\n")
    assert [c["name"] for c in facts["columns"]] == [" price ", "\uc774\ub984", "a", "a.1"]


def test_dates_and_decorated_numbers_that_are_text_are_pointed_out(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", 'd,m\n2024-01-31,"$1,200.50"\n2023-05-01,$3\n')
    day = column(facts, "d")
    assert (day["looks_like"], day["min"], day["max"]) == ("date", "2023-05-01", "2024-01-31")
    assert column(facts, "m")["looks_like"].startswith("number")


def test_a_long_table_is_counted_but_read_in_part(tmp_path: Path) -> None:
    rows = inspection.TABLE_ROWS + 10
    facts = look_at(tmp_path, "t.csv", "a,b\n" + "1,2\n" * rows)
    assert (facts["rows"], facts["rows_exact"]) == (rows, False)
    assert facts["facts_from_first_rows"] == inspection.TABLE_ROWS


def test_a_wide_table_stays_within_bounds(tmp_path: Path) -> None:
    names = ",".join(f"column_{n}" for n in range(3000))
    cells = ",".join(["x" * 70] * 3000)
    facts = look_at(tmp_path, "t.csv", f"{names}\n{cells}\n{cells}\n")
    assert facts["columns_in_all"] == 3000
    assert len(json.dumps(facts)) <= inspection.OUTPUT_CHARS


def test_a_text_file_that_is_a_table_is_told_as_one(tmp_path: Path) -> None:
    assert look_at(tmp_path, "t.txt", "a;b\n1;2\n3;4\n")["delimiter"] == ";"


# --- trouble ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", sorted(SUPPORTED_FILE_TYPES))
def test_garbage_and_nothing_give_an_error_and_do_not_stop_the_others(
    ending: str, tmp_path: Path
) -> None:
    garbage = bytes(range(256)) * 40
    (tmp_path / f"garbage.{ending}").write_bytes(garbage)
    (tmp_path / f"empty.{ending}").write_bytes(b"")
    (tmp_path / "good.csv").write_text("a\n1\n", encoding="utf-8")
    bad, empty, gone, good = look(
        tmp_path, f"garbage.{ending}", f"empty.{ending}", f"gone.{ending}", "good.csv"
    )
    assert bad["error"] and "\n" not in bad["error"]
    assert "empty" in empty["error"]
    assert "gone" in gone["error"]
    assert good["rows"] == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", '{"a": 1'),
        ("t.json", "[" * 100_000),
        ("t.yaml", "a: [1"),
        ("t.npy", b"\x93NUMPY\x01\x00"),
        ("t.xml", "<a><b></a>"),
    ],
)
def test_broken_content_is_an_error_in_one_line(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    assert look_at(tmp_path, name, content)["error"].isprintable()


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "error" in look(tmp_path, "t.npy")[0]


def test_an_unknown_type_is_size_only(tmp_path: Path) -> None:
    assert look_at(tmp_path, "t.xyz", "abc") == {
        "name": "t.xyz", "type": "xyz", "size": 3, "note": "size only",
    }  # fmt: skip


def test_values_without_json_form_are_null(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "a\ninf\n1\n")
    assert column(facts, "a")["max"] is None


def test_files_in_subfolders_and_odd_names_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert look_at(tmp_path, "sub/\ud55c\uae00 \u2011 x.csv", "a\n1\n")["rows"] == 1


def test_no_files_give_an_empty_list(tmp_path: Path) -> None:
    assert look(tmp_path) == []
