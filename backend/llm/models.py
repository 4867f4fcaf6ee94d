"""Language models by name, and one way to call them all.

``provider:model`` names a model: ``ollama:gpt-oss:20b``, ``openai:NAME``, ``scripted:FILE``. A
call streams, sets thoughts apart, counts tokens, and gives only a reply that ended by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from backend.config.settings import Settings
from backend.errors import (
    BadReply,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
    PythonCoderError,
    RequestError,
    SettingsError,
)
from backend.llm.failures import ServerFailure, translate
from backend.llm.receiving import Received, Watcher, refuse_too_long
from backend.llm.wire import Piece, Provider, Question
from backend.types import Message, ModelCall, Stage

PROVIDERS = ("ollama", "openai", "scripted")
ATTEMPTS = 2
"""For what a second try mends: a dropped stream, a reply the server's own parser choked on, and
an answer that was only "the model is loaded now". Everything else is raised at once."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that ended by itself."""

    text: str
    """The words, without thoughts; never empty."""
    call: ModelCall
    """What it took, a failed first attempt included."""
    done_reason: str
    thinking: str = ""


class LanguageModel:
    """One model of one provider. Get it from ``Models.get``."""

    def __init__(self, name: str, provider: Provider, settings: Settings) -> None:
        self.name = name
        """As shown to people: ``gpt-oss:20b``, or ``scripted``."""
        self.provider = provider.server.provider
        self._wire = provider
        self._settings = settings

    async def call(
        self,
        messages: Sequence[Message],
        *,
        stage: Stage,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """Ask once, and again where a second attempt can do better (see ``ATTEMPTS``).

        Args:
            messages: the conversation, oldest first.
            stage: what the call is for; it is accounted under this name.
            schema: JSON schema of the reply. Servers may ignore it: read the reply tolerantly.
            temperature: None for the setting.
            max_tokens: tokens the reply may have; None for the setting.
            on_text: gets the words as they come, without thoughts. After a second attempt that
                differs from the first it has both, the second after an empty line.

        Raises:
            ModelUnavailable: nobody answers there, in time.
            ModelNotFound: the server does not have the model.
            BadReply: empty, cut off, or to a question that was cut; ``partial`` is what came.
            ModelError: the server refused or failed. Each has ``calls``, what was used up.
        """
        question = Question(
            messages=tuple(messages),
            stage=stage,
            schema=schema,
            temperature=self._settings.temperature if temperature is None else temperature,
            max_tokens=self._settings.max_tokens if max_tokens is None else max_tokens,
        )
        started = time.perf_counter()
        watcher = Watcher(on_text)
        attempts: list[Received] = []
        while True:
            received = Received(
                model=self.name, server=self._wire.server, question=question, watcher=watcher
            )
            attempts.append(received)
            try:
                refuse_too_long(self.name, self._wire.server, question)
                async with aclosing(self._pieces(question)) as pieces:
                    await received.read(pieces)
            except ServerFailure as failure:
                if failure.retry and len(attempts) < ATTEMPTS:
                    continue
                call = self._account(stage, attempts, started)
                raise _with_account(failure.error, received, call) from failure.__cause__
            return Reply(
                text=received.text,
                call=self._account(stage, attempts, started),
                done_reason=received.done_reason or "stop",
                thinking=received.thoughts,
            )

    async def _pieces(self, question: Question) -> AsyncGenerator[Piece, None]:
        # Only what the provider raises is translated; what `on_text` raises is its owner's.
        try:
            async with aclosing(self._wire.stream(self.name, question)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:
            raise translate(error, model=self.name, server=self._wire.server) from error

    def _account(self, stage: Stage, attempts: list[Received], started: float) -> ModelCall:
        return {
            "stage": stage,
            "model": self.name,
            "input_tokens": sum(attempt.input_tokens for attempt in attempts),
            "output_tokens": sum(attempt.output_tokens for attempt in attempts),
            "duration_s": time.perf_counter() - started,
        }


def _with_account(error: PythonCoderError, received: Received, call: ModelCall) -> PythonCoderError:
    if isinstance(error, ModelError | ModelUnavailable) and received.pieces + received.input_tokens:
        error.calls = (call,)
    if isinstance(error, BadReply):
        error.partial = received.text
    return error


class Models:
    """Every model that can be asked, one HTTP client a provider. Open it with ``open_models``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._providers: dict[str, Provider] = {}
        self._provider_name, self._configured = _parse_configured(settings.model)

    def get(self, name: str | None = None) -> LanguageModel:
        """A model by name. Whether the server has it is learned at the call, or by ``names``.

        Args:
            name: ``provider:model``, or a bare name of the configured provider's
                (``qwen3:8b``); None for the configured model.

        Raises:
            NotFound: the scripted model is configured, and the name is another one.
            RequestError: the name is empty, or a script that is not the configured one: which
                files are read is not for a request to say.
        """
        provider, model = self._resolve(self._settings.model if name is None else name.strip())
        shown = "scripted" if provider == "scripted" else model
        return LanguageModel(shown, self._provider(provider), self._settings)

    async def names(self) -> list[str]:
        """The models that the configured provider's server lists; ``["scripted"]`` of a script.

        Raises:
            ModelUnavailable, ModelError: the server cannot be asked.
        """
        provider = self._provider(self._provider_name)
        try:
            return await provider.names()
        except Exception as error:
            failure = translate(error, model=self._configured, server=provider.server)
            raise failure.error from error

    async def check(self) -> None:
        """See that the configured model can be asked, without asking it.

        Raises:
            ModelUnavailable, ModelError: the server cannot be asked.
            ModelNotFound: it can, but does not have the model.
        """
        if self._provider_name == "scripted":
            return
        names = await self.names()
        if not {self._configured, f"{self._configured}:latest"}.intersection(names):
            pull = f"Run `ollama pull {self._configured}`, or set"
            raise ModelNotFound(
                f"The model server at {self._provider(self._provider_name).server.address} does "
                f"not have the model {self._configured!r}; it has {', '.join(names) or 'none'}.",
                f"{pull if self._provider_name == 'ollama' else 'Set'} PYTHON_CODER_MODEL.",
            )

    async def aclose(self) -> None:
        """Close every connection."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()

    def _resolve(self, name: str) -> tuple[str, str]:
        provider, _, model = name.partition(":")
        if provider == "scripted":
            if self._provider_name != "scripted" or model not in ("", self._configured):
                raise RequestError(
                    f"The model {name!r} is not the configured one.",
                    "Set PYTHON_CODER_MODEL to scripted:FILE where the program is started.",
                    param="model",
                )
            return self._provider_name, self._configured
        if provider not in PROVIDERS:
            provider, model = self._provider_name, name
        if not model.strip():
            raise RequestError(
                f"The model {name!r} has no name.",
                f"Write provider:model; the providers are {', '.join(PROVIDERS)}.",
                param="model",
            )
        if provider == "scripted":
            raise NotFound(
                f"There is no model {name!r}; a recorded conversation answers here.",
                "Name 'scripted', or ollama:NAME for a model of Ollama's.",
                param="model",
            )
        return provider, model

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            try:
                self._providers[name] = _open_provider(name, self._settings, self._configured)
            except SettingsError as error:
                if name == self._provider_name:
                    raise
                raise RequestError(
                    f"Models of {name!r} are not set up here: {error.what}",
                    "Name a model that is listed.",
                    param="model",
                ) from error
        return self._providers[name]


def _parse_configured(value: str) -> tuple[str, str]:
    provider, _, model = value.partition(":")
    if provider not in PROVIDERS:
        raise SettingsError(
            f"PYTHON_CODER_MODEL is {value!r}, and {provider!r} is no provider.",
            f"The providers are {', '.join(PROVIDERS)}: for a model of Ollama's, ollama:{value}.",
        )
    return provider, model.strip()


def _open_provider(name: str, settings: Settings, configured: str) -> Provider:
    # Each imports its client library, and only the one in use does.
    if name == "ollama":
        from backend.llm.ollama import OllamaProvider

        return OllamaProvider(settings)
    if name == "openai":
        from backend.llm.openai import OpenAIProvider

        return OpenAIProvider(settings)
    from backend.llm.scripted import ScriptedProvider

    return ScriptedProvider(configured, settings.model_timeout_s)


@asynccontextmanager
async def open_models(settings: Settings) -> AsyncIterator[Models]:
    """Open the configured model's client; nothing is asked yet.

    Raises:
        SettingsError: the provider is unknown, or the script cannot be read or is not valid.
    """
    models = Models(settings)
    try:
        # In a thread: client libraries take a second to import, and scripts are read from disk.
        await asyncio.to_thread(models.get)
        yield models
    finally:
        await models.aclose()
