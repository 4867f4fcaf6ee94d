"""A conversation as agents are told of it: the last turns whole, older ones in a line each.

The rule keeps what later questions refer to: what was asked, what came of it, and the names of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.prompts.texts import cut_line, shorten
from backend.types import Message

HISTORY_CHARS = 6000
"""Of a conversation in a prompt."""
_SYSTEM_SHARE = 0.25
"""Of the characters, at most, for what the caller's system messages say."""
_WHOLE_SHARE = 0.6
"""Of the rest, for turns that are told whole."""
_ASKED_CHARS = 100
_ANSWERED_CHARS = 140
_PRINTED_CHARS = 80
_FILES_CHARS = 120
_LEFT_OUT_CHARS = 400


@dataclass(frozen=True, kw_only=True)
class _Exchange:
    """A question and what was answered; of either there may be none."""

    asked: str
    answered: str
    files: tuple[str, ...]
    printed: str

    @property
    def whole(self) -> str:
        parts = [f"user: {self.asked}"] if self.asked else []
        parts += [f"assistant: {self.answered}"] if self.answered else []
        parts += [f"[files: {', '.join(self.files)}]"] if self.files else []
        return "\n".join(parts)

    @property
    def line(self) -> str:
        parts = [f"- {_one_line(self.asked, _ASKED_CHARS)}"]
        if self.answered:
            parts.append(f"-> {_one_line(self.answered, _ANSWERED_CHARS)}")
        if self.printed:
            parts.append(f"[printed: {_one_line(self.printed, _PRINTED_CHARS)}]")
        if self.files:
            parts.append(f"[files: {_one_line(', '.join(self.files), _FILES_CHARS)}]")
        return " ".join(parts)


def tell_history(turns: Sequence[Message], limit: int = HISTORY_CHARS) -> str:
    """The conversation in at most so many characters, oldest first; '' where there is none.

    Args:
        turns: the messages, oldest first.
        limit: characters, at least 1000.
    """
    system = "\n".join(f"system: {turn.content}" for turn in turns if turn.role == "system")
    whole = "\n".join(filter(None, [system, *(each.whole for each in _exchanges(turns))]))
    if len(whole) <= limit:
        return whole
    system = _fit(system, int(limit * _SYSTEM_SHARE))
    return "\n".join(filter(None, [system, _shortened(_exchanges(turns), limit - len(system) - 1)]))


def _shortened(exchanges: Sequence[_Exchange], limit: int) -> str:
    *older, last = exchanges or [_Exchange(asked="", answered="", files=(), printed="")]
    told = [_fit(last.whole, int(limit * _WHOLE_SHARE))]
    room = int(limit * _WHOLE_SHARE) - len(told[0])
    while older and len(older[-1].whole) + 1 <= room:
        text = older.pop().whole
        room -= len(text) + 1
        told.append(text)
    if not older:
        return "\n".join(reversed(told))
    room = limit - sum(len(text) + 1 for text in told) - _LEFT_OUT_CHARS
    lines: list[str] = []
    while older and len(older[-1].line) + 1 <= room:
        line = older.pop().line
        room -= len(line) + 1
        lines.append(line)
    head = [_left_out(older)] if older else []
    return "\n".join([*head, *reversed(lines), *reversed(told)])


def _left_out(older: Sequence[_Exchange]) -> str:
    names = dict.fromkeys(name for each in reversed(older) for name in each.files)
    files = f"; files of theirs: {', '.join(names)}" if names else ""
    counted = f"{len(older)} earlier turn{'s' * (len(older) != 1)} left out"
    return f"[{_one_line(f'{counted}{files}', _LEFT_OUT_CHARS - 2)}]"


def _exchanges(turns: Sequence[Message]) -> list[_Exchange]:
    groups: list[list[Message]] = []
    for turn in turns:
        if turn.role == "system":
            continue
        if turn.role == "user" or not groups:
            groups.append([])
        groups[-1].append(turn)
    return [_exchange(group) for group in groups]


def _exchange(group: Sequence[Message]) -> _Exchange:
    return _Exchange(
        asked="\n".join(turn.content for turn in group if turn.role == "user"),
        answered="\n".join(turn.content for turn in group if turn.role == "assistant"),
        files=tuple(dict.fromkeys(name for turn in group for name in turn.files)),
        printed=next((turn.printed for turn in reversed(group) if turn.printed), ""),
    )


def _one_line(text: str, most: int) -> str:
    return cut_line(" ".join(text.split()), most)


def _fit(text: str, limit: int) -> str:
    """At most so many characters, with what is said of the cut."""
    if len(text) <= limit:
        return text
    said = len(shorten(text, limit)) - limit
    return shorten(text, limit - said - 2)
