"""What comes in over HTTP. Fields that nobody here acts on are ignored, as OpenAI's clients expect.

Three kinds of fields in a chat request: those that are honoured, those that change nothing here
and are accepted (penalties, ``logit_bias``, ``logprobs``, ``service_tier``, ``store``,
``reasoning_effort``, ``parallel_tool_calls``; they are not even declared), and those that would
change the answer's form and are refused with ``unsupported_parameter``: see ``refuse_unsupported``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backend.api.errors import UnsupportedParameter
from backend.api.shapes.field_texts import add_field_texts
from backend.core.requests import AnswerForm
from backend.types import ApprovalMode, FigureFormat


class Edge(BaseModel):
    """Base of everything that comes in."""

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra=add_field_texts)


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("It has the character NUL, which cannot be kept; leave it out")
    return value


WITHOUT_NUL = AfterValidator(_without_nul)
"""For what is kept in a column of a length: written in another way, it would not fit."""


class TextPart(Edge):
    """Words; OpenAI's newer API calls the part ``input_text``."""

    type: Literal["text", "input_text"]
    """What the part is."""
    text: str
    """The words."""


class RefusalPart(Edge):
    """An assistant's refusal, sent back as history."""

    type: Literal["refusal"]
    """What the part is."""
    refusal: str
    """The words."""


class ImageUrl(Edge):
    """Where an image is: a ``data:`` URI, or an address, which is never fetched."""

    url: str
    """`data:image/png;base64,...`; any other address is named to the model and never fetched."""


def _as_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ImagePart(Edge):
    """An image; OpenAI's newer API calls the part ``input_image`` and has ids of files in it."""

    type: Literal["image_url", "input_image"]
    """What the part is."""
    image_url: Annotated[ImageUrl, BeforeValidator(_as_url)] | None = None
    """The image; a bare string is its address."""
    file_id: str | None = None
    """The id of a file that is an image."""


class InlineFile(Edge):
    """A file by its id, or its bytes in base64, as a ``data:`` URI or bare."""

    file_id: str | None = None
    """The id of an uploaded file."""
    file_data: str | None = None
    """Its bytes in base64, bare or as a `data:` URI."""
    filename: str | None = None
    """Its name; the ending says what it is."""


class FilePart(Edge):
    """A file; in OpenAI's newer API, ``input_file``, its fields stand in the part itself."""

    type: Literal["file", "input_file"]
    """What the part is."""
    file: InlineFile
    """The file."""

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
    """Who said it; `tool` and `function` are read as context."""
    content: Annotated[list[Part], BeforeValidator(_as_parts)] | None = None
    """What was said."""
    refusal: str | None = None
    """An answer without content, sent back as history."""


class JsonSchemaFormat(Edge):
    """The schema of an answer."""

    document: dict[str, Any] | None = Field(default=None, alias="schema")
    """A JSON Schema; without it, any JSON object."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """What the value is."""


class ResponseFormat(Edge):
    """In which form an answer is wanted."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    """`text` is words; the others are JSON."""
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
    """End the stream with a chunk of `usage`."""


class ChatRequest(Edge):
    """``POST /v1/chat/completions``."""

    model: Annotated[str, Field(max_length=255)] | None = None
    """A model of `/v1/models`, with `@agent` behind it or not; without one, or as `python-coder` or
    `default`, the configured one."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    """The conversation; the last one of the user is the question."""
    stream: bool | None = False
    """Send the answer as it comes about."""
    stream_options: StreamOptions | None = None
    """How to stream."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Of what the model writes; without it, the server's setting."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Likewise."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens that one reply of the model may have."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of `max_tokens`, which it beats."""
    stop: Annotated[list[str], Field(max_length=4), BeforeValidator(_as_list)] | None = None
    """Sequences at which the answer ends; a bare string is one."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """For the same replies to the same prompts, as far as the model server keeps its word."""
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
        ]
        | None
    ) = None
    """Pairs of the caller's, kept with the question; `agent_type` and `session_id` in it are read."""
    user: Annotated[str, Field(max_length=512)] | None = None
    """Who asks, in the caller's words; kept with the question."""
    response_format: ResponseFormat | None = None
    """In which form the answer is wanted."""

    n: int | None = None
    """Only 1."""
    tools: list[Any] | None = None
    """Refused, unless empty: the server has its own tools."""
    tool_choice: Any = None
    """Only `none` and `auto`."""
    functions: list[Any] | None = None
    """Refused, unless empty."""
    function_call: Any = None
    """Only `none` and `auto`."""
    modalities: list[str] | None = None
    """Refused with `audio` in it."""

    agent_type: str | None = None
    """Which agent answers: `auto`, `react`, `plan_execute` or `chat`."""
    session_id: str | None = None
    """The conversation that this goes on with; it must exist."""
    file_ids: Annotated[list[str], Field(max_length=100)] | None = None
    """Uploaded files for the programs, by their ids."""
    approve: ApprovalMode | None = None
    """About which programs to ask before they run; without it, the server's setting."""

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
            "function_call": self.function_call not in (None, "none", "auto"),
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
    "function_call": "Choose an agent with agent_type.",
    "modalities": "Answers are text.",
}


class OwnRequest(Edge):
    """Base of what no client of OpenAI's sends, so that a field it has not is a slip."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_known(cls, data: Any) -> Any:
        unknown = sorted(set(data) - set(cls.model_fields)) if isinstance(data, dict) else []
        if unknown:
            raise UnsupportedParameter(
                f"{unknown[0][:80]!r} is not a field of this request.",
                f"Use: {', '.join(cls.model_fields)}.",
                param=unknown[0],
            )
        return data


class DecisionRequest(OwnRequest):
    """``POST /v1/runs/{id}/approve`` and ``.../reject``; the body may be left out."""

    code: Annotated[str, Field(max_length=1_000_000)] | None = None
    """With an approval: what is to run instead."""
    note: Annotated[str, Field(max_length=2000)] = ""
    """What is to be known of the decision; it stays with the run."""


class SessionChange(OwnRequest):
    """``PATCH /v1/sessions/{id}``."""

    title: Annotated[str, Field(max_length=1000), WITHOUT_NUL]
    """What lists show; white space in it counts as one space."""


class ExecuteRequest(OwnRequest):
    """``POST /v1/execute``."""

    code: Annotated[str, Field(max_length=1_000_000)]
    """The program."""
    language: str = "python"
    """`python` or `bash`."""
    file_ids: Annotated[list[str], Field(max_length=100)] = []
    """Files that lie in its working directory, by their ids."""
    session_id: str | None = None
    """The session to run in: variables and files of programs before it are there."""
    timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] | None = None
    """Seconds it may take; without it, `PYTHON_CODE_TIMEOUT`. More than that needs an admin's key."""
    memory_mb: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    """Mebibytes it may use; without it, `PYTHON_CODE_MAX_MEMORY`. More needs an admin's key."""
    executor: str | None = None
    """Which executor runs it; without it, the configured one."""
    argv: Annotated[list[str], Field(max_length=1000)] = []
    """What follows the program's name in `sys.argv`."""
    figure_formats: Annotated[list[FigureFormat], Field(min_length=1, max_length=2)] = ["png"]
    """As what figures that are shown or left open are handed out."""
    check: bool = True
    """Whether the static check may refuse it; `false` needs an admin's key."""


class LinkRequest(OwnRequest):
    """``POST /v1/files/{id}/link``; the body may be left out."""

    lifetime_s: Annotated[int, Field(ge=1, le=31_536_000)] = 604_800
    """Seconds that the link opens the file."""
