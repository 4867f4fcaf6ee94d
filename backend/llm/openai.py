"""Any server with the OpenAI chat completions API: vLLM, llama.cpp, LM Studio, OpenAI itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import openai
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from backend.config.settings import Settings
from backend.errors import SettingsError
from backend.llm.tool_calls import as_functions
from backend.llm.turns import as_turns, tool_call_parts
from backend.llm.wire import Piece, Question, Server, is_loopback, shown_address

_OFFICIAL = "https://api.openai.com/v1"
_CONTEXT_KEYS = (
    "max_model_len",  # vLLM, SGLang
    "n_ctx",  # llama.cpp, below `meta`
    "context_length",
    "context_window",
    "max_context_length",
)
LIST_TIMEOUT_S = 10
"""To tell of models needs no model; who takes longer is asked without knowing more."""
_NO_KEY = "none"
"""Servers of one's own mostly want no key, the client library always does."""


class OpenAIProvider:
    """Every model of one compatible server, over one HTTP client."""

    def __init__(self, settings: Settings) -> None:
        url = settings.openai_base_url or _OFFICIAL
        if url == _OFFICIAL and not settings.openai_api_key:
            raise SettingsError(
                f"PYTHON_CODER_MODEL is {settings.model!r}, but neither OPENAI_BASE_URL nor "
                "OPENAI_API_KEY is set.",
                "Set the address of a compatible server, or a key.",
            )
        self.server = Server(
            provider="openai", address=shown_address(url), timeout_s=settings.model_timeout_s
        )
        # Only the official server knows the newer name, and it refuses the older for some models.
        self._limit = "max_completion_tokens" if url == _OFFICIAL else "max_tokens"
        timeout = openai.Timeout(settings.model_timeout_s, connect=settings.connect_timeout_s)
        self._contexts: dict[str, int | None] | None = None
        self._looking_up = asyncio.Lock()
        # A client of its own: the one that langchain shares between instances belongs to the
        # first event loop that used it, and nobody closes it.
        self._http = openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=not is_loopback(url))
        self._chat = ChatOpenAI(
            model="",
            base_url=url,
            api_key=SecretStr(settings.openai_api_key or _NO_KEY),
            http_async_client=self._http,
            timeout=timeout,  # or the chat's own None overrides the client's
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    async def look_up(self, model: str) -> None:
        """Read from the list of models how large their contexts are; most servers tell."""
        async with self._looking_up:
            if self._contexts is not None:
                return
            try:
                async with asyncio.timeout(LIST_TIMEOUT_S):
                    self._contexts = {
                        entry.id: _context(entry.model_extra or {})
                        async for entry in self._chat.root_async_client.models.list()
                    }
            except openai.APIConnectionError:
                return  # it may be started yet
            except (openai.OpenAIError, TimeoutError, ValueError):
                self._contexts = {}

    def server_of(self, model: str) -> Server:
        """With the model's context, or that of the only one there is, by whatever name."""
        contexts = self._contexts or {}
        only = next(iter(contexts.values())) if len(contexts) == 1 else None
        return replace(self.server, num_ctx=contexts.get(model, only))

    async def stream(self, model: str, question: Question) -> AsyncGenerator[Piece, None]:
        """Carry one call; always by the streaming API, so that a stop is seen at once."""
        chat = self._chat.model_copy(update={"model_name": model})
        # In `extra_body` it goes over the wire as it is; as an argument it makes the client
        # library parse the reply, and raise where ours can still read it.
        body: dict[str, Any] = {self._limit: question.max_tokens}
        if question.tools:
            body["tools"] = as_functions(question.tools)
        if question.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": question.stage, "schema": dict(question.schema)},
            }
        config = cast(RunnableConfig, question.run_config)
        chunks = chat.astream(
            as_turns(question.messages), config, extra_body=body, **question.sampling
        )
        async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], chunks)):
            async for chunk in chunks:
                yield _piece(chunk)

    async def takes_tools(self, model: str) -> bool:
        """Yes: the API has no way to ask; a server without them refuses the first question."""
        return True

    async def names(self) -> list[str]:
        """What ``/models`` lists."""
        return [model.id async for model in self._chat.root_async_client.models.list()]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _context(told: Mapping[str, Any]) -> int | None:
    """Tokens of context by what a server tells of a model beside its name."""
    meta = told.get("meta")
    told = {**meta, **told} if isinstance(meta, Mapping) else told
    sizes = [told[key] for key in _CONTEXT_KEYS if isinstance(told.get(key), int)]
    return next((size for size in sizes if size > 0), None)


def _piece(chunk: AIMessageChunk) -> Piece:
    usage = chunk.usage_metadata
    return Piece(
        text=str(chunk.text),
        tool_calls=tool_call_parts(chunk),
        done_reason=chunk.response_metadata.get("finish_reason"),
        input_tokens=usage["input_tokens"] if usage else 0,
        output_tokens=usage["output_tokens"] if usage else 0,
    )
