from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.sandbox.inside.inspection.output import MAX_BYTES, as_json
from tests.sandbox.inside.inspection.program import look

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=200),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(["preview", "columns", "samples", "structure", "sheets", "note2"])
ENTRIES = st.fixed_dictionaries(
    {"name": st.text(max_size=2000), "type": st.text(max_size=20), "size": st.integers(0, 2**40)},
    optional={"error": st.text(max_size=300).map(lambda said: f"ValueError: {said}")},
)


@given(st.lists(st.tuples(ENTRIES, st.dictionaries(KEYS, VALUES)), max_size=8), st.integers(0))
def test_the_text_is_never_longer_than_it_may_be(
    parts: list[tuple[dict[str, Any], dict[str, Any]]], more: int
) -> None:
    entries = [{**more_facts, **entry} for entry, more_facts in parts]
    room = 500 * (len(entries) + 1) + more % 5000
    text = as_json(entries, room)
    assert len(f"{text}\n".encode()) <= room
    told = json.loads(text)
    assert [entry["type"] for entry in told] == [entry["type"] for entry in entries]
    assert ["error" in entry for entry in told] == ["error" in entry for entry in entries]


def test_500_files_have_room_whatever_they_are_called() -> None:
    entry = {"name": "\uac00" * 1300, "type": "parquet", "size": 50 * 2**20, "error": "OSError: x"}
    assert len(as_json([entry] * 500, MAX_BYTES)) < MAX_BYTES


def test_what_is_said_of_a_large_file_does_not_cost_the_small_ones_their_details() -> None:
    small = {"name": "small.csv", "preview": [[1]], "columns": [{"name": "a", "samples": [1]}]}
    large = {"name": "large.csv", "preview": ["x" * 900], "columns": [{"name": "b"}]}
    told = json.loads(as_json([large, small], 600))
    assert told[1] == small
    assert told[0] == {
        "name": "large.csv",
        "columns": [{"name": "b"}],
        "note": "shortened: there is more in it than fits here",
    }


def test_details_of_sheets_go_too_and_a_former_note_stays() -> None:
    sheet = {"name": "s", "columns": [{"name": "a", "dtype": "int64", "samples": ["x" * 900]}]}
    told = json.loads(as_json([{"name": "b.xlsx", "sheets": [sheet], "note": "odd"}], 300))
    assert told[0]["sheets"] == [{"name": "s", "columns": [{"name": "a", "dtype": "int64"}]}]
    assert told[0]["note"] == "odd; shortened: there is more in it than fits here"


@pytest.mark.parametrize("room", [5_000, 50_000, 10_000_000])
def test_texts_outside_ascii_are_counted_in_bytes(tmp_path: Path, room: int) -> None:
    width = 150
    header = ",".join(f"\uc5f4 {number}" for number in range(width))
    rows = "\n".join(",".join([f"\uac12 {n} " * 20] * width) for n in range(20))
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}\n", encoding="utf-8")
    facts = look(tmp_path, "t.csv", room=room)[0]
    assert len(json.dumps([facts])) < min(room, MAX_BYTES)
    assert facts["type"] == "csv"
    assert "shortened" in facts["note"] or "no room" in facts["note"]
    if room >= 50_000:
        assert [c["name"] for c in facts["columns"]] == [f"\uc5f4 {n}" for n in range(width)]
