"""A reply's thoughts apart from its words: what a model thinks aloud is neither program nor answer.

``strip_thinking`` reads a whole reply, ``Thinking`` one that is still arriving.
"""

from __future__ import annotations

import re
from typing import Final

from backend.llm.channels import said_aloud

_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad"
_OPEN: Final = re.compile(rf"<\|?({_TAGS})\|?>|\[(THINK)\]|◁(think)▷", re.IGNORECASE)
_CLOSE: Final = re.compile(rf"<\|?/({_TAGS})\|?>|\[/(THINK)\]|◁/(think)▷", re.IGNORECASE)
_TAG: Final = re.compile(f"{_OPEN.pattern}|(?P<closes>{_CLOSE.pattern})", re.IGNORECASE)
_FENCE: Final = re.compile(r"[ \t>]*(`{3,}(?=[^`]*$)|~{3,})")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_BLANK: Final = re.compile(r"\s*")
_SPECIAL: Final = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|eom_id|end_of_text|begin_of_text|end|return|call|start"
    r"|assistant|user|system|start_header_id|end_header_id)\|>(?:assistant\n)?"
    r"|</?s>|<end_(?:code|action|plan)>|<(?:end_of_turn|start_of_turn)>(?:model\n)?|<\uff5c(?:end|begin)\u2581of\u2581sentence\uff5c>"
)
_HELD_BACK: Final = 4096
"""Letters of blank space after which no tag is waited for any more."""
_OPENING: Final = ("<think>", "<thinking>", "<thought>", "<reasoning>")
_CLOSING: Final = ("</think>", "</thinking>", "</thought>", "</reasoning>")


def strip_thinking(reply: str) -> str:
    """The reply without its thoughts, chat-template marks and surrounding blank space.

    A thought that is not closed reaches to the end of the reply; a closing tag without an
    opening one ends a thought that began before the reply did. Tags inside a fenced block are
    part of the block.
    """
    text = said_aloud(reply.replace("\r\n", "\n").replace("\r", "\n"))
    if _OPEN.search(text) or _CLOSE.search(text):
        text = _without_tags(text)
    return _SPECIAL.sub("", text).strip()


def _without_tags(text: str) -> str:
    words = _Words()
    for line in _LINE.findall(text):
        words.take(line)
    return "".join(words.kept)


class _Words:
    """What is left of a reply, line by line; no letter is looked at more than a few times."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self._inside = False
        self._fence = ""
        self._opened_in_block = 0

    def take(self, line: str) -> None:
        """Keep of a line what is no thought."""
        segment = _Segment(line, 0)
        for tag in _TAG.finditer(line):
            if self._inside:
                if tag["closes"]:
                    self._inside = False
                    segment = _Segment(line, tag.end())
            elif not tag["closes"]:
                self._open(segment, tag.start())
            elif self._is_end(segment, tag.start()):
                self.kept.clear()
                self._fence = ""
                segment = _Segment(line, tag.end())
        if not self._inside:
            rest = line[segment.start :]
            self._fence = _fence_after(rest, self._fence)
            self._opened_in_block = self._opened_in_block if self._fence else 0
            self.kept.append(rest)

    def _open(self, segment: _Segment, place: int) -> None:
        """A tag counts where it is neither quoted nor part of a block."""
        quoted = segment.quotes_at(place)
        if self._fence:
            self._opened_in_block += 1
        elif not quoted and not segment.line.startswith("'", max(0, place - 1)):
            self.kept.append(segment.line[segment.start : place])
            self._inside = True

    def _is_end(self, segment: _Segment, place: int) -> bool:
        """Whether a closing tag without an opening one counts; in a block only in front."""
        quoted = segment.quotes_at(place)
        if self._opened_in_block:
            self._opened_in_block -= 1
            return False
        return place <= segment.solid or not (self._fence or quoted)


class _Segment:
    """A line from some place on, and the quotes in it so far."""

    def __init__(self, line: str, start: int) -> None:
        self.line = line
        self.start = start
        blank = _BLANK.match(line, start)
        self.solid = blank.end() if blank else start
        """Where the first letter is that is not blank."""
        self._counted = start
        self._ticks = self._quotes = 0

    def quotes_at(self, place: int) -> bool:
        """Whether `place` stands within quotes; asked for places from left to right."""
        self._ticks += self.line.count("`", self._counted, place)
        self._quotes += self.line.count('"', self._counted, place)
        self._counted = place
        return bool(self._ticks % 2 or self._quotes % 2)


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open after `line`, '' for none."""
    mark = _FENCE.match(line)
    if mark is None:
        return fence
    if not fence:
        return mark[1]
    closes = (
        mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line[mark.end() :].strip()
    )
    return "" if closes else fence


