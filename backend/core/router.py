"""Which agent serves a request: whole-word keyword scores, told with the answer.

Sequence words speak for ReAct, breadth and enumeration for plan-and-execute, code and data words
and attached files for whatever can run code, talk for plain chat. A tie goes to ReAct.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from backend.core.terms import (
    BASE_REACT,
    BREADTH_NEEDS,
    CODE_BOOST,
    ENUMERATION,
    LONG_BONUS,
    LONG_WORDS,
    NEEDS_CODE,
    TERMS,
    TermClass,
)
from backend.types import AgentName

_READ_CHARS = 20_000
"""A request is routed by its first characters; pasted data behind them says nothing."""
_ARITHMETIC = re.compile(r"\d\s*(?:[-+*/^%]|\*\*)\s*\d")
_FILE_NAME = re.compile(
    r"[\w-]+\.(?:csv|tsv|xlsx?|json|parquet|txt|pdf|docx|png|jpe?g|py|db|sqlite)\b", re.I
)
_NUMBERED = re.compile(r"(?:^|\s)(?:\d+[.)]|[-*•])\s+\S", re.M)
_LISTED = re.compile(r"\w[^,.;\n]{0,60}(?:,\s+\w[^,.;\n]{0,60}){2,}")


@dataclass(frozen=True, kw_only=True)
class Route:
    """The choice, and what it was made of."""

    agent: AgentName
    scores: dict[str, float]
    """By agent, and by class of terms."""
    matched_terms: dict[str, list[str]]
    """By class of terms, in the table's order."""
    confidence: float
    """0 to 1: how far the winner is ahead of the next agent."""
    needs_code: bool
    """An answer without running a program would be a guess."""

    def as_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "agent": self.agent,
            "scores": self.scores,
            "matched_terms": self.matched_terms,
            "confidence": self.confidence,
            "needs_code": self.needs_code,
        }


def route(query: str, has_files: bool = False, *, code_enabled: bool = True) -> Route:
    """Choose the agent for a request.

    Args:
        query: the request in words.
        has_files: files are attached; only an agent that can run code can read them.
        code_enabled: False leaves only chat: nothing may be run.
    """
    text = query[:_READ_CHARS]
    matched = {name: _matches(name, text) for name in TERMS}
    by_class = {name: sum(TERMS[name][term] for term in terms) for name, terms in matched.items()}
    if _ARITHMETIC.search(text):
        by_class["code"] += NEEDS_CODE
        matched["code"].append("arithmetic")
    if named := _FILE_NAME.findall(text):
        by_class["data"] += NEEDS_CODE
        matched["data"] += sorted(set(named))
    work = by_class["code"] + by_class["data"]
    needs_code = code_enabled and (has_files or work - by_class["talk"] >= NEEDS_CODE)
    agents = _agent_scores(text, by_class, work, has_files)
    if not code_enabled:
        agents = {"react": 0.0, "plan_execute": 0.0, "chat": max(agents["chat"], 1.0)}
    elif needs_code:
        agents["chat"] = 0.0
    agent = max(agents, key=lambda name: agents[name])
    rest = max(score for name, score in agents.items() if name != agent)
    top = agents[agent]
    return Route(
        agent=agent,
        scores={str(name): score for name, score in (*agents.items(), *by_class.items())},
        matched_terms={name: terms for name, terms in matched.items() if terms},
        confidence=round((top - rest) / top, 3) if top else 0.0,
        needs_code=needs_code,
    )


def _agent_scores(
    text: str, by_class: Mapping[TermClass, float], work: float, has_files: bool
) -> dict[AgentName, float]:
    """The scores of the agents; ReAct stands first, so a tie goes to it."""
    breadth = by_class["breadth"] + ENUMERATION * _enumerated(text)
    if breadth < BREADTH_NEEDS:
        breadth = 0.0
    long = LONG_BONUS if len(text.split()) > LONG_WORDS else 0.0
    files = 1.0 if has_files else 0.0
    boost = CODE_BOOST * min(work, 4.0)
    return {
        "react": round(BASE_REACT + by_class["sequence"] + boost + files, 3),
        # What a program can do in one go does not weigh against a plan: both agents run programs.
        "plan_execute": round(breadth + long + (boost + files if breadth else 0.0), 3),
        "chat": round(by_class["talk"], 3),
    }


def _enumerated(text: str) -> int:
    """How many items an enumeration has beyond the first two, at most three."""
    numbered = len(_NUMBERED.findall(text))
    listed = max((match.count(",") + 1 for match in _LISTED.findall(text)), default=0)
    return min(max(numbered, listed) - 2, 3) if max(numbered, listed) > 2 else 0


def _matches(name: TermClass, text: str) -> list[str]:
    found = {match.lower() for match in _pattern(name).findall(text)}
    return [term for term in TERMS[name] if _hit(term, found)]


def _hit(term: str, found: set[str]) -> bool:
    if term.endswith("*"):
        return any(word.startswith(term[:-1]) for word in found)
    return term in {" ".join(word.split()) for word in found}


@cache
def _pattern(name: TermClass) -> re.Pattern[str]:
    """One pattern a class, longest terms first, compiled when first needed."""
    terms = sorted(TERMS[name], key=len, reverse=True)
    parts = [
        re.escape(term[:-1]) + r"\w*" if term.endswith("*") else re.escape(term) for term in terms
    ]
    alternatives = "|".join(part.replace(r"\ ", r"\s+") for part in parts)
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.I)
