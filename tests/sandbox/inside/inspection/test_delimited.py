from __future__ import annotations

from pathlib import Path

import pytest

from backend.sandbox.inside.inspection.facts import TABLE_BYTES
from tests.sandbox.inside.inspection.program import Facts, column, look_at


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param(b"a;b\n1,5;x\n2,5;y\n", {"delimiter": ";", "header": True}, id="semicolons"),
        pytest.param(b"a|b|c\n1|2|3\n4|5|6\n", {"delimiter": "|", "header": True}, id="bars"),
        pytest.param(b"1,2,3\n4,5,6\n7,8,9\n", {"delimiter": ",", "header": False}, id="bare"),
        pytest.param(b"country,2019,2020\nKorea,1,2\nJapan,3,4\n", {"header": True}, id="years"),
        pytest.param(b"only\nx\ny\n", {"delimiter": ",", "header": True, "rows": 2}, id="one"),
        pytest.param("\ufeffa,b\n1,2\n".encode(), {"encoding": "utf-8-sig"}, id="mark"),
        pytest.param("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}, id="utf-16"),
        pytest.param(
            "\uc774\ub984,\ub098\uc774\n\ucca0\uc218,3\n".encode("cp949"),
            {"encoding": "cp949"},
            id="cp949",
        ),
        pytest.param(b"a,b\n1,2\n3,4,5,6\n7,8\n", {"rows": 2}, id="a line too long"),
        pytest.param(b'a,b\n"x\ny",2\n', {"rows": 1}, id="line break in a field"),
        pytest.param(b"a,b\n", {"rows": 0}, id="header only"),
        pytest.param(b"a,b\n1,2\n1,2\n", {"duplicate_rows": 1}, id="doubles"),
        pytest.param(b"a,b\r\n1,2\r\n", {"rows": 1, "delimiter": ","}, id="windows line ends"),
    ],
)
def test_delimited_text_is_understood(tmp_path: Path, content: bytes, wanted: Facts) -> None:
    facts = look_at(tmp_path, "t.csv", content)
    assert {key: facts[key] for key in wanted} == wanted


def test_decimal_commas_become_numbers_and_the_way_to_read_them_is_told(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "a;b\n1,5;x\n2,5;y\n")
    assert column(facts, "a")["max"] == 2.5
    assert facts["read_with"] == "pd.read_csv('t.csv', sep=';', decimal=',')"


def test_a_table_is_exact_up_to_a_size_whatever_its_rows(tmp_path: Path) -> None:
    rows = TABLE_BYTES // len("1,2\n") - 10
    facts = look_at(tmp_path, "t.csv", "a,b\n" + "1,2\n" * (rows - 1) + "9,2\n")
    assert (facts["rows"], facts["rows_exact"], facts["facts_exact"]) == (rows, True, True)
    assert column(facts, "a")["max"] == 9


def test_a_larger_table_is_told_from_its_beginning_and_pieces_of_the_rest(tmp_path: Path) -> None:
    lines = [f"{number},{'first' if number < 300_000 else 'last'}\n" for number in range(600_000)]
    facts = look_at(tmp_path, "t.csv", "n,part\n" + "".join(lines))
    assert (facts["rows"], facts["rows_exact"], facts["facts_exact"]) == (600_000, False, False)
    assert facts["facts_from_first_rows"] > 100_000
    assert facts["facts_from_other_rows"] > 10_000
    # The last piece ends with the file; what a line could not begin with is no row.
    number = column(facts, "n")
    assert (number["dtype"], number["min"], number["max"]) == ("int64", 0, 599_999)
    assert set(column(facts, "part")["categories"]) == {"first", "last"}


def test_where_fields_hold_line_breaks_only_the_beginning_is_told(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "n,text\n" + '1,"a\nb"\n' * 600_000)
    assert "facts_from_other_rows" not in facts
    assert column(facts, "text")["categories"] == ["a\nb"]


@pytest.mark.parametrize("encoding", ["utf-16", "cp949"])
def test_a_large_table_in_another_encoding_is_told(tmp_path: Path, encoding: str) -> None:
    facts = look_at(
        tmp_path, "t.csv", ("\uc774\ub984,n\n" + "\ucca0\uc218,1\n" * 700_000).encode(encoding)
    )
    assert facts["encoding"] == encoding
    assert column(facts, "\uc774\ub984")["categories"] == ["\ucca0\uc218"]


def test_a_line_longer_than_what_is_looked_at_does_not_hide_the_columns(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", "a,b\n" + "x" * (3 * TABLE_BYTES) + ",1\n")
    assert [c["name"] for c in facts["columns"]] == ["a", "b"]


def test_a_line_too_long_does_not_make_a_long_table_short(tmp_path: Path) -> None:
    rows = 6000
    facts = look_at(tmp_path, "t.csv", "a,b\n1,2\n3,4,5,6\n" + "1,2\n" * rows)
    assert (facts["rows"], facts["rows_exact"]) == (rows + 1, True)
    assert facts["note"].startswith("lines with too many fields are left out: 1")
    assert facts["read_with"] == "pd.read_csv('t.csv', on_bad_lines='skip')"


def test_a_quote_that_is_never_closed_does_not_hide_the_file(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.csv", 'a,b\n1,"x\n2,y\n' + "3,z\n" * 10)
    assert [c["name"] for c in facts["columns"]] == ["a", "b"]
    assert "engine='python'" in facts["read_with"]


def test_a_wrong_byte_beyond_the_first_look_is_read_over(tmp_path: Path) -> None:
    line = "x" * 60 + ",1\n"
    content = ("a,b\n" + line * 80_000).encode() + b"\xff,2\n"
    facts = look_at(tmp_path, "t.csv", content)
    assert column(facts, "b")["max"] == 2
    assert facts["read_with"] == "pd.read_csv('t.csv', encoding_errors='replace')"


def test_a_text_file_that_is_a_table_is_told_as_one(tmp_path: Path) -> None:
    assert look_at(tmp_path, "t.txt", "a;b\n1;2\n3;4\n")["delimiter"] == ";"
