"""What comes in for ``/v1/responses``.

As in a chat request, fields that change nothing here are accepted and not declared:
``parallel_tool_calls``, ``reasoning.effort``, ``service_tier``, ``truncation``, ``prompt_cache_key``,
``safety_identifier``, ``max_tool_calls``, ``top_logprobs``, ``stream_options``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from backend.api.errors import UnsupportedParameter
from backend.api.responses.container_schemas import AutoContainer, FileIds, refuse_network
from backend.api.schemas import Edge
from backend.errors import RequestError
from backend.types import ApprovalMode

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]

CODE_INTERPRETER = "code_interpreter"
WITH_OUTPUTS = "code_interpreter_call.outputs"


class AnyPart(Edge):
    """A part of a message, of whatever type; ``reading.py`` says which are understood."""

    type: Annotated[str, Field(max_length=64)]
    """What the part is: `input_text`, `output_text`, `input_image`, `input_file`, `refusal`, ..."""
    text: str | None = None
    """Words."""
    refusal: str | None = None
    """An answer that was none, sent back as history."""
    image_url: str | None = None
    """A `data:` URI; any other address is not fetched."""
    detail: str | None = None
    """Ignored."""
    file_id: str | None = None
    """The id of an uploaded file."""
    file_data: str | None = None
    """A file in base64, bare or as a `data:` URI."""
    file_url: str | None = None
    """Refused: nothing is fetched."""
    filename: str | None = None
    """The name of `file_data`."""


def _as_parts(value: Any) -> Any:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


class Item(Edge):
    """Something that was said or done before: a message, or an output item that comes back."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Annotated[str, Field(max_length=64)] = "message"
    """What the item is: `message`, or the type of an output item."""
    id: Annotated[str, Field(max_length=128)] | None = None
    """Of an output item."""
    role: Literal["user", "assistant", "system", "developer"] | None = None
    """Who said it."""
    content: Annotated[list[AnyPart], BeforeValidator(_as_parts)] | None = None
    """What was said; bare words are one part."""
    code: str | None = None
    """Of a ``code_interpreter_call``: its program."""
    outputs: list[Any] | None = None
    """Of a ``code_interpreter_call``: what it printed."""


def _as_items(value: Any) -> Any:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class RequestTool(Edge):
    """A tool that the model may use; only ``code_interpreter`` is offered."""

    type: Annotated[str, Field(max_length=64)]
    """Only `code_interpreter`."""
    container: AutoContainer | Annotated[str, Field(max_length=64)] | None = None
    """Where its programs run: `{"type": "auto"}`, or the id of a container."""


class TextConfig(Edge):
    """The form of the answer."""

    format: dict[str, Any] | None = None
    """As `response_format` of a chat completion, in the form of this API."""
    verbosity: str | None = None
    """Ignored."""


class ReasoningConfig(Edge):
    """Of what a reasoning model is asked, only whether to tell the steps."""

    model_config = ConfigDict(extra="allow", frozen=True)

    summary: str | None = None
    """Any value: tell the steps as a summary of reasoning."""
    generate_summary: str | None = None
    """The former name of ``summary``."""


class ConversationRef(Edge):
    """A conversation by its id."""

    id: str
    """The session's id."""


