"""What a server's count of a prompt's tokens proves: that it was read whole, or that it was cut.

A count far below the prompt has two causes. Servers cut a prompt that is longer than their
context, without a word; and some leave the beginning that they had cached out of the count
(Ollama has done so and not done so, by version). What tells them apart, in this order:

1. A beginning that this process sent before may be cached. Only what is new must be counted.
2. A cut prompt is as long as the context, whose size is a multiple of 1024; or it has fewer
   tokens than its characters can possibly make. Anything else is not suspected.
3. A suspected prompt is sent once more with a line in front that nobody ever sent, for a reply of
   one token. Nothing of it is cached. If the count has not grown, or is still impossible, the
   server cuts; otherwise it was the cache.

A server that tells no count at all proves nothing, and is believed.
"""

from __future__ import annotations

import bisect
import secrets
from collections import deque
from dataclasses import replace

from backend.llm.tokens import Calibration
from backend.llm.wire import Question
from backend.types import Message

CHARS_PER_TOKEN = 8
"""No tokenizer makes tokens longer than this on average out of prose, code or tables (English
prose has about 4). More characters a token than this were not all read."""
CERTAIN_CHARS = 8_000
"""Shorter prompts are not compared: a few long runs of one character would tip the average."""
_CONTEXT_STEP = 1024
_KEPT_PROMPTS = 8
_KEPT_CHARS = 100_000


class PromptCounts:
    """What is known of the prompts that went to each model, over all requests."""

    def __init__(self) -> None:
        self.calibration = Calibration()
        self._sent: dict[str, deque[str]] = {}

    def is_suspect(self, model: str, prompt: str, *, estimated: int, told: int) -> bool:
        """Whether a prompt may have been cut; ``told`` is the server's count, 0 for none."""
        if not told:
            return False
        if told % _CONTEXT_STEP == 0 and told < estimated:
            return True
        return is_impossible(told, len(prompt)) and is_impossible(
            told, len(prompt) - self._known_chars(model, prompt)
        )

    def remember(self, model: str, prompt: str) -> None:
        """Note a prompt that was read whole: its beginning may be cached from now on."""
        sent = self._sent.setdefault(model, deque(maxlen=_KEPT_PROMPTS))
        sent.append(prompt[:_KEPT_CHARS])

    def _known_chars(self, model: str, prompt: str) -> int:
        sent = self._sent.get(model, ())
        return max((_common_chars(prompt, each) for each in sent), default=0)


def _common_chars(one: str, other: str) -> int:
    most = min(len(one), len(other))
    return bisect.bisect_left(range(most), True, key=lambda n: one[: n + 1] != other[: n + 1])


def is_impossible(told: int, chars: int) -> bool:
    """Whether so many characters cannot have made so few tokens."""
    return chars >= CERTAIN_CHARS and told * CHARS_PER_TOKEN < chars


def uncached(question: Question) -> Question:
    """The same question as no server can have it in a cache, for a reply of one token."""
    first, *others = question.messages
    salted = Message(role=first.role, content=f"[{secrets.token_hex(16)}]\n{first.content}")
    # Tools stay: without them it would be shorter for that reason alone.
    return replace(question, messages=(salted, *others), schema=None, max_tokens=1)


def proves_a_cut(question: Question, *, told: int, told_uncached: int) -> bool:
    """Whether a question was cut, by its count and that of its ``uncached`` twin."""
    if not told_uncached:
        return False
    return told_uncached <= told or is_impossible(told_uncached, len(question.text))
