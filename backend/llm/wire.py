"""What passes between a call to a model and the provider that carries it."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from backend.types import Message, Rung, Stage, ToolSpec


@dataclass(frozen=True, kw_only=True)
class Question:
    """One call as a provider needs it."""

    messages: tuple[Message, ...]
    stage: Stage
    schema: Mapping[str, Any] | None
    """JSON schema of the reply; None for free text, and where tools are offered."""
    temperature: float
    max_tokens: int
    tools: tuple[ToolSpec, ...] = ()
    """Offered for a native call; none where the reply is to be text."""
    top_p: float | None = None
    """None: what the server does by itself; so for ``seed``."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Where the words end; the server leaves out the sequence itself."""
    limit_name: str = "PYTHON_CODER_MAX_TOKENS"
    """Where ``max_tokens`` comes from, for whoever is to allow more."""

    @property
    def text(self) -> str:
        """All messages joined by newlines."""
        return "\n".join(message.content for message in self.messages)

    @property
    def rung(self) -> Rung:
        """In which form it asks."""
        return "tools" if self.tools else "text" if self.schema is None else "schema"

    @property
    def sampling(self) -> dict[str, Any]:
        """How tokens are chosen, by the names that all servers know; only what was set."""
        chosen = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": list(self.stop) or None,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def run_config(self) -> dict[str, Any]:
        """The call's tags; ``nostream`` keeps its tokens out of an outer graph's messages."""
        return {"run_name": self.stage, "tags": [f"stage:{self.stage}", "nostream"]}


@dataclass(frozen=True, kw_only=True)
class ToolCallPart:
    """A native tool call, or a piece of one."""

    name: str
    arguments: str
    """JSON, mostly; a piece of it where the server sends pieces."""
    index: int | None = None
    """Which of the reply's calls it belongs to, where the server tells."""
    id: str = ""
    """The call's own, on its first piece at least."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a reply as it arrives. Token counts are those the server tells, else 0."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCallPart, ...] = ()
    done_reason: str | None = None
    """Set on the piece that says the reply is over."""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Server:
    """Who is asked, for messages that name what to do next."""

    provider: str
    address: str
    """The URL, without what opens it (see ``shown_address``), or the file; an error's ``place``."""
    timeout_s: float
    """Seconds without a token before the server counts as gone."""
    num_ctx: int | None = None
    """Tokens of context that are asked for, or that the server tells it has; None: unknown."""
    counts: bool = True
    """It counts a prompt's tokens itself; a script's counts are made up."""

    @property
    def context_remedy(self) -> str:
        """What to do when it is too small."""
        if self.provider == "openai":
            return (
                "Give the server a larger context, or ask it as ollama:NAME if it is Ollama's: "
                "only there PYTHON_CODER_NUM_CTX is sent."
            )
        return (
            f"Raise PYTHON_CODER_NUM_CTX (now {self.num_ctx}) as far as the model and the memory "
            "allow, or ask with less text."
        )


class Provider(Protocol):
    """A kind of model server. Its errors are its own; ``failures`` translates them."""

    server: Server

    async def look_up(self, model: str) -> None:
        """Learn what the server tells of a model, before it is asked the first time.

        Nothing is raised: who cannot be reached says so when it is asked.
        """

    def server_of(self, model: str) -> Server:
        """The server with what is known of it for this model: its context."""

    def stream(self, model: str, question: Question) -> AsyncGenerator[Piece, None]:
        """Carry one call; closing the generator ends it at the server too."""

    async def takes_tools(self, model: str) -> bool:
        """Whether native tool calls are worth trying; nothing is generated to find out."""

    async def names(self) -> list[str]:
        """The models that the server lists."""

    async def aclose(self) -> None:
        """Close every connection."""


def is_loopback(url: str) -> bool:
    """Whether a proxy of the environment must be left aside: none can reach this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown_address(url: str) -> str:
    """A URL as messages name it: without the name, password or query that open it."""
    parts = urlsplit(url)
    opens, at, place = parts.netloc.rpartition("@")
    if not (at or parts.query):
        return url
    return urlunsplit(parts._replace(netloc=f"***@{place}" if opens else place, query=""))
