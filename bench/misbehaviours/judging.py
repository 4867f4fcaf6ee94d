"""Reviews, judgements and diagnoses that are none, or that never come to an end."""

from __future__ import annotations

import json
from typing import Any

from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import judges, repairs, says, writes
from tests.ollama_server import Line

_PLAIN = right("sum 42", calls=3)
_RE_ASKED = right("sum 42", calls=4, mended="re-ask")


def _reviews(verdict: str, *findings: tuple[str, str], **more: Any) -> Line:
    listed = [{"severity": how, "topic": "logic", "message": what} for how, what in findings]
    return says("review", json.dumps({"verdict": verdict, "findings": listed}), **more)


CASES = (
    Misbehaviour(
        does="reviews in words that are no verdict, each time",
        lines=(writes(), says("review", "Hm, hard to tell.", repeat=True)),
        end=_RE_ASKED,
    ),
    Misbehaviour(
        does="reviews nothing but white space, each time",
        lines=(writes(), says("review", " \n", repeat=True)),
        end=_RE_ASKED,
    ),
    Misbehaviour(
        does="wants a revision for matters of taste",
        lines=(writes(), _reviews("revise", ("advisory", "Use f-strings."), repeat=True)),
        end=_PLAIN,
    ),
    Misbehaviour(
        does="wants a revision and names no reason",
        lines=(writes(), _reviews("revise", repeat=True)),
        end=_PLAIN,
    ),
    Misbehaviour(
        does="approves with blocking findings",
        lines=(writes(), _reviews("approve", ("blocking", "It adds."), repeat=True)),
        end=_PLAIN,
    ),
    Misbehaviour(
        does="wants a revision, each time",
        lines=(
            writes(),
            repairs("print('sum', sum([19, 23]))", repeat=True),
            _reviews("revise", ("blocking", "It adds wrongly."), repeat=True),
        ),
        end=error(
            "policy",
            "The program was not run: after 3 rewrites it still has findings. ... It adds wrongly. "
            "... PYTHON_CODE_MAX_ITERATIONS.",
            calls=8,
            mended="3 x rewrite",
        ),
    ),
    Misbehaviour(
        does="judges unreadably, each time",
        lines=(writes(), says("assess", "The output seems nice.", repeat=True)),
        end=right("sum 42", calls=4, mended="re-ask"),
    ),
    Misbehaviour(
        does="judges in an object that says neither",
        lines=(writes(), says("assess", '{"verdict": "fine"}', repeat=True)),
        end=right("sum 42", calls=4, mended="re-ask"),
    ),
    Misbehaviour(
        does="judges that it is not answered, with the reason",
        lines=(
            writes("print('sum is near 40')"),
            judges(False, "the exact sum is missing", when="near 40"),
            repairs(when="the exact sum is missing"),
        ),
        end=right("sum 42", calls=5, runs=2, mended="repair"),
    ),
    Misbehaviour(
        does="drops out while it judges",
        lines=(writes(), says("assess", fault="drop", repeat=True)),
        end=right("sum 42", calls=6, mended="2 x second attempt, re-ask"),
    ),
    Misbehaviour(
        does="calls for more than it may (calls)",
        lines=(
            writes("raise ValueError('lost')"),
            repairs("raise ValueError('lost again')", repeat=True),
        ),
        allowed=3,
        end=error(
            "budget",
            "The request has used 3 of the 3 model calls it may use. Ask for less at once, or allow "
            "more with PYTHON_CODER_MAX_CALLS ...",
            calls=3,
            runs=2,
            mended="repair",
        ),
    ),
    Misbehaviour(
        does="calls for more than it may (tokens)",
        lines=(
            writes("raise ValueError('lost')", tokens=(900, 3900)),
            repairs("raise ValueError('lost again')", repeat=True, tokens=(900, 3900)),
        ),
        settings={"max_total_tokens": 9000, "review": False},
        end=error(
            "budget",
            "The request has used ... of the 9000 tokens it may use; ... "
            "PYTHON_CODER_MAX_TOTAL_TOKENS ...",
            calls=2,
            runs=2,
            mended="repair",
        ),
    ),
)
