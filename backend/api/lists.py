"""Some of a longer list, as every endpoint answers with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def list_body(data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """The body of a page: ``after`` set to its ``last_id`` asks for what follows.

    Ids are text here whatever they are in the entries: a run's events have numbers.
    """
    return {
        "object": "list",
        "data": list(data),
        "first_id": str(data[0]["id"]) if data else None,
        "last_id": str(data[-1]["id"]) if data else None,
        "has_more": has_more,
    }
