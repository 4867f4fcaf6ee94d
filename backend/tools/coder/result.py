"""What a task ends with: the documented dict, the same on every path."""

from __future__ import annotations

from typing import Any

from backend.errors import PythonCoderError
from backend.sandbox.policy import third_party_imports
from backend.store.blobs import BlobStore
from backend.store.told import told
from backend.tools.coder.state import CoderState
from backend.types import ArtifactRef
from backend.usage import total_usage

_TIMINGS = ("generation_s", "verification_s", "execution_s", "improvement_s", "total_s")


def build_result(
    state: CoderState, *, total_s: float, blobs: BlobStore | None = None
) -> dict[str, Any]:
    """The result of a task from its last state; plain JSON values only.

    Args:
        state: the last state that was reached, complete or not.
        total_s: seconds from the request to now.
        blobs: where the artifacts lie, to name their paths.
    """
    attempts = state.get("attempts", [])
    measured = {**dict.fromkeys(_TIMINGS, 0.0), **state.get("timings", {}), "total_s": total_s}
    timings = {key: round(seconds, 4) for key, seconds in measured.items()}
    error = state.get("error")
    outputs = state.get("outputs")
    return {
        "success": state.get("success", False),
        "code": state.get("code", ""),
        "output": attempts[-1]["stdout"] if attempts else "",
        "error": error,
        "error_kind": state.get("error_kind") if error else None,
        "execution_time": timings["execution_s"],
        "iterations": state.get("iteration", 0),
        "modifications": state.get("modifications", []),
        "verification_history": state.get("verification_history", []),
        "plan": state.get("plan", ""),
        "language": state.get("language", "python"),
        "packages": _packages(state),
        "installed": state.get("installed", []),
        "value": state.get("value"),
        "outputs": outputs["plain"] if outputs else None,
        "typed_outputs": outputs["encoded"] if outputs else None,
        "tests": state.get("tests", []),
        "test_report": next(reversed(state.get("test_reports", [])), None),
        "improvement": state.get("improvement"),
        "facts": state.get("facts", []),
        "artifacts": [_with_path(reference, blobs) for reference in state.get("artifacts", [])],
        "attempts": attempts,
        "assessment": state.get("assessment"),
        "usage": total_usage(state.get("calls", [])),
        "calls": state.get("calls", []),
        "timings": timings,
        "isolation": state.get("isolation"),
        "notes": [*state.get("remarks", []), *state.get("notes", [])],
        "approval": None,
    }


def _packages(state: CoderState) -> list[str]:
    if state.get("language") != "python":
        return []
    return list(third_party_imports(state.get("code", "")))


def _with_path(reference: ArtifactRef, blobs: BlobStore | None) -> dict[str, Any]:
    path = {} if blobs is None else {"path": str(blobs.path(reference["sha256"]))}
    return {**reference, **path}


def failed(state: CoderState, error: PythonCoderError) -> CoderState:
    """The state with our machinery's failure written over its outcome."""
    calls = [*state.get("calls", []), *error.calls]
    return {
        **state,
        "calls": calls,
        "success": False,
        "error": told(error),
        "error_kind": error.error_kind,
    }
