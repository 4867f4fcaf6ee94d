"""How much a key may ask for: requests a minute, and requests at a time.

Counted in this process's memory: several servers on one database allow as much each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backend.api.errors import RateLimited
from backend.config.settings import Settings
from backend.store.key_records import Key

_MINUTE_S = 60.0
_SOON_S = 1
"""Seconds after which a place may be free again: nobody knows when a request will end."""


@dataclass(kw_only=True)
class _Account:
    """What one key has used."""

    tokens: float = math.inf
    """Requests that it may make now, as far as its limit goes."""
    counted_at: float = 0.0
    under_way: int = 0


@dataclass(frozen=True, kw_only=True)
class KeyStanding:
    """How a key stands after a request, for its headers."""

    limit: int
    """Requests a minute."""
    remaining: int
    reset_s: float
    """Seconds until it may make as many as ``limit`` at once."""

    def headers(self) -> dict[str, str]:
        """As OpenAI's API tells it."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{math.ceil(self.reset_s)}s",
        }


class Allowance:
    """Who has asked for how much, by key."""

    def __init__(self, settings: Settings) -> None:
        self._rate = settings.rate_limit
        self._parallel = settings.max_parallel_requests
        self._accounts: dict[str, _Account] = {}

    def take(self, key: Key) -> KeyStanding | None:
        """Count a request; None where the key has no limit.

        A key can save up a minute's requests, and gets them back evenly.

        Raises:
            RateLimited: it has used up its requests; says when the next one may come.
        """
        limit = self._rate if key.requests_per_minute is None else key.requests_per_minute
        if limit == 0:
            return None
        account, a_second = self._account(key), limit / _MINUTE_S
        now = time.monotonic()
        gained = (now - account.counted_at) * a_second
        account.tokens, account.counted_at = min(account.tokens + gained, limit), now
        if account.tokens < 1:
            wait_s = math.ceil((1 - account.tokens) / a_second)
            raise RateLimited(
                f"This key may make {limit} requests a minute, and has.",
                f"Try again in {wait_s} s.",
                retry_after_s=wait_s,
            )
        account.tokens -= 1
        return KeyStanding(
            limit=limit,
            remaining=int(account.tokens),
            reset_s=(limit - account.tokens) / a_second,
        )

    @contextmanager
    def place(self, key: Key) -> Iterator[None]:
        """One of the places for the key's requests at a time, until the answer is out.

        Raises:
            RateLimited: all of them are taken.
        """
        limit = self._parallel if key.max_parallel is None else key.max_parallel
        account = self._account(key)
        if limit and account.under_way >= limit:
            raise RateLimited(
                f"This key may make {limit} requests at a time, and they are under way.",
                "Wait for one of them to end.",
                retry_after_s=_SOON_S,
            )
        account.under_way += 1
        try:
            yield
        finally:
            account.under_way -= 1

    def _account(self, key: Key) -> _Account:
        return self._accounts.setdefault(key.id, _Account())
