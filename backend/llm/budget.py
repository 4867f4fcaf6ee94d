"""What a request may use of models: calls, tokens and seconds, shared by all it leads to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

from backend.config.settings import Settings
from backend.errors import BudgetExceeded
from backend.types import ModelCall

Kind = Literal["calls", "tokens", "seconds"]
_SETTINGS: dict[Kind, str] = {
    "calls": "PYTHON_CODER_MAX_CALLS",
    "tokens": "PYTHON_CODER_MAX_TOTAL_TOKENS",
    "seconds": "PYTHON_CODER_MAX_SECONDS",
}


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a request has used so far."""

    calls: int
    """Questions sent to a model's server, second attempts among them; not those that it refused
    for their form (see ``ladder``), which are put again in another."""
    tokens: int
    """In and out; where a server told none, the estimate."""
    seconds: float
    """Since the request began, whatever it did."""


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What a request may still use; None where there is no limit."""

    calls: int | None
    tokens: int | None
    seconds: float | None


@dataclass(kw_only=True)
class Ticket:
    """The leave to ask once."""

    reply_tokens: int
    """Tokens the reply may have: what was wanted, or what is left."""
    used: int = 0
    """Tokens in and out, to be set when they are known."""
    refused: bool = False
    """Set where the server refused the question's form: nothing was generated, no call was made."""


class Budget:
    """One request's; its clock starts when it is made.

    Several calls of one event loop may use it at a time: what a call may need at most is set
    aside before it is sent, so that calls side by side cannot use more than there is.
    """

    def __init__(self, *, max_calls: int = 0, max_tokens: int = 0, max_seconds: float = 0) -> None:
        """0 means no limit."""
        self._limits: dict[Kind, float] = {
            "calls": max_calls,
            "tokens": max_tokens,
            "seconds": max_seconds,
        }
        self._started = time.monotonic()
        self._asked = 0
        self._tokens = 0
        self._set_aside = 0
        self._calls: list[ModelCall] = []

    @classmethod
    def of(cls, settings: Settings) -> Budget:
        """The one that the settings give a request."""
        return cls(
            max_calls=settings.max_calls,
            max_tokens=settings.max_total_tokens,
            max_seconds=settings.max_seconds,
        )

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        """Every call that was made with it, failed ones too, in the order they ended."""
        return tuple(self._calls)

    @property
    def spent(self) -> Spent:
        """What was used so far; calls under way count as calls, not yet as tokens."""
        seconds = time.monotonic() - self._started
        return Spent(calls=self._asked, tokens=self._tokens, seconds=seconds)

    @property
    def remaining(self) -> Remaining:
        """What is left, what calls under way may need taken off."""
        spent = self.spent
        calls, tokens, seconds = self._limits.values()
        return Remaining(
            calls=int(max(calls - spent.calls, 0)) if calls else None,
            tokens=int(max(tokens - spent.tokens - self._set_aside, 0)) if tokens else None,
            seconds=max(seconds - spent.seconds, 0.0) if seconds else None,
        )

    def extend(self, seconds: float) -> None:
        """Not count seconds in which the request waited for its user."""
        self._started += seconds

    @contextmanager
    def spend(self, *, prompt: int, reply: int, least_reply: int) -> Iterator[Ticket]:
        """Ask once.

        Args:
            prompt: tokens of the prompt, estimated.
            reply: tokens that the reply may have.
            least_reply: with how many it makes sense; fewer are not given.

        Raises:
            BudgetExceeded: nothing may be sent any more.
        """
        left = self.remaining
        if left.calls == 0:
            raise self._exceeded("calls", self._asked)
        if left.seconds == 0:
            raise self._exceeded("seconds", round(self.spent.seconds, 1))
        if left.tokens is not None:
            if left.tokens < prompt + least_reply:
                raise self._exceeded("tokens", self._tokens, f"the next call needs {prompt} more")
            reply = min(reply, left.tokens - prompt)
        ticket = Ticket(reply_tokens=reply)
        self._asked += 1
        self._set_aside += prompt + reply
        try:
            yield ticket
        finally:
            self._set_aside -= prompt + reply
            self._tokens += ticket.used
            self._asked -= ticket.refused

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """End what is done inside when the request's seconds are over.

        Raises:
            BudgetExceeded: they are.
        """
        deadline = asyncio.timeout(self.remaining.seconds)
        try:
            async with deadline:
                yield
        except TimeoutError:
            if not deadline.expired():
                raise
            raise self._exceeded("seconds", round(self.spent.seconds, 1)) from None

    def reply_was_limited(self, ticket: Ticket, wanted: int) -> BudgetExceeded | None:
        """The error for a reply that was cut off because no more tokens were left for it."""
        if ticket.reply_tokens >= wanted:
            return None
        return self._exceeded("tokens", self._tokens + ticket.used, "the last reply was cut off")

    def record(self, call: ModelCall) -> None:
        """Note a call that has ended."""
        self._calls.append(call)

    def _exceeded(self, kind: Kind, value: float, more: str = "") -> BudgetExceeded:
        limit, setting = self._limits[kind], _SETTINGS[kind]
        unit = {"calls": "model calls", "tokens": "tokens", "seconds": "seconds"}[kind]
        detail = f"; {more}" if more else ""
        return BudgetExceeded(
            f"The request has used {value:.10g} of the {limit:.10g} {unit} it may use{detail}.",
            f"Ask for less at once, or allow more with {setting} (0: no limit).",
            budget=kind,
            value=value,
            limit=limit,
            setting=setting,
        )
