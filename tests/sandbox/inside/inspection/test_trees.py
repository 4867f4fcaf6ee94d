from __future__ import annotations

from pathlib import Path

import pytest

from backend.sandbox.inside.inspection.facts import TEXT_BYTES
from tests.sandbox.inside.inspection.program import Facts, column, look_at


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", '{"a": 1'),
        ("t.json", "[" * 100_000),
        ("t.jsonl", '{"a": 1}\n{"a"'),
        ("t.yaml", "a: [1"),
        ("t.xml", "<a><b></a>"),
    ],
)
def test_broken_content_is_an_error_in_one_line(tmp_path: Path, name: str, content: str) -> None:
    assert look_at(tmp_path, name, content)["error"].isprintable()


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        pytest.param("t.json", '{"a": [1, 2], "b": [3, 4]}', {"rows": 2}, id="equal columns"),
        pytest.param("t.json", '{"a": [1, 2], "b": [3]}', {"preview": '{"a": [1, 2], "b": [3]}'},
                     id="unequal columns"),
        pytest.param("t.json", '[{"a": 1}, 2]', {"preview": '[{"a": 1}, 2]'}, id="mixed"),
        pytest.param("t.jsonl", "[1]\n[2]\n", {"rows": 2, "rows_exact": True}, id="lists"),
        pytest.param("t.jsonl", '{"a": "x\u2028y"}\n', {"rows": 1}, id="separator in a text"),
        pytest.param("t.yaml", "a: 1\n---\nb: 2\n", {"structure": [
            "$: list of 2", "$[]: object with 1 keys", "$[].a: int", "$[].b: int",
        ]}, id="two documents"),
    ],
)  # fmt: skip
def test_trees_are_told_as_what_they_are(
    tmp_path: Path, name: str, content: str, wanted: Facts
) -> None:
    facts = look_at(tmp_path, name, content)
    assert "error" not in facts
    assert {key: facts[key] for key in wanted} == wanted


def test_a_long_file_of_lines_is_estimated_from_its_beginning(tmp_path: Path) -> None:
    line = '{"a": 1, "text": "' + "x" * 80 + '"}\n'
    rows = 2 * TEXT_BYTES // len(line)
    facts = look_at(tmp_path, "t.jsonl", line * rows)
    assert not facts["rows_exact"]
    assert facts["rows"] == pytest.approx(rows, rel=0.01)
    assert facts["facts_from_first_rows"] == pytest.approx(rows / 2, rel=0.01)
    assert column(facts, "a")["max"] == 1


def test_a_tree_too_large_to_parse_shows_its_beginning(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.json", '["' + "x" * TEXT_BYTES + '"]')
    assert "not parsed" in facts["note"]
    assert facts["preview"][0].startswith('["xxx')
