"""The step with the program in the sandbox."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from backend.prompts.texts import OBSERVATION_CHARS, logs_of, shorten
from backend.tools.coder.diagnosis import Diagnosis
from backend.tools.coder.diagnosis.outcome import did_nothing
from backend.tools.coder.heal import find_cause, tell, treat
from backend.tools.coder.improving import improvement_of, shortcoming
from backend.tools.coder.proof.agreement import Held
from backend.tools.coder.state import (
    Attempt,
    CoderContext,
    CoderState,
    retries_of,
    said_of,
    updated,
)
from backend.tools.coder.task import options_of
from backend.types import Event, ExecutionRequest, ExecutionResult


async def run(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Run the program and keep what it wrote; what did not do what it should is diagnosed."""
    deps = runtime.context
    program = {"code": state["code"], "language": state["language"]}
    deps.emit(Event(kind="run", text="Running the program", data=program))
    agreed = options_of(state["options"]).agreed(deps.inputs)
    request = ExecutionRequest(
        code=state["code"],
        language=state["language"],
        files=deps.files,
        variables=deps.inputs,
        checked=said_of(state),
    )
    # What the check found was weighed before; findings that were let pass must not stop it here.
    result = await deps.execute(agreed.asked_of(request), check=False)
    kept = [await deps.blobs.put_artifact(artifact) for artifact in result.artifacts]
    improvement = await improvement_of(state, deps, result)
    update: dict[str, Any] = {
        "attempts": [*state["attempts"], _attempt(state, result)],
        "artifacts": kept,
        "improvement": improvement,
        "isolation": result.isolation.as_dict() if result.isolation else None,
        "value": result.value,
        "notes": list(result.notes),
        "success": True,
        "error": None,
        "error_kind": None,
        "problem": "",
        "step": "",
    }
    reached = updated(state, update)
    found: Diagnosis | None = None
    if not result.success:
        found = await find_cause(reached, deps, result)
    elif lacking := shortcoming(improvement, state, result.stdout) or _idle(state, deps, result):
        found = await find_cause(reached, deps, result, lacking)
    elif agreed.outputs or agreed.constraints.items:
        held = await agreed.hold(deps.engine, result, kept)
        update["outputs"] = {"plain": dict(held.plain), "encoded": dict(held.encoded)}
        found = _breach(held) if held.problem else None
    deps.emit(_output_event(result, tell(reached, found, result) if found else ""))
    for reference in kept:
        deps.emit(Event(kind="artifact", text=reference["name"], data=dict(reference)))
    if found is not None:
        update |= await treat(reached, deps, result, found)
    return update | {"timings": {"execution_s": result.duration_s}}


def _idle(state: CoderState, deps: CoderContext, result: ExecutionResult) -> str:
    """Why nothing came of it. A program that is still so when it was told may be meant so.

    Where nothing can be repaired any more, its judge decides.
    """
    options = state["options"]
    if (
        state["repairs"]
        or not retries_of(state, deps)
        or options["outputs"]
        or options["write_tests"]
        or state["tests"]
    ):
        return ""
    return did_nothing(result, state["code"], state["language"])


def _breach(held: Held) -> Diagnosis:
    kinds = sorted({issue.kind for issue in held.blocking})
    return Diagnosis(
        kind="output",
        root_cause=held.problem,
        advice=("Change the program so that all of it holds.",),
        signature=f"output: {', '.join(kinds)}: {len(held.blocking)}",
    )


def _attempt(state: CoderState, result: ExecutionResult) -> Attempt:
    return {
        "code": state["code"],
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": None,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "diagnosis": None,
        "duration_s": result.duration_s,
    }


def _output_event(result: ExecutionResult, problem: str) -> Event:
    shown = problem or result.stdout
    data = {
        "success": not problem,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "duration_s": round(result.duration_s, 4),
        "value": result.value,
        "logs": logs_of(result),
    }
    return Event(kind="output", text=shorten(shown.rstrip(), OBSERVATION_CHARS), data=data)
