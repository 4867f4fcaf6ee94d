"""Runs as they go out."""

from __future__ import annotations

from typing import Any, Final

from fastapi.responses import JSONResponse

from backend.api.answering import usage_body
from backend.store.run_records import Run, RunStatus, RunSummary
from backend.tools.coder.recording import CANCELLED
from backend.usage import total_usage

STATES: Final[dict[str, RunStatus]] = {
    "queued": "queued",
    "running": "running",
    "waiting_approval": "waiting",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""How a run stands for its user -> how it stands in the record.

An interrupted one is queued where a server goes on with it by itself; where somebody waited for it,
who is gone now, it has failed, though it goes on when the same is asked again.
"""
INSIDE = "Something went wrong inside the server. Its log says what."
"""What is told of a fault of ours."""
_INTERRUPTED = {
    "kind": "interrupted",
    "message": "What worked on it ended before it did. Ask the same again: it goes on after its last "
    "finished step.",
}


def state_of(run: RunSummary) -> str:
    """How a run stands for its user."""
    if run.status == "interrupted":
        return "queued" if run.background else "failed"
    return "waiting_approval" if run.status == "waiting" else run.status


def summary_body(run: RunSummary) -> dict[str, Any]:
    """A run in a list."""
    return {
        "id": run.id,
        "object": "run",
        "kind": run.kind,
        "status": state_of(run),
        "background": run.background,
        "cancel_requested": run.cancel_requested,
        "request": run.request,
        "model": run.model,
        "session_id": run.session_id,
        "usage": usage_body({**total_usage(()), **run.usage}),  # type: ignore[typeddict-item]
        "created_at": int(run.created_at),
        "updated_at": int(run.updated_at),
        "finished_at": None if run.finished_at is None else int(run.finished_at),
    }


def run_body(run: Run) -> dict[str, Any]:
    """A run with what came of it."""
    result = run.result or {}
    response = run.response or {}
    return summary_body(run) | {
        "success": result.get("success"),
        "answer": result.get("text"),
        "approval": result.get("approval"),
        "error": _error(run),
        "response": dict(response) if "choices" in response else None,
    }


def accepted(run: Run) -> JSONResponse:
    """The answer to a request that goes on in the background."""
    return JSONResponse(run_body(run), 202, {"Location": f"/v1/runs/{run.id}"})


def _error(run: Run) -> dict[str, str] | None:
    state, result = state_of(run), run.result or {}
    if run.status == "interrupted":
        return None if run.background else _INTERRUPTED
    if state == "cancelled":
        message = str(result.get("error") or CANCELLED)
        return {"kind": "cancelled", "message": message}
    if refused := (run.response or {}).get("error"):
        return {"kind": "internal", "message": str(refused["message"])}
    if state != "failed":
        return None
    uses = result.get("python_coder_results") or [{}]
    decided = (run.spec.get("decided") or {}).values()
    is_refused = any(each["decision"] == "reject" for each in decided)
    kind = "policy" if is_refused else result.get("error_kind") or uses[-1].get("error_kind")
    if "error" in result and not kind:  # a fault of ours: its words are for the log
        return {"kind": "internal", "message": INSIDE}
    message = str(result.get("error") or result.get("text") or "It came to no answer.")
    return {"kind": str(kind or "program"), "message": message}
