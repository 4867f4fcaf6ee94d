from __future__ import annotations

import json
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
            "data: list of 2", "data[0]: object with 1 keys",
            'data[0]["a"]: int, such as 1, in 1 of 2 looked at',
            'data[0]["b"]: int, such as 2, in 1 of 2 looked at',
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
    assert facts["facts_from_first_rows"] == pytest.approx(rows / 4, rel=0.01)
    assert column(facts, "a")["max"] == 1


def test_paths_lead_to_what_they_say(tmp_path: Path) -> None:
    data = {
        "items": [{"price": 1.5, "it's": [1]}, {"price": None, "tags": ["a"]}],
        'say "hi"': {"\uc774\ub984": True},
    }
    structure = look_at(tmp_path, "t.json", json.dumps(data))["structure"]
    assert structure == [
        "data: object with 2 keys",
        'data["items"]: list of 2',
        'data["say \\"hi\\""]: object with 1 keys',
        'data["items"][0]: object with 2 keys',
        'data["say \\"hi\\""]["\uc774\ub984"]: bool, such as true',
        'data["items"][0]["price"]: float | NoneType, such as 1.5',
        'data["items"][0]["it\'s"]: list of 1, in 1 of 2 looked at',
        'data["items"][0]["tags"]: list of 1, in 1 of 2 looked at',
        'data["items"][0]["it\'s"][0]: int, such as 1',
        'data["items"][0]["tags"][0]: str, such as "a"',
    ]
    for path in (line.partition(": ")[0] for line in structure[:-3]):
        eval(path, {"data": data})


def test_lines_of_different_shapes_are_told_together(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.jsonl", '{"a": 1, "v": {"x": 1}}\n{"a": "1", "w": [2]}\n')
    assert facts["structure"][2:5] == [
        'data[0]["a"]: int | str, such as 1',
        'data[0]["v"]: object with 1 keys, in 1 of 2 looked at',
        'data[0]["w"]: list of 1, in 1 of 2 looked at',
    ]
    assert column(facts, "v")["holds"] == "dict with keys 'x'"


def test_values_without_a_hash_take_no_longer_than_others(tmp_path: Path) -> None:
    # Each used to be compared with all others: a minute for these.
    lines = "".join(f'{{"v": {{"x": {number}}}}}\n' for number in range(60_000))
    facts = look_at(tmp_path, "t.jsonl", lines)
    assert "note" not in facts
    assert facts["rows"] == 60_000


@pytest.mark.parametrize("indent", [None, 1])
def test_a_tree_too_large_to_parse_is_told_from_its_beginning(
    tmp_path: Path, indent: int | None
) -> None:
    items = [{"id": n, "tags": ["a, b", 'say "]"'], "in": {"x": n}} for n in range(90_000)]
    facts = look_at(tmp_path, "t.json", json.dumps({"meta": 1, "items": items}, indent=indent))
    assert "first 250000 characters" in facts["note"]
    assert 'data["items"][0]["in"]["x"]: int, such as 0' in facts["structure"]
    assert any(line.startswith('data["items"]: list of ') and "or more" in line
               for line in facts["structure"])  # fmt: skip


def test_a_tree_of_one_value_too_large_to_parse_shows_its_beginning(tmp_path: Path) -> None:
    facts = look_at(tmp_path, "t.json", '["' + "x,[" * TEXT_BYTES + '"]')
    assert "not parsed" in facts["note"]
    assert facts["preview"][0].startswith('["x,[x')
