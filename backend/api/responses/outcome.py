"""What has come of a response, put into it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from backend.api.errors import error_body

Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]

UNFINISHED: Final = frozenset({"queued", "in_progress"})

_CODES: Final = {
    "invalid_request_error": "invalid_prompt",
    "rate_limit_error": "rate_limit_exceeded",
}


def finished_body(
    body: Mapping[str, Any],
    *,
    output: Sequence[Mapping[str, Any]],
    usage: Mapping[str, int],
    metadata: Mapping[str, Any],
    is_cut: bool,
    completed_at: int | None = None,
) -> dict[str, Any]:
    """The response once there is an answer.

    Args:
        body: the response so far.
        output: its items.
        usage: as a chat completion has it.
        metadata: ``x_agent_metadata``.
        is_cut: the answer ended at its limit.
        completed_at: Unix time in seconds; None: now.
    """
    return {
        **body,
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "completed_at": None if is_cut else completed_at or int(time.time()),
        "output": list(output),
        "usage": _usage(usage),
        "x_run_id": metadata["run_id"],
        "x_agent_metadata": dict(metadata),
    }


def failed_body(
    body: Mapping[str, Any],
    code: str,
    message: str,
    output: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The response when there is none."""
    error = {"code": code, "message": message}
    return {**body, "status": "failed", "error": error, "output": list(output)}


def failed_with(
    body: Mapping[str, Any], error: Exception, output: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The response when something was raised."""
    told = error_body(error)["error"]
    return failed_body(body, _CODES.get(told["type"], "server_error"), told["message"], output)


def _usage(usage: Mapping[str, int]) -> dict[str, Any]:
    """Usage by this API's names. Model servers do not tell what was cached or thought."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }
