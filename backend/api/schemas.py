"""What comes in over HTTP. Fields that nobody here acts on are ignored, as OpenAI's clients expect.

Three kinds of fields in a chat request: those that are honoured, those that change nothing here
and are accepted (penalties, ``logit_bias``, ``logprobs``, ``service_tier``, ``store``,
``reasoning_effort``, ``parallel_tool_calls``; they are not even declared), and those that would
change the answer's form and are refused with ``unsupported_parameter``: see ``refuse_unsupported``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backend.api.errors import UnsupportedParameter
from backend.core.requests import AnswerForm
from backend.types import ApprovalMode, FigureFormat


class Edge(BaseModel):
    """Base of everything that comes in."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(Edge):
    """Words; OpenAI's newer API calls the part ``input_text``."""

    type: Literal["text", "input_text"]
    text: str


class RefusalPart(Edge):
    """An assistant's refusal, sent back as history."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Edge):
    """Where an image is: a ``data:`` URI, or an address, which is never fetched."""

    url: str


def _as_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ImagePart(Edge):
    """An image; OpenAI's newer API calls the part ``input_image`` and has ids of files in it."""

    type: Literal["image_url", "input_image"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_url)] | None = None
    file_id: str | None = None


class InlineFile(Edge):
    """A file by its id, or its bytes in base64, as a ``data:`` URI or bare."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Edge):
    """A file; in OpenAI's newer API, ``input_file``, its fields stand in the part itself."""

    type: Literal["file", "input_file"]
    file: InlineFile

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("type") == "input_file" and "file" not in data:
            return {"type": "input_file", "file": data}
        return data


Part = Annotated[TextPart | RefusalPart | ImagePart | FilePart, Field(discriminator="type")]


def _as_parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ChatMessage(Edge):
    """One message of the conversation that a client sends; a bare string is one text part."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[list[Part], BeforeValidator(_as_parts)] | None = None
    refusal: str | None = None
    """An answer without content, sent back as history."""


class JsonSchemaFormat(Edge):
    """The schema of an answer."""

    document: dict[str, Any] | None = Field(default=None, alias="schema")
    """A JSON Schema; without it, any JSON object."""
    description: Annotated[str, Field(max_length=4096)] | None = None


class ResponseFormat(Edge):
    """In which form an answer is wanted."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchemaFormat | None = None
    """Needed where the type is ``json_schema``."""

    @model_validator(mode="after")
    def _need_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("type json_schema needs the field json_schema")
        return self

    @property
    def form(self) -> AnswerForm | None:
        """The form; None for words. Whether the schema is one, is not known yet."""
        if self.type == "text":
            return None
        told = self.json_schema if self.type == "json_schema" else None
        if told is None or not told.document:
            return AnswerForm(schema={"type": "object"})
        return AnswerForm(schema=told.document, description=told.description or "")


class StreamOptions(Edge):
    """How to stream."""

    include_usage: bool | None = False


class ChatRequest(Edge):
    """``POST /v1/chat/completions``."""

    model: Annotated[str, Field(max_length=256)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[list[str], Field(max_length=4), BeforeValidator(_as_list)] | None = None
    seed: int | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
        ]
        | None
    ) = None
    user: Annotated[str, Field(max_length=512)] | None = None
    response_format: ResponseFormat | None = None

    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None

    agent_type: str | None = None
    session_id: str | None = None
    file_ids: Annotated[list[str], Field(max_length=100)] | None = None
    approve: ApprovalMode | None = None

    @property
    def output_tokens(self) -> int | None:
        """The limit by its new name, else by its old one."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stop_sequences(self) -> tuple[str, ...]:
        """Where the answer's text ends; empty strings mean nothing."""
        return tuple(sequence for sequence in self.stop or () if sequence)

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def refuse_unsupported(self) -> None:
        """Refuse what would change the answer's form and is not offered.

        Raises:
            UnsupportedParameter: names the field.
        """
        refused = {
            "n": self.n not in {None, 1},
            "tools": bool(self.tools),
            "tool_choice": self.tool_choice not in (None, "none", "auto"),
            "functions": bool(self.functions),
            "modalities": "audio" in (self.modalities or []),
        }
        for field, is_refused in refused.items():
            if is_refused:
                raise UnsupportedParameter(
                    f"{field!r} is not supported here.", _INSTEAD[field], param=field
                )


_INSTEAD = {
    "n": "Leave it out, or send 1.",
    "tools": "The server has its own tools; leave out the client's.",
    "tool_choice": "Choose an agent with agent_type.",
    "functions": "The server has its own tools; leave out the client's.",
    "modalities": "Answers are text.",
}


class DecisionRequest(Edge):
    """``POST /v1/runs/{id}/approve`` and ``.../reject``; the body may be left out."""

    code: Annotated[str, Field(max_length=1_000_000)] | None = None
    """With an approval: what is to run instead."""
    note: Annotated[str, Field(max_length=2000)] = ""


class ExecuteRequest(Edge):
    """``POST /v1/execute``: no client of OpenAI's sends it, so a field it has not is a slip."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(max_length=1_000_000)]
    language: str = "python"
    file_ids: Annotated[list[str], Field(max_length=100)] = []
    session_id: str | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] | None = None
    memory_mb: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    executor: str | None = None
    argv: Annotated[list[str], Field(max_length=1000)] = []
    figure_formats: Annotated[list[FigureFormat], Field(min_length=1, max_length=2)] = ["png"]
    check: bool = True

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_known(cls, data: Any) -> Any:
        unknown = sorted(set(data) - set(cls.model_fields)) if isinstance(data, dict) else []
        if unknown:
            raise UnsupportedParameter(
                f"{unknown[0][:80]!r} is not a field of /v1/execute.",
                f"Use: {', '.join(cls.model_fields)}.",
                param=unknown[0],
            )
        return data
