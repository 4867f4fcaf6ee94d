"""A response of which nothing is known yet but its request, told again."""

from __future__ import annotations

from typing import Any

from backend.api.responses.container_schemas import AutoContainer
from backend.api.responses.outcome import Status
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.schemas import ResponsesRequest
from backend.config.settings import Settings


def response_body(job: ResponseJob, settings: Settings, status: Status) -> dict[str, Any]:
    """The response to begin with."""
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
        "x_run_id": None,
        "x_container_id": job.container.id if job.container else None,
        "x_agent_metadata": None,
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
