from __future__ import annotations

import pytest

from backend.llm.thinking import Thinking

PROGRAM = "```python\n<think>\nx = '</think>'\n```\nDone."
CASES = {
    "none": ("It is 42.", "It is 42.", ""),
    "first": ("<think>hm</think>It is 42.", "It is 42.", "hm"),
    "first, spaced": ("\n <think>\nhm\n</think>\n\nIt is 42.", "It is 42.", "\nhm\n"),
    "in between": ("One.\n<thinking>hm</thinking>\nTwo.", "One.\n\nTwo.", "hm"),
    "twice": ("<think>a</think>One.\n<think>b</think>Two.", "One.\nTwo.", "ab"),
    "not closed": ("<think>hm, and so", "", "hm, and so"),
    "not opened": ("hm, and so\n</think>\n\nIt is 42.", "It is 42.", "hm, and so\n"),
    "in a program": (PROGRAM, PROGRAM, ""),
    "in a sentence": ("The tag <think> opens a thought.", "The tag <think> opens a thought.", ""),
    "a longer word": ("<thinker>of</thinker>", "<thinker>of</thinker>", ""),
    "cut in the tag": ("<thi", "<thi", ""),
    "less-than in thoughts": ("<think>a < b </ c</think>Yes.", "Yes.", "a < b </ c"),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("reply", "words", "thoughts"), CASES.values(), ids=CASES)
def test_thoughts_are_divided_from_words_whatever_the_pieces(
    reply: str, words: str, thoughts: str, size: int
) -> None:
    thinking = Thinking()
    shown = "".join(thinking.feed(reply[i : i + size]) for i in range(0, len(reply), size))
    shown += thinking.finish()
    assert thinking.words == words
    assert thinking.thoughts == thoughts
    if "<think" in reply or "</think>" not in reply:
        assert shown == words


def test_words_are_shown_as_soon_as_they_are_certain() -> None:
    thinking = Thinking()
    assert thinking.feed("<") == ""
    assert thinking.feed("b>It ") == "<b>It "
    assert thinking.feed("is <think") == "is <think"


def test_a_megabyte_on_one_line_is_read_piece_by_piece() -> None:
    thinking = Thinking()
    for _ in range(300_000):
        thinking.feed("word ")
    thinking.finish()
    assert len(thinking.words) == 1_500_000


def test_very_many_empty_lines_in_one_piece_are_read() -> None:
    thinking = Thinking()
    thinking.feed("\n" * 100_000 + "It is 42.")
    thinking.finish()
    assert thinking.words.strip() == "It is 42."


def test_a_thought_after_a_few_empty_lines_is_one() -> None:
    thinking = Thinking()
    assert thinking.feed("\n" * 100) == ""
    thinking.feed("<think>hm</think>Yes.")
    thinking.finish()
    assert (thinking.words, thinking.thoughts) == ("Yes.", "hm")
