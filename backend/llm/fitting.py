"""Prompts that fit into a context: which parts are cut, in which order, and how far.

The rule: former attempts go first, then the conversation and the context, then samples of files,
then outputs; a program only where it is judged, not where it is rewritten. In this order each is
cut to a third of the room, so that one that is huge takes nothing from the others; if that is not
enough, to its share; then to its least. What a stage asks for, its rules and the names of columns
are never cut. Every cut says in its place how much is missing.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.prompts.at_hand import cut_variables
from backend.prompts.texts import shorten
from backend.types import Message

LEAST_REPLY_TOKENS = 512
"""A reply is given up to its limit as far as the context goes, but never less than this."""
_TRIES = 4
"""Cuts of one part until it is short enough; the estimate is no straight line."""
_MARKER = 100
"""Characters that a cut's own words take at most."""

Cut = Callable[[str, int], str]
"""A text and the characters it may have; longer only by its marker or by what must be kept."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A value of a template that may be cut. Lengths are characters."""

    share: int
    least: int
    cut: Cut = shorten


def keep_end(text: str, limit: int) -> str:
    """Leave the oldest out, and say so."""
    if len(text) <= limit:
        return text
    marker = f"[the oldest {len(text) - limit} of {len(text)} characters left out] ...\n"
    return marker + text[len(text) - limit :]


_SAMPLES = re.compile(r"^(\s*)first (rows|lines):$")
_NAMES = re.compile(r"^- |\b(column|sheet|table|key|name)s?\b|^ *(read with|error|note):")
_DETAILS = re.compile(r"""^(\s*column (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")[^:]*):.*""")


def cut_facts(text: str, limit: int) -> str:
    """Of what is known of files, leave out samples, then details of columns; never names.

    What is neither (encodings, counts, first words of a text) goes last.
    """
    if len(text) <= limit:
        return text
    lines = text.splitlines()
    over = len(text) - limit
    gone: set[int] = set()
    samples, others = _samples(lines)
    for at in reversed(samples):
        if over > 0:
            gone.add(at)
            over -= len(lines[at]) + 1
    for at in range(len(lines) - 1, -1, -1):
        if over > 0 and at not in gone:
            bare = _DETAILS.sub(r"\1", lines[at])
            over -= len(lines[at]) - len(bare)
            lines[at] = bare
    for at in reversed(others):
        if over > 0:
            gone.add(at)
            over -= len(lines[at]) + 1
    kept = "\n".join(line for at, line in enumerate(lines) if at not in gone)
    missing = len(text) - len(kept)
    return f"{kept}\n... [{missing} of {len(text)} characters left out: samples and details]"


def _samples(lines: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where sample rows stand, and where other lines that name nothing do."""
    samples, others = [], []
    depth: int | None = None
    for at, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            samples.append(at)
            continue
        head = _SAMPLES.match(line)
        depth = len(head[1]) if head else None
        if head is None and not _NAMES.search(line):
            others.append(at)
    return samples, others


PARTS: Mapping[str, Part] = {
    # In the order in which they are cut.
    "attempts": Part(share=2000, least=300, cut=keep_end),
    "history": Part(share=2000, least=300, cut=keep_end),
    "context": Part(share=2000, least=300),
    "files": Part(share=3000, least=0, cut=cut_facts),
    "variables": Part(share=2000, least=500, cut=cut_variables),
    "steps": Part(share=4000, least=1000, cut=keep_end),
    "done": Part(share=4000, least=1000),
    "results": Part(share=6000, least=2000),
    "output": Part(share=3000, least=1000),
    "problem": Part(share=3000, least=1000),
    "error": Part(share=3000, least=1000),
    "mistakes": Part(share=2000, least=500),
    "remarks": Part(share=1000, least=300),
    "plan": Part(share=1000, least=300),
    "why": Part(share=1000, least=300),
    "reason": Part(share=500, least=200),
    "tests": Part(share=4000, least=1500),
    "code": Part(share=8000, least=3000),
}
KEPT = frozenset(
    "request contract constraints outputs program focus instruction tools names native packages artifacts "
    "language timeout_s memory_mb".split()
)
"""Values of templates that are never cut."""
WRITING = frozenset(("generate", "repair"))
"""Stages that write a program anew: the one they start from is not cut."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A prompt, and which of its values were cut."""

    text: str
    shortened: tuple[str, ...] = ()


def fit(
    stage: str,
    values: Mapping[str, Any],
    render: Callable[[Mapping[str, Any]], str],
    excess: Callable[[str], float],
) -> Fitted:
    """Render a prompt, cutting its values by the rule until it fits or nothing may be cut more.

    Args:
        stage: whose prompt it is.
        values: the template's.
        render: makes the prompt out of them.
        excess: by which share of itself a prompt is too long, 0 or less where it fits.

    Returns:
        The prompt. Whether it fits now is for the caller to see.
    """
    now = dict(values)

    def put(name: str, part: Part, floor: int) -> str:
        """Cut one value, by more each time, until the prompt fits or the floor is reached."""
        text, length = render(now), len(now[name])
        for left in range(_TRIES, -1, -1):
            over = excess(text)
            if over <= 0 or length <= floor:
                break
            length = max(floor, length - int(over * len(text)) - _MARKER) if left else floor
            now[name] = part.cut(str(values[name]), length)
            text = render(now)
        return text

    text = render(now)
    third = int(len(text) * (1 - excess(text))) // 3
    for level in ("third", "share", "least"):
        for name, part in PARTS.items():
            if excess(text) <= 0:
                break
            if not isinstance(now.get(name), str) or (name == "code" and stage in WRITING):
                continue
            floor = part.least if level == "least" else part.share
            if level == "third":
                floor = len(now[name]) if name == "code" else max(floor, third)
            text = put(name, part, floor)
    cut = tuple(name for name in PARTS if name in now and now[name] != values[name])
    return Fitted(text=text, shortened=cut)


def drop_oldest(
    messages: Sequence[Message], fits: Callable[[Sequence[Message]], bool]
) -> tuple[tuple[Message, ...], int]:
    """Leave out the oldest turns of a conversation until it fits.

    The rules in front (the system's messages) and the last message stay. A message says in the
    place of the others how many are missing.

    Returns:
        The messages, and how many were left out.
    """
    rules = 0
    while rules < len(messages) - 1 and messages[rules].role == "system":
        rules += 1
    most = len(messages) - 1 - rules

    def without(dropped: int) -> tuple[Message, ...]:
        if not dropped:
            return tuple(messages)
        said = f"[the oldest {dropped} messages of this conversation are left out]"
        marker = Message(role="system", content=said)
        return (*messages[:rules], marker, *messages[rules + dropped :])

    dropped = bisect.bisect_left(range(most), True, key=lambda many: fits(without(many)))
    return without(dropped), dropped
