"""Every error, whatever the status."""

from __future__ import annotations

from backend.api.shapes.base import Shape


class ErrorDetail(Shape):
    """What went wrong."""

    message: str
    """What happened, with the value, and what to do next: for people."""
    type: str
    """The kind, as OpenAI names it: `invalid_request_error`, `authentication_error`,
    `permission_error`, `rate_limit_error` or `server_error`."""
    param: str | None
    """The field or parameter that is meant, where it is one."""
    code: str | None
    """For programs: `unsupported_parameter`, `not_found`, `model_not_found`, `too_large`, `busy`,
    `budget_exceeded`, `cancelled`, `model_unavailable`, `bad_reply`, `sandbox_unavailable`, `store_unavailable`,
    `disabled`, `internal_error` ...; null where the type says it all."""


class Error(Shape):
    """The body of every answer with a status from 400 on."""

    error: ErrorDetail
    """What went wrong."""
