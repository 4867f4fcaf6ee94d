"""A reply's thoughts apart from its words: what a model thinks aloud is neither program nor answer.

``strip_thinking`` reads a whole reply, ``Thinking`` one that is still arriving.
"""

from __future__ import annotations

import re
from typing import Final

_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad"
_OPEN: Final = re.compile(rf"<\|?({_TAGS})\|?>|\[(THINK)\]|◁(think)▷", re.IGNORECASE)
_CLOSE: Final = re.compile(rf"<\|?/({_TAGS})\|?>|\[/(THINK)\]|◁/(think)▷", re.IGNORECASE)
_FENCE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_CHANNEL: Final = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|channel|start)\|>|\Z)",
    re.DOTALL,
)
_SPECIAL: Final = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|eom_id|end_of_text|begin_of_text|end|return|call|start"
    r"|assistant|user|system|start_header_id|end_header_id)\|>(?:assistant\n)?"
    r"|</?s>|<(?:end_of_turn|start_of_turn)>(?:model\n)?|<\uff5c(?:end|begin)\u2581of\u2581sentence\uff5c>"
)
_OPENING: Final = ("<think>", "<thinking>", "<thought>", "<reasoning>")
_CLOSING: Final = ("</think>", "</thinking>", "</thought>", "</reasoning>")


def strip_thinking(reply: str) -> str:
    """The reply without its thoughts, chat-template marks and surrounding blank space.

    A thought that is not closed reaches to the end of the reply; a closing tag without an
    opening one ends a thought that began before the reply did. Tags inside a fenced block are
    part of the block.
    """
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    if "<|channel|>" in text:
        text = _final_channels(text)
    if _OPEN.search(text) or _CLOSE.search(text):
        text = _without_tags(text)
    return _SPECIAL.sub("", text).strip()


def _final_channels(text: str) -> str:
    """What was said in other channels than ``analysis``, and before the first channel."""
    kept = [text.partition("<|channel|>")[0]]
    kept += [said for channel, said in _CHANNEL.findall(text) if channel.lower() != "analysis"]
    return "\n".join(part for part in kept if part.strip())


def _without_tags(text: str) -> str:
    kept: list[str] = []
    fence = ""
    position = opened_in_block = 0
    while position < len(text):
        end = text.find("\n", position) + 1 or len(text)
        line = text[position:end]
        opening = None if fence else _opening(line)
        if opening is not None:
            kept.append(line[: opening.start()])
            close = _CLOSE.search(text, position + opening.end())
            position = len(text) if close is None else close.end()
            continue
        opened_in_block = opened_in_block + len(_OPEN.findall(line)) if fence else 0
        closing = _closing(line, bool(fence))
        if closing is not None and opened_in_block:
            opened_in_block -= 1
        elif closing is not None:
            kept.clear()
            fence = ""
            position += closing.end()
            continue
        fence = _fence_after(line, fence)
        kept.append(line)
        position = end
    return "".join(kept)


def _opening(line: str) -> re.Match[str] | None:
    """An opening tag that is not quoted."""
    found = _OPEN.search(line)
    if found is None:
        return None
    before = line[: found.start()]
    return None if _quotes(before) or before.endswith("'") else found


def _closing(line: str, in_block: bool) -> re.Match[str] | None:
    """A closing tag without an opening one; inside a block only where it begins the line."""
    found = _CLOSE.search(line)
    if found is None:
        return None
    before = line[: found.start()]
    return found if not before.strip() or not (in_block or _quotes(before)) else None


def _quotes(before: str) -> bool:
    return bool(before.count("`") % 2 or before.count('"') % 2)


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
                if tag.startswith(start):
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
