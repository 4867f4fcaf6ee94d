"""The steps in which the model writes: the first program, and every new version of it."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from backend.tools.coder.improving import improvement_asked
from backend.tools.coder.state import CoderContext, CoderState, Former, Modification
from backend.tools.coder.strategies import unchanged
from backend.types import Event, Language

_CONTEXT_CHARS = 6000
_PLAN_CHARS = 1000
_AVAILABLE = (
    "numpy, pandas, matplotlib, seaborn, scipy, sklearn, statsmodels, sympy, networkx, PIL, "
    "openpyxl, docx, pptx, pypdf, pdfplumber, bs4, lxml, yaml"
)


def _reader(language: Language, *, fixed: bool) -> Callable[[str], tuple[str, str, Language]]:
    """Reads the plan, the program and its language out of a reply.

    Args:
        language: what was asked for.
        fixed: another language is not accepted instead.
    """

    def read(reply: str) -> tuple[str, str, Language]:
        other: Language = "python" if language == "bash" else "bash"
        for wanted in (language,) if fixed else (language, other):
            code = extract_code(reply, wanted)
            if code is not None:
                plan = strip_thinking(reply).partition("```")[0].strip()
                return shorten(plan, _PLAN_CHARS), code, wanted
        shown = "Python program" if language == "python" else "Bash script"
        raise Unreadable(f"it holds no whole {shown} in a ```{language} block")

    return read


def _no_program(asked: Asked[tuple[str, str, Language]], stage: str) -> dict[str, Any]:
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
    deps = runtime.context
    settings = deps.settings
    return {
        "request": state["request"],
        "context": shorten(state["context"], _CONTEXT_CHARS),
        "files": list_facts(state["facts"]),
        "variables": deps.variables_text(state["language"]),
        "contract": state["contract"],
        "language": state["language"],
        "packages": _AVAILABLE,
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
        _common(state, runtime)
        | {"program": state["options"]["code"], "focus": improvement_asked(state)},
        _reader(state["language"], fixed=bool(state["options"]["language"])),
        **deps.sampling,
    )
    timings = {"generation_s": time.monotonic() - started}
    if asked.value is None:
        return _no_program(asked, "generate") | {"timings": timings}
    plan, code, language = asked.value
    if plan:
        deps.emit(Event(kind="plan", text=plan))
    deps.emit(Event(kind="code", text=code, data={"iteration": 1, "phase": "draft"}))
    return {
        "plan": plan,
        "code": code,
        "language": language,
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
    told = problem.splitlines()[0].rstrip(":")
    runtime.context.emit(Event(kind="repair", text=f"Repairing: {told}"))
    update, _ = await _ask_again(state, runtime, problem, state["instruction"])
    if "code" not in update:
        return update
    return update | {"phase": "repair", "rewrites": 0, "repairs": state["repairs"] + 1}


async def _ask_again(
    state: CoderState, runtime: Runtime[CoderContext], problem: str, instruction: str
) -> tuple[dict[str, Any], str]:
    """The update for a new version, and what the model says it changed."""
    started = time.monotonic()
    deps = runtime.context
    asked = await ask(
        deps.model,
        "repair",
        _common(state, runtime)
        | {
            "plan": state["plan"],
            "code": "" if state["fresh"] else state["code"],
            "problem": shorten(problem, OBSERVATION_CHARS),
            "attempts": list_former(state["former"], state["language"]),
            "instruction": instruction,
        },
        _reader(state["language"], fixed=bool(state["options"]["language"])),
        **deps.sampling,
    )
    timings = {"improvement_s": time.monotonic() - started}
    if asked.value is None:
        return _no_program(asked, "repair") | {"timings": timings}, ""
    change, code, language = asked.value
    iteration = state["iteration"] + 1
    deps.emit(Event(kind="code", text=code, data={"iteration": iteration}))
    update = {
        "code": code,
        "language": language,
        "iteration": iteration,
        "unchanged": unchanged(state["code"], code, language=language),
        "fresh": False,
        "former": [given_up(state, problem)],
        "calls": asked.calls,
        "timings": timings,
    }
    return update, change or "rewritten without a word"


def given_up(state: CoderState, problem: str) -> Former:
    """The program as it is remembered in every later prompt."""
    diagnosed = state["attempts"][-1]["diagnosis"] if state["attempts"] else None
    signature = diagnosed["signature"] if diagnosed else ""
    return {"code": state["code"], "diagnosis": problem, "signature": signature}
