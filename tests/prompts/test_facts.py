"""File facts within a number of tokens: what goes first and what never goes."""

from __future__ import annotations

from typing import Any

import pytest

from backend.prompts.facts import FACTS_TOKENS, list_facts
from backend.prompts.tokens import estimate_tokens

Facts = dict[str, Any]


def column(name: Any, **more: Any) -> Facts:
    return {"name": name, "dtype": "float64", "min": -1.5, "max": 7, "unique": 40, **more}


def table(name: str = "t.csv", columns: int = 3, **more: Any) -> Facts:
    named = [column(f"measure of {'abcdefgh'[n % 8]} in {n}x", samples=[n]) for n in range(columns)]
    return {
        "name": name,
        "type": "csv",
        "size": 1000,
        "read_with": f"pd.read_csv({name!r})",
        "rows": 3,
        "rows_exact": True,
        "columns": named,
        "preview": [[n] * columns for n in range(5)],
        **more,
    }


def test_no_files_have_no_facts() -> None:
    assert list_facts([]) == ""


def test_a_small_table_is_told_whole() -> None:
    assert list_facts([table(columns=2)]) == (
        "- 't.csv' (csv, 1000 bytes)\n"
        "  read with: pd.read_csv('t.csv')\n"
        "  rows 3\n"
        "  column 'measure of a in 0x' float64: min -1.5; max 7; unique 40; samples [0]\n"
        "  column 'measure of b in 1x' float64: min -1.5; max 7; unique 40; samples [1]\n"
        "  first rows:\n"
        "    [0, 0]\n    [1, 1]\n    [2, 2]\n    [3, 3]\n    [4, 4]"
    )


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "hi"', "\uc774\ub984", "two\nlines", " spaced ", "tab\t", 7, "\\n"]
)
@pytest.mark.parametrize("columns", [1, 300], ids=["described", "named only"])
def test_names_are_python_literals(name: Any, columns: int) -> None:
    facts = table(columns=columns - 1)
    facts["columns"].append(column(name))
    text = list_facts([facts])
    assert f"column {name!r} float64" in text or f", {name!r}" in text
    assert estimate_tokens(text) <= FACTS_TOKENS


@pytest.mark.parametrize("columns", [30, 150, 300])
def test_every_column_is_named_however_many_there_are(columns: int) -> None:
    facts = table(columns=columns)
    names = [one["name"] for one in facts["columns"]]
    if columns > 150:
        shown = facts["columns"][:150]
        facts |= {"columns": shown, "columns_in_all": columns, "column_names": names}
    text = list_facts([facts])
    assert [name for name in names if repr(name) not in text] == []
    assert "pd.read_csv('t.csv')" in text
    assert estimate_tokens(text) <= FACTS_TOKENS


def test_500_columns_of_usual_names_are_all_named() -> None:
    words = ["age", "income", "price", "city", "rate", "total", "mean", "index", "code", "flag"]
    names = [f"{one}_{two}_{n}x" for n in range(5) for one in words for two in words]
    facts = table(columns=0, columns_in_all=500, column_names=names)
    facts["columns"] = [column(name) for name in names[:150]]
    text = list_facts([facts])
    line = next(line for line in text.splitlines() if line.startswith("  all 500 columns: "))
    assert eval(line.removeprefix("  all 500 columns: ")) == names
    assert estimate_tokens(text) <= FACTS_TOKENS


def test_numbered_columns_are_told_by_the_first_and_the_last() -> None:
    names = ["id", *(f"pixel{n}" for n in range(5000)), "pixel7000", "label"]
    facts = table(columns=0, columns_in_all=len(names), column_names=names)
    facts["columns"] = [column(name) for name in names[:150]]
    text = list_facts([facts])
    assert "'id', 'pixel0' to 'pixel4999' (numbered without a gap), 'pixel7000', 'label'" in text


def test_what_goes_first_is_samples_then_ranges_then_dtypes() -> None:
    facts = table(columns=40)
    every = list_facts([facts], 10_000)
    sizes = [estimate_tokens(every) - 1]
    texts = [list_facts([facts], sizes[0])]
    while "column 'measure of h in 39x'" in texts[-1]:
        sizes.append(estimate_tokens(texts[-1]) - 1)
        texts.append(list_facts([facts], sizes[-1]))
    assert [text.count("    [") for text in texts[:2]] == [2, 0]
    assert "samples" in texts[0] and "samples" not in texts[1] and "min -1.5" in texts[1]
    assert "columns: float64: 'measure of a in 0x'" in texts[-1]
    assert "measure of h in 39x" in texts[-1]
    bare = list_facts([facts], estimate_tokens(list_facts([facts], 500)))
    assert "'measure of h in 39x'" in bare


def test_names_that_have_no_room_end_with_a_whole_one_and_a_word_about_the_others() -> None:
    facts = table(columns=150)
    text = list_facts([facts], 300)
    assert estimate_tokens(text) <= 300
    assert text.endswith("x', ... (there are more; no room for them here)")


def test_room_is_shared_and_what_small_files_leave_is_for_the_large() -> None:
    facts = [table("large.csv", 60), *(table(f"small{n}.csv", 1) for n in range(5))]
    text = list_facts(facts)
    assert estimate_tokens(text) <= FACTS_TOKENS
    assert text.count("first rows:") >= 5
    for n in range(60):
        assert f"measure of {'abcdefgh'[n % 8]} in {n}x" in text
    assert estimate_tokens(list_facts(facts[:1])) > FACTS_TOKENS // 6


@pytest.mark.parametrize("count", [2, 40, 500])
def test_many_files_are_all_named_as_far_as_there_is_room(count: int) -> None:
    text = list_facts([table(f"file{n}.csv", 20) for n in range(count)])
    assert estimate_tokens(text) <= FACTS_TOKENS
    if count <= 40:
        assert all(f"'file{n}.csv'" in text for n in range(count))


def test_sheets_share_what_is_left_and_each_says_how_it_is_read() -> None:
    sheets = [table(f"sheet {n}", 30) | {"read_with": f"read sheet {n}"} for n in range(6)]
    book = {"name": "b.xlsx", "type": "xlsx", "size": 9, "sheets": sheets}
    text = list_facts([book | {"sheet_names": [sheet["name"] for sheet in sheets]}])
    assert estimate_tokens(text) <= FACTS_TOKENS
    for sheet in sheets:
        assert f"sheet {sheet['name']!r}" in text
        assert str(sheet["read_with"]) in text
        assert all(repr(one["name"]) in text for one in sheet["columns"])


def test_errors_and_notes_come_before_everything_else() -> None:
    entry = {"name": "x.csv", "type": "csv", "size": 3, "preview": ["a"] * 20, "note": "it is odd"}
    assert list_facts([entry]).splitlines()[1] == "  note: it is odd"


def test_files_of_one_name_say_what_the_request_calls_them() -> None:
    text = list_facts([table("s.csv", given_as="2023/s.csv")])
    assert text.startswith("- 's.csv' (csv, 1000 bytes), in the request: '2023/s.csv'\n")
