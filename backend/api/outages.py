"""What fails again and again is said when it begins, now and then while it lasts, and when it ends."""

from __future__ import annotations

import logging
import math
import time

AGAIN_S = 60.0
"""Seconds between the lines about an outage that lasts."""


class Outage:
    """Of one thing that is tried every few seconds. Not for use in several threads."""

    def __init__(self, *, fails: str, works: str) -> None:
        """Say what the log says while it fails, before the reason, and when it works again."""
        self._fails = fails
        self._works = works
        self._told_at = -math.inf

    def note_failure(self, error: Exception) -> None:
        """It was tried, and failed."""
        now = time.monotonic()
        if now - self._told_at >= AGAIN_S:
            self._told_at = now
            logging.getLogger("backend.api").warning("%s: %s", self._fails, error)

    def note_success(self) -> None:
        """It was tried, and has worked."""
        if self._told_at > -math.inf:
            self._told_at = -math.inf
            logging.getLogger("backend.api").warning("%s.", self._works)
