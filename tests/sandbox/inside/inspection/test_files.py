from __future__ import annotations

from pathlib import Path

import pytest

from backend.sandbox.file_types import SUPPORTED_FILE_TYPES
from backend.sandbox.inside.inspection import files
from tests.sandbox.inside.inspection.program import Facts, column, look, look_at
from tests.sandbox.inside.inspection.samples import make_all


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
    assert samples["sqlite"]["table_names"] == ["cities", "prices", "visits"]
    assert [table["rows"] for table in samples["db"]["tables"]] == [0, 3, 0]
    assert samples["db"]["tables"][0]["primary_key"] == ["id"]
    assert samples["db"]["tables"][2]["foreign_keys"] == ["city -> cities.id"]
    assert samples["json"]["structure"][:2] == ["data: list of 2", "data[0]: object with 2 keys"]
    assert column(samples["jsonl"], "n")["max"] == 2
    assert samples["h5"]["datasets"] == [
        {"path": "group/data", "shape": [4, 2], "dtype": "float64", "attributes": {"units": "m/s"}}
    ]
    assert samples["nc"]["dimensions"] == {"time": 3}
    assert samples["nc"]["datasets"][0]["attributes"] == {"units": "K"}
    assert (samples["npy"]["shape"], samples["npy"]["max"]) == ([2, 3], 5.0)
    assert [a["name"] for a in samples["npz"]["arrays"]] == ["a", "b"]
    assert samples["pdf"]["pages"] == 1
    assert samples["pdf"]["tables_on_pages"][0]["first_rows"][1] == ["Seoul", "1.5"]
    assert samples["docx"]["headings"] == ["Report"]
    assert samples["docx"]["tables_of_text"][0]["first_rows"] == [["a", "b"], ["c", "d"]]
    assert samples["pptx"]["titles"] == ["Welcome"]
    assert (samples["png"]["width"], samples["png"]["height"]) == (8, 6)
    assert samples["jpg"]["exif"] == {"Model": "Camera 1"}
    assert samples["gif"]["frames"] == 2
    assert [m["name"] for m in samples["zip"]["members"]] == ["a.txt", "b/c.txt"]
    assert samples["xml"]["elements"] == [
        "shop (1)", "shop/item (2) with attributes 'id', such as '1'",
    ]  # fmt: skip
    assert samples["html"]["title"] == "Prices"
    assert column(samples["html"]["tables"][0], "price")["max"] == 2.5
    assert 'data["a"]["b"]: list of 2' in samples["yaml"]["structure"]
    assert samples["py"]["defines"] == ["def area(radius: float) -> float"]
    assert samples["log"]["levels"] == {"INFO": 2, "ERROR": 1}
    assert samples["txt"]["lines"] == 2


@pytest.fixture(scope="session")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    """The facts of garbage and of nothing under the name of each type, and of one good file."""
    folder = tmp_path_factory.mktemp("troubles")
    for ending in SUPPORTED_FILE_TYPES:
        (folder / f"garbage.{ending}").write_bytes(bytes(range(256)) * 40)
        (folder / f"empty.{ending}").write_bytes(b"")
    (folder / "good.csv").write_text("a\n1\n", encoding="utf-8")
    kinds = ("garbage", "empty", "gone")
    names = [f"{kind}.{ending}" for ending in SUPPORTED_FILE_TYPES for kind in kinds]
    return {entry["name"]: entry for entry in look(folder, *names, "good.csv")}


@pytest.mark.parametrize("ending", sorted(SUPPORTED_FILE_TYPES))
def test_garbage_and_nothing_give_an_error(ending: str, troubles: dict[str, Facts]) -> None:
    garbage = troubles[f"garbage.{ending}"]
    assert garbage["error"] and "\n" not in garbage["error"]
    assert "empty" in troubles[f"empty.{ending}"]["error"]
    assert "gone" in troubles[f"gone.{ending}"]["error"]


def test_half_of_a_file_is_told_or_is_an_error_and_never_ends_the_inspection(
    tmp_path: Path,
) -> None:
    make_all(tmp_path)
    names = [f"sample.{ending}" for ending in SUPPORTED_FILE_TYPES]
    for name in names:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    told = {entry["name"]: entry for entry in look(tmp_path, *names)}
    assert all(entry.get("error", "").isprintable() for entry in told.values())
    wholly_lost = ("xlsx", "ods", "parquet", "feather", "h5", "npz", "docx", "pptx", "zip", "pdf")
    for ending in wholly_lost:
        entry = told[f"sample.{ending}"]
        assert entry.get("error") or entry.get("note"), entry


def test_a_file_that_takes_too_long_is_told_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.log").write_text("2024-01-01 a 1\n" * 100_000, encoding="utf-8")
    facts = files.inspect("t.log", seconds=0.0005)
    assert facts["note"] == "size only: looking into it took more than 0.0005 seconds"


def test_files_that_cannot_be_read_do_not_stop_the_others(troubles: dict[str, Facts]) -> None:
    assert troubles["good.csv"]["rows"] == 1


def test_an_unknown_type_is_size_only(tmp_path: Path) -> None:
    assert look_at(tmp_path, "t.xyz", "abc") == {
        "name": "t.xyz", "type": "xyz", "size": 3, "note": "size only",
    }  # fmt: skip


def test_files_in_subfolders_and_odd_names_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert look_at(tmp_path, "sub/\ud55c\uae00 \u2011 x.csv", "a\n1\n")["rows"] == 1


def test_no_files_give_an_empty_list(tmp_path: Path) -> None:
    assert look(tmp_path) == []
