"""What comes out of the sandbox is not trusted: a file may have taken over what reads it."""

from __future__ import annotations

import json

import pytest

from backend.tools.search_files.reading import Passage, Reading, _readings

TOLD = {"passages": [["page 1", "some text", ""]], "note": "", "whole": True}
READING = Reading(file="a.pdf", passages=(Passage(file="a.pdf", place="page 1", text="some text"),))


def test_each_line_is_of_a_file_in_their_order() -> None:
    printed = "\n".join([json.dumps(TOLD), json.dumps(TOLD)]).encode()
    told = _readings(printed, ["a.pdf", "b.pdf", "c.pdf"])
    assert list(told) == ["a.pdf", "b.pdf"] and told["a.pdf"] == READING


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"7",
        b"null",
        b'{"passages": []}',
        json.dumps(TOLD | {"passages": 7}).encode(),
        json.dumps(TOLD | {"passages": [["page 1", "text"]]}).encode(),
        json.dumps(TOLD | {"passages": [["page 1", {"a": 1}, ""]]}).encode(),
        json.dumps(TOLD | {"note": ["a"]}).encode(),
        json.dumps(TOLD).encode()[:-5],
    ],
    ids=range(11),
)
def test_what_is_no_such_line_ends_what_is_believed(line: bytes) -> None:
    good = json.dumps(TOLD).encode()
    assert _readings(b"\n".join([good, line, good]), ["a.pdf", "b.pdf", "c.pdf"]) == {
        "a.pdf": READING
    }


def test_texts_are_cut_and_halves_of_letters_replaced() -> None:
    told = TOLD | {"passages": [["p" * 10_000, "\ud83d text " * 10_000, "\udc00"]]}
    (reading,) = _readings(json.dumps(told).encode(), ["a.pdf"]).values()
    (passage,) = reading.passages
    assert len(passage.place) == 300 and len(passage.text) == 5000 and passage.head == "?"
    assert passage.text.startswith("? text")
