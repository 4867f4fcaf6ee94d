"""The last step: whether a successful run's output answers the request."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from langgraph.runtime import Runtime

from backend.errors import BudgetExceeded, ModelError, ModelUnavailable
from backend.llm.asking import ask
from backend.prompts.texts import JUDGED_CONTEXT_CHARS, OBSERVATION_CHARS, shorten
from backend.store.told import told_what
from backend.tools.coder.heal import find_cause, treat
from backend.tools.coder.schemas import JUDGEMENT_SCHEMA, Judgement, read_judgement, shortfall
from backend.tools.coder.state import CoderContext, CoderState, result_of
from backend.types import Event


async def assess(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Judge whether the output answers the request; without a readable judgement it does."""
    deps = runtime.context
    last = state["attempts"][-1]
    values = {
        "request": state["request"],
        "context": shorten(state["context"], JUDGED_CONTEXT_CHARS),
        "language": state["language"],
        "code": state["code"],
        # A large table takes longer than an event loop may be kept.
        "output": await asyncio.to_thread(_seen, state) if state["outputs"] else _seen(state),
        "artifacts": ", ".join(reference["name"] for reference in state["artifacts"]),
    }
    started = time.monotonic()
    judgement: Judgement | None = None
    try:
        asked = await ask(
            deps.model, "assess", values, read_judgement, schema=JUDGEMENT_SCHEMA, **deps.sampling
        )
        judgement, reason, calls = asked.value, asked.reason, asked.calls
    except (BudgetExceeded, ModelError, ModelUnavailable) as error:
        reason, calls = told_what(error), list(error.calls)
    timings = {"verification_s": time.monotonic() - started}
    if judgement is None:
        assessment: dict[str, Any] = {
            "answers_request": None,
            "reason": f"not judged: {reason}",
            "missing": [],
        }
        return {"assessment": assessment, "calls": calls, "timings": timings}
    update: dict[str, Any] = {
        "assessment": {key: judgement[key] for key in ("answers_request", "reason", "missing")},
        "calls": calls,
        "timings": timings,
    }
    if lacking := shortfall(judgement):
        why = f"It ran, but its output does not answer the request: {lacking}"
        deps.emit(Event(kind="review", text=why))
        result = result_of(last)
        found = await find_cause(state, deps, result, lacking)
        update |= await treat(state, deps, result, found)
    return update


def _seen(state: CoderState) -> str:
    """All that the program has to show but its files: a value that is not printed counts, too."""
    parts = [shorten(state["attempts"][-1]["stdout"], OBSERVATION_CHARS)]
    if state["value"] is not None:
        value = shorten(state["value"], JUDGED_CONTEXT_CHARS)
        parts.append(f"The value of its last expression: {value}")
    if state["outputs"]:
        plain = json.dumps(state["outputs"]["plain"], ensure_ascii=False)
        parts.append(f"What it leaves behind: {shorten(plain, JUDGED_CONTEXT_CHARS)}")
    return "\n".join(filter(None, parts)) or "(nothing was printed)"
