"""``POST /v1/execute``: run a program, no model involved."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response

from backend.api.artifacts import keep_artifact
from backend.api.auth import Principal, PrincipalDep, require_admin
from backend.api.body import max_json_bytes, read_json
from backend.api.errors import (
    UnsupportedParameter,
    error_response,
    log_unexpected,
    stopped_response,
)
from backend.api.operations import answers, takes
from backend.api.plain import plain_response
from backend.api.presence import while_connected
from backend.api.schemas import ExecuteRequest
from backend.api.shapes.programs import ExecutionShape
from backend.api.state import Server, ServerDep, base_url_of
from backend.config.settings import Settings
from backend.errors import RequestError
from backend.request_context import in_request
from backend.store.file_names import working_names
from backend.store.sessions import check_session_id
from backend.tools.python_executor_engine import PythonExecutor, open_engine, require_enabled
from backend.types import Artifact, ExecutionRequest, ExecutionResult, Language

router = APIRouter(tags=["execute"])

INLINE_BYTES = 256 * 1024
"""Up to which size an artifact's bytes come with the answer; larger ones by their link."""

_LANGUAGES: tuple[Language, ...] = get_args(Language)


@router.post(
    "/v1/execute",
    summary="Run a program in the sandbox",
    responses=answers(ExecutionShape, 400, 404, 413, 424),
    openapi_extra=takes(ExecuteRequest),
)
async def execute(request: Request, server: ServerDep, principal: PrincipalDep) -> Response:
    """Run a program; 200 says that it was dealt with, not that it worked."""
    limit = max_json_bytes(server.settings)
    body = await read_json(request, ExecuteRequest, max_bytes=limit)
    require_enabled(server.settings)
    if not body.check:
        require_admin(principal, "A program that is not checked", param="check")
    _require_limits(body, server.settings, principal)
    owner = principal.owner
    asked = await _prepare(body, server, owner)
    base_url = base_url_of(request, server.settings)
    return await while_connected(request.receive, _run(asked, body, server, owner, base_url))


def _require_limits(body: ExecuteRequest, settings: Settings, principal: Principal) -> None:
    """See that nobody but an admin goes beyond what the operator gives each program.

    Raises:
        Forbidden: the key is no admin's.
    """
    if body.memory_mb is not None and body.memory_mb > settings.max_memory_mb:
        require_admin(principal, f"More than {settings.max_memory_mb} MiB", param="memory_mb")
    if body.timeout_s is not None and body.timeout_s > settings.timeout_s:
        require_admin(principal, f"More than {settings.timeout_s:g} seconds", param="timeout_s")


async def _prepare(body: ExecuteRequest, server: Server, owner: str) -> ExecutionRequest:
    if body.session_id is not None:
        check_session_id(body.session_id)
        _require_own_executor(body.executor, server)
    if not body.code.strip():
        raise RequestError("The code is empty.", "Send a program.", param="code")
    files = [await server.files.get(each, owner=owner, param="file_ids") for each in body.file_ids]
    placed = working_names(files)

    def paths() -> dict[str, str | Path]:
        return {name: server.files.path(file) for name, file in placed.items()}

    return ExecutionRequest(
        code=body.code,
        language=_language(body.language),
        files=await asyncio.to_thread(paths) if placed else {},
        timeout_s=body.timeout_s,
        memory_mb=body.memory_mb,
        argv=tuple(body.argv),
        figure_formats=tuple(body.figure_formats),
    )


def _require_own_executor(name: str | None, server: Server) -> None:
    own = server.settings.executor
    if name is not None and name != own:
        raise UnsupportedParameter(
            f"Sessions are kept by the executor {own!r}, not by {name[:80]!r}.",
            "Leave out 'executor', or 'session_id'.",
            param="executor",
        )


def _language(value: str) -> Language:
    for language in _LANGUAGES:
        if value == language:
            return language
    raise RequestError(
        f"There is no language {value[:80]!r}.",
        f"Use one of: {', '.join(_LANGUAGES)}.",
        param="language",
    )


async def _run(
    asked: ExecutionRequest, body: ExecuteRequest, server: Server, owner: str, base_url: str
) -> Response:
    may_have_run = has_run = False
    try:
        async with server.turns.take(owner, session_id=body.session_id):
            may_have_run = True
            result = await _execute(asked, body, server, owner)
        has_run = True
        artifacts = [
            await _artifact(each, server, owner, base_url, body.session_id)
            for each in result.artifacts
        ]
    except Exception as error:
        if not has_run:
            raise
        log_unexpected(error)
        return error_response(error, after_run=True)
    except asyncio.CancelledError:
        if not (may_have_run and server.turns.is_closed):
            raise
        return stopped_response(after_run=True)
    return plain_response(_result(result, artifacts, body.session_id))


async def _execute(
    asked: ExecutionRequest, body: ExecuteRequest, server: Server, owner: str
) -> ExecutionResult:
    if body.session_id is not None:
        with in_request(session_id=body.session_id):
            return await server.live_sessions.execute(
                asked, body.session_id, owner=owner, check=body.check
            )
    async with _engine(body.executor, server) as engine:
        return await engine.execute(asked, check=body.check)


@asynccontextmanager
async def _engine(name: str | None, server: Server) -> AsyncIterator[PythonExecutor]:
    """The server's own engine, or one for this request alone when another executor is named."""
    if name in {None, server.settings.executor}:
        yield server.assistant.engine
        return
    async with open_engine(server.settings, name, observe=server.observe) as engine:
        yield engine


async def _artifact(
    artifact: Artifact, server: Server, owner: str, base_url: str, session_id: str | None
) -> dict[str, Any]:
    reference = await server.assistant.blobs.put_artifact(artifact)
    described = await keep_artifact(reference, server, owner, base_url, session_id=session_id)
    small = artifact.size <= INLINE_BYTES
    described["content"] = base64.b64encode(artifact.content).decode() if small else None
    return described


def _result(
    result: ExecutionResult, artifacts: list[dict[str, Any]], session_id: str | None
) -> dict[str, Any]:
    return {
        "success": result.success,
        "returncode": result.returncode,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "stopped_by": result.stopped_by,
        "duration_s": result.duration_s,
        "value": result.value,
        "html": result.html,
        "charts": list(result.charts),
        "failure": result.failure.as_dict() if result.failure else None,
        "artifacts": artifacts,
        "truncated": list(result.truncated),
        "isolation": result.isolation.as_dict() if result.isolation else None,
        "issues": [issue.as_dict() for issue in result.issues],
        "notes": list(result.notes),
        "session_id": session_id,
    }
