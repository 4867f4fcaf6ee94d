"""The steps in which the model writes: the first program, and every new version of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from backend.llm.asking import Asked, Unreadable, ask
from backend.llm.replies import extract_code, strip_thinking
from backend.prompts.texts import (
    OBSERVATION_CHARS,
    list_facts,
    list_findings,
    list_former,
    shorten,
)
from backend.tools.coder.state import CoderContext, CoderState, Former, Modification
from backend.types import Event

_CONTEXT_CHARS = 6000
_PLAN_CHARS = 1000


def _read_program(reply: str) -> tuple[str, str]:
    """The plan and the program of a reply."""
    code = extract_code(reply)
    if code is None:
        raise Unreadable("it holds no whole Python program in a ```python block")
    plan = strip_thinking(reply).partition("```")[0].strip()
    return shorten(plan, _PLAN_CHARS), code


def _no_program(asked: Asked[tuple[str, str]], stage: str) -> dict[str, Any]:
    shown = " ".join(shorten(asked.text, 200).split())
    return {
        "calls": asked.calls,
        "success": False,
        "error_kind": "model",
        "error": (
            f"The model gave no usable program ({stage}): {asked.reason.rstrip('.')}. It answered "
            f"{shown!r}. Ask again in other words, or use a larger model."
        ),
    }


def _common(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    settings = runtime.context.settings
    return {
        "request": state["request"],
        "context": shorten(state["context"], _CONTEXT_CHARS),
        "files": list_facts(state["facts"]),
        "timeout_s": f"{settings.timeout_s:g}",
        "memory_mb": settings.max_memory_mb,
    }


async def generate(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Ask for a short plan and the first program."""
    started = time.monotonic()
    deps = runtime.context
    asked = await ask(
        deps.model,
        "generate",
        _common(state, runtime),
        _read_program,
        temperature=deps.temperature,
        max_tokens=deps.max_tokens,
    )
    timings = {"generation_s": time.monotonic() - started}
    if asked.value is None:
        return _no_program(asked, "generate") | {"timings": timings}
    plan, code = asked.value
    if plan:
        deps.emit(Event(kind="plan", text=plan))
    deps.emit(Event(kind="code", text=code, data={"iteration": 1, "phase": "draft"}))
    return {
        "plan": plan,
        "code": code,
        "phase": "draft",
        "iteration": 1,
        "unchanged": False,
        "calls": asked.calls,
        "timings": timings,
    }


async def rewrite(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Ask for a new version after findings of the check or the review, before a run."""
    problem = list_findings(state["findings"])
    runtime.context.emit(Event(kind="repair", text=f"Rewriting: {problem}"))
    hint = "Your last rewrite changed nothing. Change the program." if state["unchanged"] else ""
    update, change = await _ask_again(state, runtime, problem, hint)
    if "code" not in update:
        return update
    modification: Modification = {
        "iteration": update["iteration"],
        "issues": [str(finding["message"]) for finding in state["findings"]],
        "change": "unchanged" if update["unchanged"] else change,
        "by": "model",
    }
    return update | {
        "phase": "rewrite",
        "rewrites": state["rewrites"] + 1,
        "modifications": [modification],
    }


async def repair(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Ask for a new version after a failed run, with the error and all former attempts."""
    problem = state["problem"]
    runtime.context.emit(Event(kind="repair", text=f"Repairing: {problem.splitlines()[0]}"))
    update, _ = await _ask_again(state, runtime, problem, _same_again(state["former"], problem))
    if "code" not in update:
        return update
    return update | {"phase": "repair", "rewrites": 0, "repairs": state["repairs"] + 1}


def _same_again(former: Sequence[Former], problem: str) -> str:
    if not former or former[-1]["diagnosis"].splitlines()[0] != problem.splitlines()[0]:
        return ""
    return (
        "The same error came twice: the last repair did not touch its cause. "
        "Take another approach to this part of the program."
    )


async def _ask_again(
    state: CoderState, runtime: Runtime[CoderContext], problem: str, repeated: str
) -> tuple[dict[str, Any], str]:
    """The update for a new version, and what the model says it changed."""
    started = time.monotonic()
    deps = runtime.context
    asked = await ask(
        deps.model,
        "repair",
        _common(state, runtime)
        | {
            "code": state["code"],
            "problem": shorten(problem, OBSERVATION_CHARS),
            "attempts": list_former(state["former"]),
            "repeated": repeated,
        },
        _read_program,
        temperature=deps.temperature,
        max_tokens=deps.max_tokens,
    )
    timings = {"improvement_s": time.monotonic() - started}
    if asked.value is None:
        return _no_program(asked, "repair") | {"timings": timings}, ""
    change, code = asked.value
    iteration = state["iteration"] + 1
    deps.emit(Event(kind="code", text=code, data={"iteration": iteration}))
    update = {
        "code": code,
        "iteration": iteration,
        "unchanged": code.split() == state["code"].split(),
        "former": [Former(code=state["code"], diagnosis=problem)],
        "calls": asked.calls,
        "timings": timings,
    }
    return update, change or "rewritten without a word"
