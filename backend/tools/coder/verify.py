"""The steps before a run: the static check, the model's review, and what follows from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime

from backend.errors import BudgetExceeded, ModelError
from backend.foreign_code import in_turn
from backend.llm.asking import ask
from backend.prompts.texts import (
    JUDGED_CONTEXT_CHARS,
    list_facts,
    list_findings,
    shorten,
)
from backend.sandbox.fixes import Fixed, known_files
from backend.sandbox.policy import blocking
from backend.store.told import told_what
from backend.tools.coder.schemas import VERDICT_SCHEMA, Verdict, read_verdict
from backend.tools.coder.state import (
    CoderContext,
    CoderState,
    Modification,
    Verification,
    files_at_hand,
    iterations_of,
    updated,
)
from backend.types import Event, ExecutionRequest, Issue

_ROUNDS = 3
"""Of mending by rule, one after the other, in one visit."""
_NO_RUN = ("rewrite", "refuse")


async def check(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Hold the program against the static check; what has one remedy only is mended at once."""
    started = time.monotonic()
    deps = runtime.context
    issues = await _issues(state, deps)
    update: dict[str, Any] = {}
    fixed = await in_turn(state["code"], lambda: _mend(state, deps, issues))
    if fixed is not None:
        update = _by_rule(state, deps, issues, fixed)
        state = updated(state, update)
        issues = await _issues(state, deps)
    found = [issue.as_dict() for issue in issues]
    against = [issue.as_dict() for issue in blocking(issues)]
    text = list_findings(against) if against else "The static check has nothing against it"
    deps.emit(Event(kind="check", text=text, data={"issues": found}))
    history = update.pop("verification_history", [])
    if against or not _to_be_reviewed(state, runtime):
        history = [*history, _entry(state, runtime, found, against)]
    if against and _rewrite_or_end(updated(state, {"findings": against}), runtime) in _NO_RUN:
        await deps.engine.put_refusal_on_record(_request(state, deps), issues)
    return update | {
        "checked": found,
        "findings": against,
        "verification_history": history,
        "timings": {"verification_s": time.monotonic() - started},
    }


def _request(state: CoderState, deps: CoderContext) -> ExecutionRequest:
    code, language = state["code"], state["language"]
    return ExecutionRequest(code=code, language=language, files=deps.files)


async def _issues(state: CoderState, deps: CoderContext) -> list[Issue]:
    return await in_turn(state["code"], lambda: _check(state, deps, state["code"]))


def _check(state: CoderState, deps: CoderContext, code: str) -> list[Issue]:
    # What will fail is only advice: a run takes milliseconds and tells more than a prophecy.
    files = files_at_hand(state, deps)
    return deps.engine.check(
        code,
        state["language"],
        files,
        known=known_files(files, state["facts"]),
        names=deps.names,
    )


def _mend(state: CoderState, deps: CoderContext, issues: Sequence[Issue]) -> Fixed | None:
    """Mend by rule; what comes to light then (the columns of a file found) is mended, too."""
    if state["language"] != "python" or not iterations_of(state, deps):
        return None
    files = files_at_hand(state, deps)
    known = known_files(files, state["facts"])
    code, changes = state["code"], list[str]()
    for _ in range(_ROUNDS):
        fixed = None
        if issues:
            fixed = deps.engine.fix(code, issues, files, known=known, names=deps.names)
        if fixed is None:
            break
        code = fixed.code
        changes += fixed.changes
        issues = _check(state, deps, code)
    return Fixed(code=code, changes=tuple(changes)) if changes else None


def _by_rule(
    state: CoderState, deps: CoderContext, issues: Sequence[Issue], fixed: Fixed
) -> dict[str, Any]:
    """A rewrite without a model: it is recorded as such, and costs none of the rewrites."""
    iteration = state["iteration"] + 1
    change = "; ".join(fixed.changes)
    deps.emit(Event(kind="repair", text=f"Mended by rule: {change}"))
    deps.emit(Event(kind="code", text=fixed.code, data={"iteration": iteration}))
    modification: Modification = {
        "iteration": iteration,
        "issues": [issue.message for issue in issues],
        "change": change,
        "by": "rule",
    }
    former: Verification = {
        "iteration": state["iteration"],
        "issues": [issue.as_dict() for issue in issues],
        "action": "needs_modification",
        "note": f"Mended by rule: {change}.",
    }
    return {
        "code": fixed.code,
        "iteration": iteration,
        "modifications": [modification],
        "verification_history": [former],
    }


