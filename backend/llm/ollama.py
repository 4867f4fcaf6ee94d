"""Ollama by its own API.

Not by its OpenAI-compatible one: that one ignores ``num_ctx``, and a prompt longer than the
server's default context is then cut from the front without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import httpx
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_ollama import ChatOllama

from backend.config.settings import Settings
from backend.errors import ModelUnavailable
from backend.llm.tool_calls import as_functions
from backend.llm.tool_schemas import flat
from backend.llm.turns import as_turns, tool_call_parts
from backend.llm.wire import Piece, Question, Server, is_loopback, shown_address

LIST_TIMEOUT_S = 10
"""To tell of models needs no model; a server that takes longer is not well."""


class OllamaProvider:
    """Every model of one Ollama server, over one HTTP client."""

    def __init__(self, settings: Settings) -> None:
        url = settings.ollama_url
        self.server = Server(
            provider="ollama",
            address=shown_address(url),
            timeout_s=settings.model_timeout_s,
            num_ctx=settings.num_ctx,
        )
        self._chat = ChatOllama(
            model="",
            base_url=url,
            keep_alive=_keep_alive(settings.keep_alive),
            # `timeout` reaches httpx only by way of the client's own arguments.
            client_kwargs={"trust_env": not is_loopback(url)},
            async_client_kwargs={
                "timeout": httpx.Timeout(
                    settings.model_timeout_s, connect=settings.connect_timeout_s
                )
            },
        )

    async def look_up(self, model: str) -> None:
        """Nothing: how large the context is, is ours to say."""

    def server_of(self, model: str) -> Server:
        """The same for all of them."""
        return self.server

    async def stream(self, model: str, question: Question) -> AsyncGenerator[Piece, None]:
        """Carry one call; always by the streaming API, so that a stop is seen at once."""
        chat = self._chat.model_copy(update={"model": model})
        arguments: dict[str, Any] = {
            # `reasoning` makes the client hand thoughts over, apart from the words. The `think`
            # behind it keeps it from *asking* for them: models that cannot think refuse that.
            "reasoning": True,
            "think": None,
            "options": {
                "num_ctx": self.server.num_ctx,
                "num_predict": question.max_tokens,
                **question.sampling,
            },
        }
        if question.tools:
            arguments["tools"] = as_functions([flat(tool) for tool in question.tools])
        if question.schema is not None:
            arguments["format"] = dict(question.schema)
        config = cast(RunnableConfig, question.run_config)
        chunks = chat.astream(as_turns(question.messages), config, **arguments)
        async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], chunks)):
            async for chunk in chunks:
                yield _piece(chunk)

    async def takes_tools(self, model: str) -> bool:
        """What ``/api/show`` says of the model; no answer in time, and older servers, mean no."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                shown = await self._chat._async_client.show(model)
        except TimeoutError:
            return False
        return "tools" in (shown.capabilities or ())

    async def names(self) -> list[str]:
        """The models that were pulled (``/api/tags``)."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                # The chat's own client, for its address, key and connections.
                listing = await self._chat._async_client.list()
        except TimeoutError:
            slow = ModelUnavailable(
                f"The model server did not list its models within {LIST_TIMEOUT_S} s.",
                "Look into its log, or start it again.",
            )
            slow.place = self.server.address
            raise slow from None
        return [entry.model for entry in listing.models if entry.model]

    async def aclose(self) -> None:
        """Close the connections; langchain has no way of its own to do it."""
        await self._chat._async_client.close()  # type: ignore[no-untyped-call]
        self._chat._client.close()  # type: ignore[no-untyped-call]


def _piece(chunk: AIMessageChunk) -> Piece:
    told = chunk.response_metadata
    usage = chunk.usage_metadata
    done = told.get("done_reason") or ("stop" if told.get("done") else None)
    return Piece(
        text=str(chunk.text),
        tool_calls=tool_call_parts(chunk),
        thinking=chunk.additional_kwargs.get("reasoning_content") or "",
        done_reason=done,
        input_tokens=usage["input_tokens"] if usage else 0,
        output_tokens=usage["output_tokens"] if usage else 0,
    )


def _keep_alive(setting: str) -> str | int:
    """A bare number of seconds (or -1, for ever) must go over the wire as a number."""
    return int(setting) if setting.lstrip("-").isdigit() else setting
