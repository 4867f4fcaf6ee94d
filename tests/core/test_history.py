"""How a conversation is told to agents: whole while it is short, by the rule when it is long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.history import HISTORY_CHARS, tell_history
from backend.types import Message


def turn(number: int, *, words: int = 60) -> list[Message]:
    asked = f"Question {number}: plot month {number} " + "please " * words
    answered = f"Answer {number}: the total is {number * 7} " + "so " * words
    files = (f"plot_{number}.png",)
    return [
        Message(role="user", content=asked),
        Message(role="assistant", content=answered, files=files, printed=f"total {number * 7}"),
    ]


def conversation(turns: int, **more: int) -> list[Message]:
    return [message for number in range(1, turns + 1) for message in turn(number, **more)]


def test_a_short_conversation_is_told_whole() -> None:
    told = tell_history(
        [
            Message(role="user", content="6 times 7?"),
            Message(role="assistant", content="42", files=("a.txt",), printed="42"),
            Message(role="user", content="Thanks"),
        ]
    )
    assert told == "user: 6 times 7?\nassistant: 42\n[files: a.txt]\nuser: Thanks"


def test_nothing_is_told_of_no_conversation() -> None:
    assert tell_history([]) == ""


def test_the_last_turns_stay_whole_and_older_ones_are_a_line_each() -> None:
    told = tell_history(conversation(20))
    last = turn(20)
    assert told.endswith(
        f"user: {last[0].content}\nassistant: {last[1].content}\n[files: plot_20.png]"
    )
    line = next(each for each in told.splitlines() if each.startswith("- Question 12:"))
    assert "-> Answer 12: the total is 84" in line
    assert "[printed: total 84]" in line
    assert line.endswith("[files: plot_12.png]")
    assert len(line) < 500


@pytest.mark.parametrize("turns", [10, 50, 200])
def test_files_of_turns_that_are_left_out_are_named_as_far_as_there_is_room(turns: int) -> None:
    told = tell_history(conversation(turns))
    assert len(told) <= HISTORY_CHARS
    if turns > 20:
        head = told.splitlines()[0]
        assert head.startswith("[")
        assert "earlier turns left out; files of theirs: plot_" in head


def test_one_huge_turn_leaves_room_for_the_others() -> None:
    huge = [Message(role="user", content="Why?"), Message(role="assistant", content="x" * 50_000)]
    told = tell_history([*conversation(3), *huge])
    assert len(told) <= HISTORY_CHARS
    assert "characters left out" in told
    assert "- Question 3:" in told or "user: Question 3:" in told


def test_instructions_of_the_caller_stay_in_front() -> None:
    system = Message(role="system", content="Answer in French. " * 400)
    told = tell_history([system, *conversation(30)])
    assert told.startswith("system: Answer in French.")
    assert len(told) <= HISTORY_CHARS
    assert "Answer 30" in told


@given(
    st.lists(
        st.builds(
            Message,
            role=st.sampled_from(["user", "assistant", "system"]),
            content=st.text(max_size=3000),
            files=st.lists(st.text(max_size=300), max_size=3).map(tuple),
            printed=st.text(max_size=300),
        ),
        max_size=30,
    ),
    st.integers(1000, 8000),
)
def test_it_is_never_longer_than_it_may_be(turns: list[Message], limit: int) -> None:
    assert len(tell_history(turns, limit)) <= limit
