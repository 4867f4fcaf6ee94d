"""A session's keeper: to come."""

from __future__ import annotations

from typing import Any


class Session:
    """To come."""

    def __init__(self, *_: Any) -> None:
        raise NotImplementedError

    def to_the_end(self) -> None:
        """To come."""
