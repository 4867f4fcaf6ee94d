"""What a caller hands to ``python_coder``: held against the types it should have, put into words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from backend.config.settings import Settings
from backend.errors import RequestError
from backend.tools.approval import Approver
from backend.types import ApprovalMode

Context = str | Mapping[str, Any] | None


def background_text(context: Context) -> str:
    """The context as text: a mapping as readable JSON."""
    if context is None:
        return ""
    if isinstance(context, str):
        return context
    return json.dumps(dict(context), ensure_ascii=False, indent=1, default=str)


def require_arguments(query: Any, context: Any, file_paths: Any) -> None:
    """Hold the three arguments that every task has against their types.

    Raises:
        TypeError: one has another.
    """
    if not isinstance(query, str):
        raise TypeError(f"query must be a str, not {type(query).__name__}")
    if context is not None and not isinstance(context, str | Mapping):
        raise TypeError(f"context must be a str, a mapping or None, not {type(context).__name__}")
    if file_paths is None:
        return
    if isinstance(file_paths, str | bytes) or not isinstance(file_paths, Sequence):
        raise TypeError(
            f"file_paths must be a list of str, not {type(file_paths).__name__}: write [path]."
        )
    for path in file_paths:
        if not isinstance(path, str):
            raise TypeError(f"each of file_paths must be a str, not {type(path).__name__}")


def require_type(name: str, value: Any, wanted: type) -> None:
    """Hold an argument that may be left out against its type.

    Raises:
        TypeError: it has another.
    """
    if value is not None and not isinstance(value, wanted):
        shown = wanted.__name__
        raise TypeError(f"{name} must be of type {shown} or None, not {type(value).__name__}")


def approval_of(
    approve: ApprovalMode | Approver | None, approver: Approver | None, settings: Settings
) -> dict[str, Any]:
    """``mode`` and ``approver`` of a wish, from the forms a caller may say it in.

    Raises:
        RequestError: ``approve`` is none of them.
    """
    if callable(approve):
        return {"mode": "always", "approver": approve}
    mode = settings.approve if approve is None else approve
    if mode not in get_args(ApprovalMode):
        raise RequestError(
            f"approve is {mode!r}.",
            f"Use one of: {', '.join(get_args(ApprovalMode))}, or a function that decides.",
            param="approve",
        )
    return {"mode": mode, "approver": approver}
