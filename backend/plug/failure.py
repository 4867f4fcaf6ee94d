"""When a use of the coder is an exception for its host, and when it is an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import ToolException

from backend.core.findings import MACHINERY
from backend.errors import PythonCoderError, TaskFailed


class PythonCoderFailed(TaskFailed, ToolException):
    """Our machinery failed: no other arguments would help, so no model is told of it.

    The message says what happened and who must act; ``error_kind`` names the kind, and ``result``
    has what was reached before. A program that failed is no such failure: its error is the answer.
    """


def require_machinery(result: Mapping[str, Any]) -> None:
    """Raise where it was not the program that failed.

    Raises:
        PythonCoderFailed: the model, the sandbox, a switch or a budget ended it, or the program
            waits for somebody's approval.
    """
    if result["error_kind"] == "waiting":
        run = result.get("run_id")
        raise PythonCoderFailed(
            str(result["error"]),
            f"Run `python-coder runs approve {run}`, and then this step again.",
            result=result,
        )
    if result["error_kind"] in MACHINERY:
        raise PythonCoderFailed(str(result["error"]), result=result)


def failure_of(error: PythonCoderError) -> PythonCoderFailed:
    """The same failure for a host that knows tools."""
    return PythonCoderFailed(
        error.what, error.remedy, result={"error": str(error), "error_kind": error.error_kind}
    )