def _to_be_reviewed(state: CoderState, runtime: Runtime[CoderContext]) -> bool:
    """A repair after a failed run is not reviewed again: the next run judges it better."""
    return runtime.context.settings.review and state["phase"] != "repair" and not state["repairs"]


async def after_check(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["review", "approve", "run", "rewrite", "refuse"]:
    """Findings lead to a rewrite while there is budget; a clean program to its review or run."""
    if not state["findings"]:
        return "review" if _to_be_reviewed(state, runtime) else _run(runtime)
    return _rewrite_or_end(state, runtime)


async def review(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Let the model look for blocking faults of intent, logic, safety, runtime and output.

    A verdict that cannot be read or had counts as approval, and the history's note says so: the
    walls protect anyway, and a run tells more than a second opinion.
    """
    started = time.monotonic()
    deps = runtime.context
    values = {
        "request": state["request"],
        "context": shorten(state["context"], JUDGED_CONTEXT_CHARS),
        "files": list_facts(state["facts"]),
        "variables": deps.variables_text(state["language"]),
        "remarks": list_findings(state.get("checked", ())),
        "language": state["language"],
        "code": state["code"],
    }
    verdict: Verdict | None = None
    note, calls = "", []
    try:
        asked = await ask(
            deps.model, "review", values, read_verdict, schema=VERDICT_SCHEMA, **deps.sampling
        )
        verdict, note, calls = asked.value, asked.reason, asked.calls
    except (BudgetExceeded, ModelError) as error:
        note, calls = told_what(error), list(error.calls)
    findings = verdict["findings"] if verdict else []
    revise = verdict is not None and verdict["revise"]
    against = [each for each in findings if revise and each["severity"] == "blocking"]
    deps.emit(Event(kind="review", text=_spoken(verdict, against), data={"findings": findings}))
    entry = _entry(state, runtime, findings, against)
    if verdict is None:
        entry["note"] = f"{entry['note']} The review's verdict was unreadable: {note}".strip()
    return {
        "findings": against,
        "verification_history": [entry],
        "calls": calls,
        "timings": {"verification_s": time.monotonic() - started},
    }


def _spoken(verdict: Verdict | None, against: list[dict[str, Any]]) -> str:
    if verdict is None:
        return "The review could not be read; the program counts as approved"
    return list_findings(against) if against else "The review approves"


async def after_review(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["approve", "run", "rewrite", "refuse"]:
    """Blocking findings lead to a rewrite while there is budget."""
    return _rewrite_or_end(state, runtime) if state["findings"] else _run(runtime)


def _run(runtime: Runtime[CoderContext]) -> Literal["approve", "run"]:
    return "approve" if runtime.context.approvals.asks else "run"


def _rewrite_or_end(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["approve", "run", "rewrite", "refuse"]:
    if state["rewrites"] < iterations_of(state, runtime.context):
        return "rewrite"
    partly = runtime.context.settings.allow_partial_execution
    return _run(runtime) if partly and all(map(_minor, state["findings"])) else "refuse"


def _minor(finding: dict[str, Any]) -> bool:
    """Neither security nor syntax: what partial execution may overlook."""
    if finding.get("severity") == "security" or finding.get("topic") == "safety":
        return False
    return finding.get("kind") != "syntax"


def _entry(
    state: CoderState,
    runtime: Runtime[CoderContext],
    found: Sequence[dict[str, Any]],
    against: Sequence[dict[str, Any]],
) -> Verification:
    """What goes into the history: everything that was found, and what follows from it."""
    spent = state["rewrites"] >= iterations_of(state, runtime.context)
    action: Literal["approved", "needs_modification", "rejected"] = "approved"
    if against:
        action = "rejected" if spent else "needs_modification"
    return {
        "iteration": state["iteration"],
        "issues": list(found),
        "action": action,
        "note": "The program is unchanged since the last one." if state["unchanged"] else "",
    }


async def refuse(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """End without a run: the program still has findings and no rewrite is left."""
    left = list_findings(state["findings"])
    rewrites = state["rewrites"]
    return {
        "success": False,
        "error_kind": "policy",
        "error": (
            f"The program was not run: after {rewrites} rewrite{'s' * (rewrites != 1)} it still has "
            f"findings.\n{left}\nAsk in other words, use a larger model, or raise "
            "PYTHON_CODE_MAX_ITERATIONS."
        ),
    }
