"""What the house does that takes time, told to whoever counts it or draws it: metrics and spans.

A deed is begun, gets facts as they become known, and ends. Observers see names and numbers: nothing
of what users or models wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

DeedKind = Literal["agent", "model", "tool", "program"]
Fact = str | int | float | bool


@dataclass(kw_only=True)
class Deed:
    """One of these, under way or done."""

    kind: DeedKind
    name: str
    """The agent's, the model's, the tool's; of a program its language."""
    facts: dict[str, Fact] = field(default_factory=dict)
    """By short names: ``stage``, ``provider``, ``input_tokens``, ``tier``, ..."""
    outcome: str = "success"
    """One of few words: ``success``, ``failed``, ``cancelled``, ``model_unavailable``, ..."""


Observe = Callable[[Deed], AbstractContextManager[None]]
"""Watches a deed for as long as the context lasts."""


def unobserved(deed: Deed) -> AbstractContextManager[None]:
    """An ``Observe`` for when nobody watches."""
    return nullcontext()


def together(*observers: Observe) -> Observe:
    """One that tells all of them."""
    if len(observers) < 2:
        return observers[0] if observers else unobserved

    @contextmanager
    def observe(deed: Deed) -> Iterator[None]:
        with ExitStack() as stack:
            for each in observers:
                stack.enter_context(each(deed))
            yield

    return observe


def outcome_of(error: BaseException) -> str:
    """The word for how a deed failed: the error's class, in small letters."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    name = type(error).__name__
    small = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name).strip("_")
    return small if type(error).__module__.startswith("backend.") else "error"
