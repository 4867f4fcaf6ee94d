"""Every error as OpenAI's clients expect it: ``{"error": {message, type, param, code}}``.

The tree of ``backend/errors.py`` names each class's status. One rule is added here: once a program
has run, no status may make a client send the request again, for it would run again. OpenAI's SDKs
repeat 408, 409, 429 and 5xx; what would be one of those becomes ``FAILED_AFTER_RUN``.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from backend.errors import (
    BadReply,
    BudgetExceeded,
    Busy,
    Conflict,
    ContextExceeded,
    Disabled,
    MachineError,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
    PythonCoderError,
    RequestError,
    RunCancelled,
    SandboxUnavailable,
    StoreUnavailable,
    TooLarge,
)
from backend.store.told import told

FAILED_AFTER_RUN = 424
"""Failed Dependency: a program has run, then something the answer depends on did not work."""

RETRY_AFTER_S = 5
"""Seconds until a client may ask again for what the machine does not have at the moment."""

_FIELD_CHARS = 200
"""Of the place of a fault: names of fields may be the caller's."""
_REASON_CHARS = 600
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PLACES = frozenset({"body", "query", "path", "header"})


class UnsupportedParameter(RequestError):
    """The request asks for something of OpenAI's API that is not offered here."""


class Forbidden(RequestError):
    """The request comes from where requests are not taken from, or asks for what it may not."""

    http_status = 403


class NotThatPart(RequestError):
    """The part that is asked for lies behind the end."""

    http_status = 416


class Unauthenticated(RequestError):
    """The request came without a key that opens anything."""

    http_status = 401


class RateLimited(Busy):
    """A key has used up what it may ask for at present."""


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    FAILED_AFTER_RUN: "server_error",
}
_CODES: tuple[tuple[type[PythonCoderError], str], ...] = (
    (ModelNotFound, "model_not_found"),
    (ModelUnavailable, "model_unavailable"),
    (SandboxUnavailable, "sandbox_unavailable"),
    (StoreUnavailable, "store_unavailable"),
    (ContextExceeded, "context_length_exceeded"),
    (BadReply, "bad_reply"),
    (BudgetExceeded, "budget_exceeded"),
    (RunCancelled, "cancelled"),
    (Unauthenticated, "invalid_api_key"),
    (RateLimited, "rate_limit_exceeded"),
    (Conflict, "conflict"),
    (Busy, "busy"),
    (Disabled, "disabled"),
    (NotFound, "not_found"),
    (TooLarge, "too_large"),
)


def envelope(
    message: str, *, status: int, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    kind = _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_body(error: Exception) -> dict[str, Any]:
    """The body for anything that was raised; of what is not ours, only that it happened."""
    if not isinstance(error, PythonCoderError):
        return envelope(
            "Something went wrong inside the server. Its log says what.",
            status=500,
            code="internal_error",
        )
    if isinstance(error, UnsupportedParameter):
        code: str | None = "unsupported_parameter"
    else:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    param = "model" if isinstance(error, ModelNotFound) else getattr(error, "param", None)
    return envelope(told(error), status=error.http_status, param=param, code=code)


def log_unexpected(error: Exception) -> None:
    """Put what is not ours into the log, where an answer only tells that it happened."""
    if not isinstance(error, PythonCoderError):
        logging.getLogger("backend.api").error("A request failed", exc_info=error)


def error_response(error: Exception, *, after_run: bool = False) -> JSONResponse:
    """The response for anything that was raised.

    Args:
        error: what was raised.
        after_run: a program has run, so that the request must not be repeated by itself.
    """
    status = error.http_status if isinstance(error, PythonCoderError) else 500
    headers: dict[str, str] = {}
    if status == 503 or isinstance(error, Busy):
        known_s = error.retry_after_s if isinstance(error, Busy) else None
        headers["Retry-After"] = str(known_s or RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if after_run and (status >= 500 or status in {408, 409, 429}):
        status, headers = FAILED_AFTER_RUN, {"X-Should-Retry": "false"}
    elif isinstance(error, BudgetExceeded | Conflict):
        # The same request uses up the same budget again; what is decided stays so.
        headers["X-Should-Retry"] = "false"
    return JSONResponse(error_body(error), status, headers)


def stopped(*, after_run: bool = False) -> MachineError:
    """Why a request was cancelled under way that nobody cancelled but the server's own end."""
    remedy = (
        "A program of it may have run: see what that did before you ask for it again."
        if after_run
        else "Ask for it again."
    )
    return MachineError("The server was stopped before this was done.", remedy)


def stopped_response(*, after_run: bool = False) -> JSONResponse:
    """The response to such a request; ``after_run`` as above."""
    return error_response(stopped(after_run=after_run), after_run=after_run)


def validation_error(error: ValidationError | RequestValidationError) -> RequestError:
    """What is wrong with a field, as the caller's mistake."""
    faults = error.errors()
    fault = faults[0]
    place = [str(part) for part in fault["loc"] if part not in _PLACES]
    field = ".".join(place)[:_FIELD_CHARS] or None
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "string_too_long":
        reason += f", not {len(fault['input'])}"
    more = f" ({len(faults) - 1} more like this.)" if len(faults) > 1 else ""
    return RequestError(
        f"{field or 'The body'}: {reason[:_REASON_CHARS]}.{more}",
        "/openapi.json says what is taken.",
        param=field,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make the application answer every failure with the envelope."""
    app.add_exception_handler(PythonCoderError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _ours)


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    return error_response(error)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(validation_error(error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _methods(request)
    messages = {
        404: f"There is no {request.method} {request.url.path}. "
        "The API begins with /v1; /openapi.json describes it.",
        405: f"{request.url.path} does not take {request.method}. Use {headers.get('Allow')}.",
    }
    message = messages.get(error.status_code) or HTTPStatus(error.status_code).phrase
    body = envelope(message, status=error.status_code)
    return JSONResponse(body, error.status_code, headers)


def _methods(request: Request) -> str:
    """What an address takes, over all its routes: Starlette names the first one's only."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    return ", ".join(
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    )


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it