# --- while it arrives ----------------------------------------------------------------------------


class Thinking:
    """Divides a stream into thoughts and words, whatever pieces the tags come in.

    A tag counts where it opens a line outside a fenced block, so that a program which handles
    such tags is left alone. A closing tag without an opening one (the chat template wrote it)
    makes all words before it thoughts.
    """

    def __init__(self) -> None:
        self.thoughts = ""
        self._words: list[str] = []
        self._pending = ""
        self._line = ""
        self._fenced = False
        self._inside = False

    @property
    def words(self) -> str:
        """Everything but thoughts, so far."""
        return "".join(self._words)

    def feed(self, piece: str) -> str:
        """Take a piece; give the words that are certain by now."""
        return "".join(map(self._feed_line, _LINE.findall(piece)))

    def _feed_line(self, piece: str) -> str:
        self._pending += piece
        shown = ""
        while self._pending:
            before = (len(self._pending), self._inside)
            shown += self._leave() if self._inside else self._advance()
            if (len(self._pending), self._inside) == before:
                break
        return shown

    def finish(self) -> str:
        """Give what was held back; call it once, at the end."""
        rest, self._pending = self._pending, ""
        if self._inside:
            self.thoughts += rest
            return ""
        self._words.append(rest)
        self._set_aside_unopened()
        return rest

    def _leave(self) -> str:
        found = min(
            ((at, tag) for tag in _CLOSING if (at := self._pending.find(tag)) >= 0), default=None
        )
        if found is None:
            keep = _possible_tag_at_end(self._pending)
            cut = len(self._pending) - keep
            self.thoughts += self._pending[:cut]
            self._pending = self._pending[cut:]
            return ""
        at, tag = found
        self.thoughts += self._pending[:at]
        self._pending = self._pending[at + len(tag) :]
        self._inside = False
        return ""

    def _advance(self) -> str:
        if not self._fenced and not self._line:
            start = self._pending.lstrip()
            for tag in _OPENING:
                if start.startswith(tag):
                    self._pending = start[len(tag) :]
                    self._inside = True
                    return ""
                if tag.startswith(start) and len(self._pending) < _HELD_BACK:
                    return ""
        end = self._pending.find("\n") + 1 or len(self._pending)
        shown, self._pending = self._pending[:end], self._pending[end:]
        # How the line begins is all that matters, and lines can be long.
        self._line = (self._line + shown).lstrip()[:3]
        if shown.endswith("\n"):
            self._fenced ^= self._line in ("```", "~~~")
            self._line = ""
        if self.thoughts and not self._words:
            shown = shown.lstrip()
        if shown:
            self._words.append(shown)
        return shown

    def _set_aside_unopened(self) -> None:
        words = self.words
        before, tag, after = words.partition("</think>")
        if tag and "<think>" not in before and "```" not in before:
            self.thoughts += before
            self._words = [after.lstrip()]


def _possible_tag_at_end(text: str) -> int:
    start = text.rfind("<")
    if start < 0:
        return 0
    tail = text[start:]
    return len(tail) if any(tag.startswith(tail) for tag in _CLOSING) else 0