class ResponsesRequest(Edge):
    """``POST /v1/responses``."""

    model: Annotated[str, Field(max_length=255)] | None = None
    """A model of `/v1/models`, with `@agent` behind it or not; without one, the configured one."""
    input: Annotated[list[Item], Field(min_length=1, max_length=10_000), BeforeValidator(_as_items)]
    """What is asked: words, or items, earlier ones of the conversation among them."""
    instructions: str | None = None
    """What holds for the whole request."""
    previous_response_id: Annotated[str, Field(max_length=64)] | None = None
    """The response that this goes on from."""
    conversation: ConversationRef | str | None = None
    """A session's id: its kept conversation is the history."""
    store: bool | None = True
    """Keep the response, to be read again and gone on from."""
    stream: bool | None = False
    """Send the response as it comes about."""
    background: bool | None = False
    """Answer at once with what is queued; read it with `GET /v1/responses/{response_id}`."""
    include: Annotated[list[str], Field(max_length=20)] | None = None
    """`code_interpreter_call.outputs` lets items tell what their programs printed and drew."""
    tools: Annotated[list[RequestTool], Field(max_length=128)] | None = None
    """`code_interpreter`, or none."""
    tool_choice: str | dict[str, Any] | None = None
    """`none`: no program runs; `required`: one has to."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Of what the model writes; without it, the server's setting."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Likewise."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens that one reply of the model may have."""
    metadata: Metadata | None = None
    """Pairs of the caller's, given back."""
    user: Annotated[str, Field(max_length=512)] | None = None
    """Who asks, in the caller's words."""
    text: TextConfig | None = None
    """The form of the answer."""
    reasoning: ReasoningConfig | None = None
    """Whether to tell the steps."""
    prompt: dict[str, Any] | None = None
    """Refused: no prompts are stored here."""

    agent_type: str | None = None
    """Which agent answers: `auto`, `react`, `plan_execute` or `chat`."""
    session_id: str | None = None
    """The conversation that this goes on with; it must exist."""
    file_ids: FileIds | None = None
    """Uploaded files for the programs, by their ids."""
    approve: ApprovalMode | None = None
    """About which programs to ask before they run; without it, the server's setting."""

    @property
    def tool(self) -> RequestTool | None:
        """The code interpreter, where it is among the tools."""
        return next((each for each in self.tools or () if each.type == CODE_INTERPRETER), None)

    @property
    def container(self) -> AutoContainer | str | None:
        """The container that is asked for; the tool without one means any."""
        if self.tool is None:
            return None
        return self.tool.container or AutoContainer(type="auto")

    @property
    def choice(self) -> Literal["none", "auto", "required"]:
        """Whether a program may, or has to, run."""
        if isinstance(self.tool_choice, dict) or self.tool_choice == "required":
            return "required"
        return "none" if self.tool_choice == "none" else "auto"

    @property
    def conversation_id(self) -> str | None:
        """The conversation's id, however it was written."""
        if isinstance(self.conversation, ConversationRef):
            return self.conversation.id
        return self.conversation

    @property
    def includes_outputs(self) -> bool:
        """Whether items tell what their programs printed and drew."""
        return WITH_OUTPUTS in (self.include or ())

    @property
    def tells_steps(self) -> bool:
        """Whether the steps are told as a summary of reasoning."""
        return bool(self.reasoning and (self.reasoning.summary or self.reasoning.generate_summary))

    def refuse_unsupported(self) -> None:
        """Refuse what is not offered, and what contradicts itself.

        Raises:
            RequestError: names the field.
        """
        for place, tool in enumerate(self.tools or ()):
            if tool.type != CODE_INTERPRETER:
                raise UnsupportedParameter(
                    f"There is no tool {tool.type[:80]!r} here.",
                    "Use {'type': 'code_interpreter', 'container': {'type': 'auto'}}, or none.",
                    param=f"tools.{place}.type",
                )
        if isinstance(self.container, AutoContainer):
            refuse_network(self.container.network_policy, "tools.0.container.network_policy")
        self._check_choice()
        if self.prompt is not None:
            raise UnsupportedParameter(
                "There are no stored prompts here.", "Send the text as 'input'.", param="prompt"
            )
        self._check_background()
        named = [
            name
            for name, value in (
                ("previous_response_id", self.previous_response_id),
                ("conversation", self.conversation_id),
                ("session_id", self.session_id),
            )
            if value
        ]
        if len(named) > 1:
            raise RequestError(
                f"{named[0]!r} and {named[1]!r} both name a conversation.",
                "Send one of them.",
                param=named[1],
            )

    def _check_background(self) -> None:
        if self.background and self.store is False:
            raise RequestError(
                "A response in the background that is not stored could not be read.",
                "Leave out 'store', or 'background'.",
                param="store",
            )
        if self.background and self.stream:
            raise UnsupportedParameter(
                "A response in the background cannot be streamed from its beginning.",
                "Leave out 'stream', and follow it with GET /v1/responses/{id}?stream=true.",
                param="stream",
            )

    def _check_choice(self) -> None:
        choice = self.tool_choice
        kind = choice.get("type") if isinstance(choice, dict) else choice
        if kind not in {None, "none", "auto", "required", CODE_INTERPRETER} or (
            isinstance(choice, str) and kind == CODE_INTERPRETER
        ):
            raise UnsupportedParameter(
                f"'tool_choice' cannot be {str(kind)[:80]!r} here.",
                "Use none, auto, required or {'type': 'code_interpreter'}.",
                param="tool_choice",
            )
        if self.choice == "required" and self.tool is None:
            raise RequestError(
                "'tool_choice' asks for a tool, and 'tools' has none.",
                "Add {'type': 'code_interpreter', 'container': {'type': 'auto'}}.",
                param="tool_choice",
            )
