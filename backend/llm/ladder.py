"""In which form each model is asked for something structured, by what it was found able to do.

The rungs from the top: a native tool call, JSON by a schema, words. A model starts on the highest
one that is asked for and that its server says it has. A rung is given up

- at once when the server refuses it: the question generated nothing, counts for nothing, and is
  put again one rung lower;
- for the next questions after ``PATIENCE`` replies in a row that could not be read, were empty, or
  that the server itself could not read as tool calls. (After one of the last two kinds, `asking`
  puts this question again without tools.)

What was given up stays so until the models are opened again: whoever gets there a second time
would pay for the same bad replies.
"""

from __future__ import annotations

import asyncio

from backend.errors import ModelNotFound, ModelUnavailable
from backend.llm.failures import translate
from backend.llm.wire import Provider
from backend.types import Rung

PATIENCE = 2
"""Unreadable replies in a row on one rung; a single one happens to every model."""


class Ladder:
    """What is known of the models of one provider."""

    def __init__(self) -> None:
        self._given_up: dict[str, set[Rung]] = {}
        self._unreadable: dict[tuple[str, Rung], int] = {}
        self._takes_tools: dict[str, bool] = {}
        self._probing: dict[str, asyncio.Lock] = {}

    async def rung(self, provider: Provider, model: str, *, tools: bool, schema: bool) -> Rung:
        """On which a question that offers tools, has a schema, or both, is asked now."""
        given_up = self._given_up.get(model, set())
        if tools and "tools" not in given_up and await self._has_tools(provider, model):
            return "tools"
        return "schema" if schema and "schema" not in given_up else "text"

    def refused(self, model: str, rung: Rung) -> None:
        """The server does not take questions in this form."""
        self._given_up.setdefault(model, set()).add(rung)

    def readable(self, model: str, rung: Rung) -> None:
        """A reply was read."""
        self._unreadable.pop((model, rung), None)

    def unreadable(self, model: str, rung: Rung) -> None:
        """A reply could not be read."""
        many = self._unreadable.get((model, rung), 0) + 1
        self._unreadable[model, rung] = many
        if many >= PATIENCE and rung != "text":
            self._given_up.setdefault(model, set()).add(rung)

    async def _has_tools(self, provider: Provider, model: str) -> bool:
        """Whether the server says so; it is asked once for each model."""
        async with self._probing.setdefault(model, asyncio.Lock()):
            if model not in self._takes_tools:
                try:
                    self._takes_tools[model] = await provider.takes_tools(model)
                except Exception as error:
                    failure = translate(error, model=model, server=provider.server)
                    if isinstance(failure.error, ModelUnavailable | ModelNotFound):
                        return False  # it said nothing of the model, and may tomorrow
                    self._takes_tools[model] = False
            return self._takes_tools[model]
