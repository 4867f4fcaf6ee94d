"""One zygote after another: what each has ready, and when it is time for the next."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.zygote import Zygote


@dataclass(frozen=True, kw_only=True)
class Habits:
    """When a pool parts with what it has."""

    most_children: int = 5000
    """Of one zygote: all of them have its hash seed and its addresses."""
    most_seconds: float = 3600.0
    """A zygote's age."""
    idle_seconds: float = 60.0
    """Without a shortage, after which one child fewer is kept ready."""
    look_seconds: float = 5.0
    """Between two looks at all of this, when nothing happens."""


class Generation:
    """A zygote with the children it has ready, and the number of those that are in use."""

    def __init__(self, zygote: Zygote, habits: Habits, *, is_warm: bool) -> None:
        self.zygote = zygote
        self.is_warm = is_warm
        self.ready: deque[Child] = deque()
        self.births = 0
        """Under way."""
        self.in_use = 0
        self._most_children = habits.most_children
        self._until = time.monotonic() + habits.most_seconds

    @property
    def is_worn(self) -> bool:
        """It is time for another."""
        is_old = self.zygote.children >= self._most_children or time.monotonic() >= self._until
        return is_old or not self.zygote.is_alive
