"""Language models by name, and one way to call them all.

``provider:model`` names a model: ``ollama:gpt-oss:20b``, ``openai:NAME``, ``scripted:FILE``. A
call streams, sets thoughts apart, counts tokens, and gives only a reply that ended by itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from backend.config.settings import Settings
from backend.errors import ModelNotFound, NotFound, RequestError, SettingsError
from backend.llm.attempts import Reply, Target
from backend.llm.calling import LanguageModel
from backend.llm.counting import PromptCounts
from backend.llm.failures import translate
from backend.llm.ladder import Ladder
from backend.llm.wire import Provider
from backend.observing import Observe, unobserved
from backend.types import Stage

__all__ = ["LanguageModel", "Models", "Reply", "open_models"]

PROVIDERS = ("ollama", "openai", "scripted")


@dataclass(kw_only=True)
class _Listing:
    """What a server listed, and when."""

    names: list[str] = field(default_factory=list)
    at: float = -math.inf
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Models:
    """Every model that can be asked, one HTTP client a provider. Open it with ``open_models``."""

    def __init__(self, settings: Settings, observe: Observe = unobserved) -> None:
        self._settings = settings
        self._observe = observe
        self._options = settings.stage_options
        self._providers: dict[str, Provider] = {}
        self._counts: dict[str, PromptCounts] = {}
        self._ladders: dict[str, Ladder] = {}
        self._listings: dict[str, _Listing] = {}
        self._provider_name, self._configured = _parse_configured(settings.model)

    def get(self, name: str | None = None, *, stages: bool = True) -> LanguageModel:
        """A model by name. Whether the server has it is learned at the call, or by ``names``.

        The name stands for the configured model. Stages that have a model of their own
        (``PYTHON_CODER_STAGES``) keep it: who runs this chose it for what they do.

        Args:
            name: ``provider:model``, or a bare name of the configured provider's
                (``qwen3:8b``); None for the configured model.
            stages: False for this one in every stage.

        Raises:
            NotFound: the scripted model is configured, and the name is another one.
            RequestError: the name is empty, or a script that is not the configured one: which
                files are read is not for a request to say.
        """
        return LanguageModel(
            self._target(self._settings.model if name is None else name.strip()),
            self._settings,
            stages=self._stage_targets() if stages else {},
            options=self._options if stages else {},
        )

    async def names(self) -> list[str]:
        """The models that the configured provider's server lists; ``["scripted"]`` of a script.

        Raises:
            ModelUnavailable, ModelError: the server cannot be asked.
        """
        return await self._names(self._provider_name)

    async def listed(self, *, at_most_s: float, wanted: Collection[str] = ()) -> list[str]:
        """``names``, as they were at most so many seconds ago.

        Whoever asks for them meanwhile waits for the same answer. Failures are not kept.

        Args:
            at_most_s: seconds.
            wanted: the server is asked anew if it listed none of these.

        Raises:
            ModelUnavailable, ModelError: the server cannot be asked.
        """
        return await self._listed(self._provider_name, at_most_s, wanted)

    async def check(self, *, at_most_s: float = 0.0) -> None:
        """See that the configured models, stages' own among them, can be asked, without asking.

        Args:
            at_most_s: seconds for which it is believed that a server listed them.

        Raises:
            ModelUnavailable, ModelError: the server cannot be asked.
            ModelNotFound: it can, but does not have the model.
        """
        wanted = {"PYTHON_CODER_MODEL": (self._provider_name, self._configured)}
        for stage, options in self._options.items():
            if options.model is not None:
                wanted[f"PYTHON_CODER_STAGES ({stage})"] = self._resolve(options.model)
        if router := self._settings.router_model:
            wanted["PYTHON_CODER_ROUTER_MODEL"] = self._resolve(router)
        asked: set[str] = set()
        for setting, (provider, model) in wanted.items():
            if provider == "scripted":
                continue
            age_s = math.inf if provider in asked else at_most_s
            asked.add(provider)
            names = await self._listed(provider, age_s, (model, f"{model}:latest"))
            self._require(provider, model, names, setting)

    def _require(self, provider: str, model: str, names: list[str], setting: str) -> None:
        if {model, f"{model}:latest"}.intersection(names):
            return
        pull = f"Run `ollama pull {model}`, or set"
        server = self._provider(provider).server
        missing = ModelNotFound(
            f"The model server does not have the model {model!r}; it has "
            f"{', '.join(names) or 'none'}.",
            f"{pull if provider == 'ollama' else 'Set'} {setting}.",
        )
        missing.place = server.address
        raise missing

    async def aclose(self) -> None:
        """Close every connection."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()

    async def _listed(
        self, provider_name: str, at_most_s: float, wanted: Collection[str]
    ) -> list[str]:
        listing = self._listings.setdefault(provider_name, _Listing())
        async with listing.asking:
            is_fresh = time.monotonic() - listing.at < at_most_s
            if not is_fresh or (wanted and not set(wanted) & set(listing.names)):
                listing.names = await self._names(provider_name)
                listing.at = time.monotonic()
            return listing.names

    async def _names(self, provider_name: str) -> list[str]:
        provider = self._provider(provider_name)
        try:
            return await provider.names()
        except Exception as error:
            failure = translate(error, model=self._configured, server=provider.server)
            raise failure.error from error

    def _stage_targets(self) -> dict[Stage, Target]:
        targets: dict[Stage, Target] = {}
        for stage, options in self._options.items():
            if options.model is None:
                continue
            try:
                targets[stage] = self._target(options.model)
            except RequestError as error:
                raise SettingsError(
                    f"PYTHON_CODER_STAGES gives {stage!r} the model {options.model!r}: "
                    f"{error.what}",
                    error.remedy,
                ) from error
        return targets

    def _target(self, name: str) -> Target:
        provider, model = self._resolve(name)
        return Target(
            name="scripted" if provider == "scripted" else model,
            provider=self._provider(provider),
            counts=self._counts.setdefault(provider, PromptCounts()),
            ladder=self._ladders.setdefault(provider, Ladder()),
            observe=self._observe,
        )

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

    return ScriptedProvider(configured, settings)


@asynccontextmanager
async def open_models(
    settings: Settings, *, observe: Observe = unobserved
) -> AsyncIterator[Models]:
    """Open the configured model's client; nothing is asked yet.

    Args:
        settings: which models.
        observe: is told of every call.

    Raises:
        SettingsError: the provider is unknown, or the script cannot be read or is not valid.
    """
    models = Models(settings, observe)
    try:
        # In a thread: client libraries take a second to import, and scripts are read from disk.
        await asyncio.to_thread(models.get)
        yield models
    finally:
        await models.aclose()
