"""Which agent serves a request: weighted terms and counts of steps, told with the answer.

Sequence words speak for ReAct, breadth, enumerations and many steps for plan-and-execute, code and
data words and attached files for whatever can run code, talk for plain chat. A tie goes to ReAct.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backend.core.terms import (
    ARITHMETIC,
    ASKED_ABOUT,
    BASE_REACT,
    BREADTH_NEEDS,
    BRIEF,
    BRIEF_WORDS,
    CODE_BOOST,
    DEED,
    ENUMERATION,
    MOST_ITEMS,
    MOST_SEQUENCE,
    MOST_WORK,
    NEEDS_CODE,
    NUMBERS,
    PASTED_CODE,
    QUESTION,
    SEQUENCE_ALONE,
    SEQUENCE_WORK,
    STEPS,
    STEPS_BASE,
    TermClass,
)
from backend.core.wording import Wording, read_wording
from backend.types import AgentName


@dataclass(frozen=True, kw_only=True)
class Route:
    """The choice, and what it was made of."""

    agent: AgentName
    scores: dict[str, float]
    """By agent, and by what they were made of."""
    matched_terms: dict[str, list[str]]
    """By class of terms; and what its steps were counted by, where they count."""
    confidence: float
    """0 to 1: how far the winner is ahead of the next agent."""
    needs_code: bool
    """An answer without running a program would be a guess."""
    by: Literal["keywords", "model"] = "keywords"
    """Who chose: this table, or a model that was asked because the table was not sure."""

    def as_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "agent": self.agent,
            "scores": self.scores,
            "matched_terms": self.matched_terms,
            "confidence": self.confidence,
            "needs_code": self.needs_code,
            "by": self.by,
        }


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What a request's words weigh, its steps not counted."""

    found: Mapping[TermClass, Mapping[str, float]]
    """By class: the terms, and what else is found in the text, with their weights."""
    by_class: Mapping[TermClass, float]
    work: float
    """How much speaks for a program."""
    react: float
    plan: float
    needs_code: bool
    """An answer without running a program would be a guess."""


def route(query: str, has_files: bool = False, *, code_enabled: bool = True) -> Route:
    """Choose the agent for a request.

    Args:
        query: the request in words.
        has_files: files are attached; only an agent that can run code can read them.
        code_enabled: False leaves only chat: nothing may be run.
    """
    wording = read_wording(query)
    weighed = weigh(wording, has_files)
    talk = weighed.by_class["talk"]
    needs_code = code_enabled and weighed.needs_code
    steps = max(STEPS_BASE + sum(STEPS[name] * n for name, n in wording.steps.items()), 0.0)
    plan = weighed.plan + steps
    files = 1.0 if has_files else 0.0
    agents: dict[AgentName, float] = {  # in the order in which a tie is decided
        "react": weighed.react + files,
        "plan_execute": plan + (files if plan else 0.0),
        "chat": 0.0 if needs_code or wording.files else max(talk, 0.0),
    }
    if not code_enabled:
        agents = {"react": 0.0, "plan_execute": 0.0, "chat": max(talk, 1.0)}
    agents = {name: round(score, 3) for name, score in agents.items()}
    agent = max(agents, key=lambda name: agents[name])
    top = agents[agent]
    rest = max(score for name, score in agents.items() if name != agent)
    scores: dict[str, float] = {str(name): score for name, score in agents.items()}
    scores |= {str(kind): score for kind, score in weighed.by_class.items()}
    scores["steps"] = round(steps, 3)
    return Route(
        agent=agent,
        scores=scores,
        matched_terms=_matched(weighed, wording, has_steps=steps > 0),
        confidence=round((top - rest) / top, 3) if top else 0.0,
        needs_code=needs_code,
    )


def weigh(wording: Wording, has_files: bool = False) -> Weighed:
    """Hold what was read against the table, all but its steps."""
    found = {kind: dict(terms) for kind, terms in wording.terms.items()}
    if wording.arithmetic:
        found["code"]["arithmetic"] = ARITHMETIC
    elif wording.numbers:
        found["data"]["numbers"] = NUMBERS
    if wording.code:
        found["code"]["pasted code"] = PASTED_CODE
    if found["talk"] and not wording.is_material and wording.words <= BRIEF_WORDS:
        found["talk"]["brief"] = BRIEF
    if wording.question and not wording.is_material:
        # By itself no more than ReAct begins with: "Which is the highest?" goes on with something.
        found["talk"]["question"] = QUESTION
    if found["talk"] and wording.works:
        found["talk"]["deeds"] = DEED * wording.works
    if wording.items:
        found["breadth"]["enumeration"] = ENUMERATION * min(wording.items - 2, MOST_ITEMS)
    by_class = {kind: round(sum(terms.values()), 3) for kind, terms in found.items()}
    work = by_class["code"] + by_class["data"]
    if wording.asks_to_know and not (wording.is_material or has_files):
        work *= ASKED_ABOUT
    boost = CODE_BOOST * min(work, MOST_WORK)
    most = min(SEQUENCE_ALONE + SEQUENCE_WORK * work, MOST_SEQUENCE)
    breadth = by_class["breadth"]
    named = NEEDS_CODE if wording.files else 0.0
    return Weighed(
        found=found,
        by_class=by_class,
        work=work,
        react=BASE_REACT + min(by_class["sequence"], most) + boost,
        plan=breadth + (boost if breadth >= BREADTH_NEEDS else 0.0),
        needs_code=has_files or work + named - max(by_class["talk"], 0.0) >= NEEDS_CODE,
    )


def _matched(weighed: Weighed, wording: Wording, *, has_steps: bool) -> dict[str, list[str]]:
    matched = {str(kind): sorted(terms) for kind, terms in weighed.found.items() if terms}
    if wording.files:
        matched["data"] = [*matched.get("data", []), *wording.files]
    if has_steps:
        counted = {name: n for name, n in wording.steps.items() if n}
        matched["steps"] = [f"{n:g} {name}" for name, n in counted.items()]
    return matched
