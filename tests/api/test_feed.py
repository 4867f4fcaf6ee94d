"""What waits for a slow client stays little, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backend.api.feed import Feed, follow
from backend.types import Event


async def test_words_that_wait_become_few_pieces_and_none_is_lost() -> None:
    feed: Feed[Event] = Feed()
    words = [f"{number} " for number in range(10_000)]
    for word in words[:5000]:
        feed.put(Event(kind="text", text=word))
    feed.put(Event(kind="run", text="a program"))
    for word in words[5000:]:
        feed.put(Event(kind="text", text=word))
    taken = []
    while item := await feed.next(0.001):
        taken.append(item)
    assert len(taken) < 60
    assert "".join(item.text for item in taken if item.kind == "text") == "".join(words)
    before = "".join(item.text for item in taken[: [item.kind for item in taken].index("run")])
    assert before == "".join(words[:5000])


async def test_an_error_comes_after_what_was_said_before() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no more")

    async with follow(source()) as feed:
        assert await feed.next(1) == 1
        with pytest.raises(ValueError, match="no more"):
            await feed.next(1)
