"""The state of a planned request, and what the node of a tool is told of its step."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.types import Send

from backend.core.findings import StepFinding, describe, findings_of, seconds_of
from backend.core.plans import PlanStep
from backend.core.progress import DoneStep, Progress, StepStatus
from backend.tools.registry import ToolName
from backend.types import ModelCall


def _first_said(left: str, right: str) -> str:
    """Of steps done side by side, the first that ends the work says why."""
    return left or right


class PlanState(TypedDict, total=False):
    """The state of one request; plain JSON values."""

    request: str
    plans: int
    plan: list[PlanStep]
    steps: Annotated[list[DoneStep], add]
    python_coder_results: Annotated[list[dict[str, Any]], add]
    tool_results: Annotated[list[dict[str, Any]], add]
    """Of all other tools; each with the id of its step, as the coder's have it."""
    calls: Annotated[list[ModelCall], add]
    answer: str
    questions: list[str]
    """What has to be known first; then there is no plan, and they are the answer."""
    success: bool
    why: str
    """Why the last plan, or the answer after it, did not do."""
    ending: Annotated[str, _first_said]
    """Why no further plan is made."""


class Assignment(TypedDict):
    """What the node of a tool is told of the step that it is to do."""

    request: str
    plan: int
    wave: int
    step: PlanStep
    number: int
    """Uses of the coder before this one."""
    findings: list[StepFinding]
    note: str
    """What went wrong before."""


def first_plan_state(request: str) -> PlanState:
    """The state to start from."""
    return {
        "request": request,
        "plans": 0,
        "plan": [],
        "steps": [],
        "python_coder_results": [],
        "tool_results": [],
        "calls": [],
        "answer": "",
        "questions": [],
        "success": False,
        "why": "",
        "ending": "",
    }


def entry_of(
    plan_number: int,
    wave: int,
    step: PlanStep,
    status: StepStatus,
    result: dict[str, Any] | str,
) -> DoneStep:
    """What is kept of a step: its result, or in words why there is none."""
    return {
        "plan": plan_number,
        "wave": wave,
        "id": step["id"],
        "task": step["task"],
        "tool": step["tool"],
        "depends_on": step["depends_on"],
        "status": status,
        "observation": result if isinstance(result, str) else describe(result),
        "duration_s": 0.0 if isinstance(result, str) else seconds_of(result),
    }


def assign(state: PlanState, progress: Progress) -> list[Send]:
    """Hand out all steps whose turn it is."""
    uses = len(state["python_coder_results"])
    findings = findings_of(state)
    sends = []
    for step in progress.ready:
        is_coder = step["tool"] == ToolName.PYTHON_CODER
        assignment: Assignment = {
            "request": state["request"],
            "plan": state["plans"],
            "wave": progress.wave,
            "step": step,
            "number": uses,
            "findings": findings if is_coder else [],
            "note": progress.note_on(step, state["why"]),
        }
        uses += is_coder
        sends.append(Send("python_coder" if is_coder else "tool", assignment))
    return sends
