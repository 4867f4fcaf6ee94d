"""A response as it goes out: what the request said, told again, and what has come of it so far."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from backend.api.answering import Completion
from backend.api.errors import error_body
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.schemas import AutoContainer, ResponsesRequest
from backend.config.settings import Settings

Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]

_ERROR_CODES = {
    "invalid_request_error": "invalid_prompt",
    "rate_limit_error": "rate_limit_exceeded",
}


def response_body(job: ResponseJob, settings: Settings, status: Status) -> dict[str, Any]:
    """A response of which nothing is known yet but its request."""
    request, chat = job.request, job.chat
    session_id = chat.session.id if chat.session else None
    return {
        "id": job.id,
        "object": "response",
        "created_at": job.created_at,
        "completed_at": None,
        "status": status,
        "background": bool(request.background),
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": request.metadata or {},
        "model": chat.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": request.previous_response_id or None,
        "conversation": {"id": request.conversation_id} if request.conversation_id else None,
        "reasoning": {"effort": None, "summary": _summary(request)},
        "service_tier": "default",
        "store": request.store is not False,
        "temperature": settings.temperature if request.temperature is None else request.temperature,
        "text": _text(request),
        "tool_choice": request.tool_choice or "auto",
        "tools": _tools(request),
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        "x_session_id": session_id,
        "x_container_id": job.container.id if job.container else None,
        "x_agent_metadata": None,
    }


def with_completion(
    body: Mapping[str, Any], done: Completion, output: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The response once there is an answer."""
    is_cut = done.finish_reason == "length"
    return {
        **body,
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "completed_at": None if is_cut else int(time.time()),
        "output": list(output),
        "usage": usage_of(done.usage),
        "x_agent_metadata": done.metadata,
    }


def with_error(
    body: Mapping[str, Any], error: Exception, output: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The response when our machinery or the model failed."""
    told = error_body(error)["error"]
    code = _ERROR_CODES.get(told["type"], "server_error")
    return {
        **body,
        "status": "failed",
        "error": {"code": code, "message": told["message"]},
        "output": list(output),
    }


def usage_of(usage: Mapping[str, int]) -> dict[str, Any]:
    """Usage by this API's names. Model servers do not tell what was cached or thought."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }


def _summary(request: ResponsesRequest) -> str | None:
    if request.reasoning is None:
        return None
    summary = request.reasoning.summary or request.reasoning.generate_summary
    return summary if summary in {"auto", "concise", "detailed"} else None


def _text(request: ResponsesRequest) -> dict[str, Any]:
    form = request.text.format if request.text else None
    return {"format": form or {"type": "text"}}


def _tools(request: ResponsesRequest) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    for tool in request.tools or ():
        container = tool.container or AutoContainer(type="auto")
        told = container if isinstance(container, str) else container.model_dump(exclude_none=True)
        tools.append({"type": tool.type, "container": told})
    return tools
