"""Completions and their chunks, as OpenAI's clients know them."""

from __future__ import annotations

from typing import Any, Literal

from backend.api.shapes.agents import AgentMetadata
from backend.api.shapes.base import Shape


class Usage(Shape):
    """What the request used up, all the model's calls together."""

    prompt_tokens: int
    """Of all prompts, as the model server counts."""
    completion_tokens: int
    """Of all replies."""
    total_tokens: int
    """Both."""


class ChatAnswer(Shape):
    """The answer."""

    role: Literal["assistant"]
    """Always `assistant`."""
    content: str | None
    """Its words, then pictures and links to files in markdown; null of a refusal."""
    refusal: str | None
    """Why there is no answer in the form that was asked for."""


class Choice(Shape):
    """The one answer there is."""

    index: Literal[0]
    """Always 0."""
    message: ChatAnswer
    """The answer."""
    finish_reason: Literal["stop", "length"]
    """`length` where the model's reply was cut at its token limit."""
    logprobs: None
    """Always null."""


class ChatCompletion(Shape):
    """An answer in one piece."""

    id: str
    """Of this answer."""
    object: Literal["chat.completion"]
    """Always `chat.completion`."""
    created: int
    """Unix time in seconds."""
    model: str
    """The model, as the request named it, or the configured one."""
    choices: list[Choice]
    """Always one."""
    usage: Usage
    """What it used up."""
    x_session_id: str | None
    """The conversation it belongs to, to be sent as `session_id`; null where none is kept."""
    x_run_id: str | None
    """The request's record; null where none is kept."""
    x_agent_metadata: AgentMetadata
    """How it came about."""


class Delta(Shape):
    """What comes next; the first has the role, the last is empty."""

    role: Literal["assistant"] = "assistant"
    """In the first chunk."""
    content: str = ""
    """The next words of the answer."""
    reasoning_content: str = ""
    """The next step that was done, in markdown."""
    refusal: str = ""
    """Why there is no answer in the form that was asked for."""


class ChunkChoice(Shape):
    """The one answer there is."""

    index: Literal[0]
    """Always 0."""
    delta: Delta
    """What comes next."""
    finish_reason: Literal["stop", "length"] | None
    """In the last chunk: why it ends."""
    logprobs: None
    """Always null."""


class ChatCompletionChunk(Shape):
    """A line of a stream: `data: ` and this as JSON; the last line is `data: [DONE]`.

    What goes wrong after the stream has begun is a line with an `Error` instead.
    """

    id: str
    """The same in all chunks."""
    object: Literal["chat.completion.chunk"]
    """Always `chat.completion.chunk`."""
    created: int
    """Unix time in seconds; the same in all chunks."""
    model: str
    """The same in all chunks."""
    choices: list[ChunkChoice]
    """One; none in chunks with `usage` or `event`."""
    usage: Usage | None = None
    """With `stream_options.include_usage`: null in all chunks but the last."""
    event: dict[str, Any] | None = None
    """For Open WebUI: `{"type": "status", "data": {"description", "done"}}`."""
    x_session_id: str | None = None
    """As in a completion; in the chunk that has `finish_reason`."""
    x_run_id: str | None = None
    """In the first chunk, where there is a record, and as the header `X-Run-Id`: the request can be
    cancelled by it. Again in the chunk that has `finish_reason`."""
    x_agent_metadata: AgentMetadata | None = None
    """In the chunk that has `finish_reason`."""
