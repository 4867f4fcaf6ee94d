"""The step before a run at which the user decides, where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from backend.tools.approval import ApprovalRequest, Decision, decision_of, refused_text
from backend.tools.coder.state import CoderContext, CoderState, Modification
from backend.types import Event


async def approve(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Ask whether the program may run; a changed one is checked like any other.

    The graph stands still at ``interrupt`` until it is resumed with a decision. A program that was
    approved before is not asked about again.
    """
    approvals = runtime.context.approvals
    asked = await approvals.needed(state["code"], state["language"], list(state["files"]))
    return {"step": "run"} if asked is None else _decided(state, runtime, asked)


def _decided(
    state: CoderState, runtime: Runtime[CoderContext], asked: ApprovalRequest
) -> dict[str, Any]:
    decision = decision_of(interrupt(asked.as_dict()))
    runtime.context.approvals.remember(asked, decision)
    if decision.verdict == "approve" or decision.code == state["code"]:
        return {"step": "run"}
    if decision.verdict == "reject":
        return _refused(decision)
    iteration = state["iteration"] + 1
    runtime.context.emit(Event(kind="code", text=decision.code, data={"iteration": iteration}))
    modification: Modification = {
        "iteration": iteration,
        "issues": [],
        "change": decision.note or "Changed by the user.",
        "by": "user",
    }
    return {
        "step": "check",
        "code": decision.code,
        "iteration": iteration,
        # Who changed it has reviewed it.
        "phase": "repair",
        "unchanged": False,
        "modifications": [modification],
    }


def _refused(decision: Decision) -> dict[str, Any]:
    return {
        "step": "",
        "success": False,
        "error": refused_text(decision.note),
        "error_kind": "policy",
    }


async def after_approval(state: CoderState) -> Literal["run", "check", "__end__"]:
    """The way that was chosen."""
    match state["step"]:
        case "run" | "check" as step:
            return step
    return "__end__"


async def approve_install(deps: CoderContext, names: Sequence[str]) -> dict[str, Any] | None:
    """Ask whether packages may be installed; how the task ends if not, else None."""
    asked = deps.approvals.needed_for_install(names)
    if asked is None:
        return None
    decision = decision_of(interrupt(asked.as_dict()))
    return None if decision.verdict == "approve" else _refused(decision)
