"""Whose request it is that is being worked on: for logs, spans, the audit trail and how errors are told.

It follows the work by itself, over ``await`` and into tasks that are begun in it. Nothing that
decides what somebody may do or see reads it: owners are passed as arguments. An error tells less
where nothing is known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """What is known of the request; '' where nothing is."""

    request_id: str = ""
    owner: str = ""
    key_id: str = ""
    """The API key it came with."""
    run_id: str = ""
    session_id: str = ""
    source: str = ""
    """Where it came in: ``POST /v1/execute``, ``python-coder run``; '' for a program of others."""


_CURRENT: ContextVar[RequestContext] = ContextVar("request", default=RequestContext())  # noqa: B039 - frozen


def current_request() -> RequestContext:
    """The request that is being worked on here."""
    return _CURRENT.get()


@contextmanager
def in_request(**known: str) -> Iterator[RequestContext]:
    """Work on a request of which this is known, beside what is known around it."""
    token = _CURRENT.set(replace(_CURRENT.get(), **known))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)
