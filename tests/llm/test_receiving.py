from __future__ import annotations

from backend.llm.receiving import Watcher


def test_a_watcher_may_be_absent() -> None:
    watcher = Watcher(None)
    watcher.begin()
    watcher.show("a")
    watcher.end()


def test_an_attempt_that_showed_nothing_leaves_no_trace() -> None:
    shown: list[str] = []
    watcher = Watcher(shown.append)
    watcher.begin()
    watcher.begin()
    watcher.show("one ")
    watcher.show("two")
    watcher.end()
    assert shown == ["one ", "two"]
