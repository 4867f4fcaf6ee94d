"""The step with the program in the sandbox, and what its result says."""

from __future__ import annotations

import re
from typing import Any

from langgraph.runtime import Runtime

from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.coder.improving import improvement_of, shortcoming
from backend.tools.coder.state import Attempt, CoderContext, CoderState, paths_of
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


async def run(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Run the program and keep what it wrote; a run that did not do what it should is diagnosed."""
    deps = runtime.context
    deps.emit(Event(kind="run", text="Running the program"))
    request = ExecutionRequest(
        code=state["code"],
        language=state["language"],
        files=paths_of(state["files"]),
        variables=deps.inputs,
    )
    # What the check found was weighed before; findings that were let pass must not stop it here.
    result = await deps.engine.execute(request, check=False)
    kept = [await deps.blobs.put_artifact(artifact) for artifact in result.artifacts]
    improvement = improvement_of(state, result)
    problem, diagnosed = "", None
    if not result.success:
        problem, diagnosed = describe_failure(result), None
    elif lacking := shortcoming(improvement, state, result.stdout):
        problem, diagnosed = lacking, None
    deps.emit(_output_event(result, problem))
    for reference in kept:
        deps.emit(Event(kind="artifact", text=reference["name"], data=dict(reference)))
    attempt: Attempt = {
        "code": state["code"],
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": problem.splitlines()[0] if problem else None,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "diagnosis": diagnosed,
        "duration_s": result.duration_s,
    }
    return {
        "attempts": [attempt],
        "artifacts": kept,
        "improvement": improvement,
        "isolation": result.isolation.as_dict() if result.isolation else None,
        "value": result.value,
        "notes": list(result.notes),
        "success": not problem,
        "error": problem or None,
        "error_kind": "program" if problem else None,
        "problem": problem,
        "timings": {"execution_s": result.duration_s},
    }


def _output_event(result: ExecutionResult, problem: str) -> Event:
    shown = problem or result.stdout
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
