"""The steps with the program in the sandbox: look into the files, run, judge the output."""

from __future__ import annotations

import re
import time
from typing import Any, Literal

from langgraph.runtime import Runtime

from backend.errors import ModelError, ModelUnavailable
from backend.llm.asking import ask
from backend.prompts.texts import JUDGED_CONTEXT_CHARS, OBSERVATION_CHARS, shorten
from backend.tools.coder.schemas import JUDGEMENT_SCHEMA, Judgement, read_judgement, shortfall
from backend.tools.coder.state import Attempt, CoderContext, CoderState, paths_of
from backend.tools.python_executor_engine import describe_files
from backend.types import Event, ExecutionRequest, ExecutionResult

_TRACEBACK_CHARS = 4000
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Iteration)\b")
"""How a traceback's last line begins; a message of several lines follows it."""
_REMEDY = {
    "timeout": "Do the same with less work: vectorise, sample, or end the loop.",
    "cpu": "Do the same with less work: vectorise, sample, or end the loop.",
    "memory": "Use less memory: read fewer columns, work in chunks, avoid copies.",
    "processes": "Start fewer processes and threads; one is best.",
    "disk": "Write less.",
    "output": "Print less: only the results that were asked for.",
}


async def prepare(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Look into the input files inside the sandbox, unless that was done before."""
    if state["inspected"]:
        return {}
    started = time.monotonic()
    facts = await describe_files(runtime.context.engine, paths_of(state["files"]))
    update: dict[str, Any] = {
        "facts": facts,
        "inspected": True,
        "timings": {"preparation_s": time.monotonic() - started},
    }
    runtime.context.emit(
        Event(kind="files", text="Looked into " + ", ".join(state["files"]), data={"facts": facts})
    )
    if unreadable := unreadable_files(facts):
        update |= {"success": False, "error_kind": "input", "error": unreadable}
    return update


def unreadable_files(facts: list[dict[str, Any]]) -> str:
    """One sentence about the files that cannot be read; '' when all can."""
    broken = [f"{entry['name']!r}: {entry['error']}" for entry in facts if entry.get("error")]
    if not broken:
        return ""
    return (
        f"An input file cannot be read. {'; '.join(broken)}. "
        "Check that the file is whole and that its ending tells its type."
    )


async def run(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Run the program and keep what it wrote."""
    deps = runtime.context
    deps.emit(Event(kind="run", text="Running the program"))
    request = ExecutionRequest(code=state["code"], files=paths_of(state["files"]))
    # What the check found was weighed before; findings that were let pass must not stop it here.
    result = await deps.engine.execute(request, check=False)
    kept = [await deps.blobs.put_artifact(artifact) for artifact in result.artifacts]
    failure = None if result.success else describe_failure(result)
    deps.emit(_output_event(result))
    for reference in kept:
        deps.emit(Event(kind="artifact", text=reference["name"], data=dict(reference)))
    attempt: Attempt = {
        "code": state["code"],
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": failure.splitlines()[0] if failure else None,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "diagnosis": failure or "It ran.",
        "duration_s": result.duration_s,
    }
    return {
        "attempts": [attempt],
        "artifacts": kept,
        "isolation": result.isolation.as_dict() if result.isolation else None,
        "value": result.value,
        "notes": list(result.notes),
        "success": result.success,
        "error": failure,
        "error_kind": None if result.success else "program",
        "problem": failure or "",
        "timings": {"execution_s": result.duration_s},
    }


def _output_event(result: ExecutionResult) -> Event:
    shown = result.stdout if result.success else describe_failure(result)
    data = {
        "success": result.success,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "duration_s": round(result.duration_s, 4),
        "value": result.value,
    }
    return Event(kind="output", text=shorten(shown.rstrip(), OBSERVATION_CHARS), data=data)


def describe_failure(result: ExecutionResult) -> str:
    """What went wrong, its first line the shortest form of it, for a model or a person."""
    stderr = result.stderr.strip()
    if result.stopped_by in _REMEDY:
        head = f"It was stopped by the {result.stopped_by} limit. {_REMEDY[result.stopped_by]}"
    elif result.stopped_by:
        head = f"It was ended from outside ({result.stopped_by})."
    elif stderr and result.returncode == 1:
        head = _error_line(stderr)
    else:
        head = f"It ended with exit status {result.returncode}."
    parts = [head, *result.notes]
    if stderr and stderr != head:
        parts.append(shorten(stderr, _TRACEBACK_CHARS))
    if result.stdout.strip():
        parts.append(f"It printed before that:\n{shorten(result.stdout.strip(), 1500)}")
    return "\n".join(parts)


def _error_line(stderr: str) -> str:
    lines = stderr.splitlines()
    named = (line for line in reversed(lines) if _ERROR_LINE.match(line))
    return next(named, lines[-1])


def after_run(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["assess", "repair", "__end__"]:
    """A failed run is repaired while there is budget; a good one is judged where that is wanted."""
    if state["success"]:
        return "assess" if runtime.context.assess else "__end__"
    return "repair" if state["repairs"] < runtime.context.settings.max_retries else "__end__"


async def assess(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Judge whether the output answers the request; without a readable judgement it does."""
    deps = runtime.context
    last = state["attempts"][-1]
    values = {
        "request": state["request"],
        "context": shorten(state["context"], JUDGED_CONTEXT_CHARS),
        "code": state["code"],
        "output": shorten(last["stdout"], OBSERVATION_CHARS) or "(nothing was printed)",
        "artifacts": ", ".join(reference["name"] for reference in state["artifacts"]),
    }
    started = time.monotonic()
    judgement: Judgement | None = None
    try:
        asked = await ask(deps.model, "assess", values, read_judgement, schema=JUDGEMENT_SCHEMA)
        judgement, reason, calls = asked.value, asked.reason, asked.calls
    except (ModelError, ModelUnavailable) as error:
        reason, calls = error.what, list(error.calls)
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
        update |= {"problem": why, "success": False, "error": why, "error_kind": "program"}
    return update


def after_assess(state: CoderState, runtime: Runtime[CoderContext]) -> Literal["repair", "__end__"]:
    """An output that does not answer the request is repaired while there is budget."""
    if state["success"] or state["repairs"] >= runtime.context.settings.max_retries:
        return "__end__"
    return "repair"
