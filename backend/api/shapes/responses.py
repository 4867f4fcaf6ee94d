"""Responses, as OpenAI's clients know them."""

from __future__ import annotations

from typing import Any, Literal

from backend.api.shapes.base import Deleted, Page, Shape


class Logs(Shape):
    """What a program printed."""

    type: Literal["logs"]
    """Always `logs`."""
    logs: str
    """Standard output, standard error and the value of the last expression; cut to 6 KB."""


class Drawing(Shape):
    """A picture that a program made."""

    type: Literal["image"]
    """Always `image`."""
    url: str
    """A signed link to it."""


class CodeInterpreterCall(Shape):
    """A program that ran; a repaired one is an item of its own."""

    id: str
    """Begins with `ci_`."""
    type: Literal["code_interpreter_call"]
    """Always `code_interpreter_call`."""
    status: Literal["in_progress", "interpreting", "completed", "incomplete", "failed"]
    """`completed`: it ended by itself with status 0; `failed`: otherwise, or a limit ended it;
    `incomplete`: it was refused, or the request ended first."""
    code: str
    """The program."""
    container_id: str
    """The container it ran in."""
    outputs: list[Logs | Drawing] | None
    """Only with `include: ["code_interpreter_call.outputs"]`."""


class Citation(Shape):
    """A file that the answer brings, and where its link stands in the text."""

    type: Literal["container_file_citation"]
    """Always `container_file_citation`."""
    container_id: str
    """The container that it lies in."""
    file_id: str
    """The file's id, for `/v1/containers/{id}/files/{file_id}` and `/v1/files/{file_id}`."""
    filename: str
    """Its name."""
    start_index: int
    """The first character of its link in the text."""
    end_index: int
    """The character behind its link."""


class OutputText(Shape):
    """Words of an answer; files stand in them as markdown links, too."""

    type: Literal["output_text"]
    """Always `output_text`."""
    text: str
    """The words."""
    annotations: list[Citation]
    """The files that they bring."""
    logprobs: list[Any]
    """Always empty."""


class Refusal(Shape):
    """Why there is no answer in the form that was asked for."""

    type: Literal["refusal"]
    """Always `refusal`."""
    refusal: str
    """The reason."""


class OutputMessage(Shape):
    """The answer."""

    id: str
    """Begins with `msg_`."""
    type: Literal["message"]
    """Always `message`."""
    role: Literal["assistant"]
    """Always `assistant`."""
    status: Literal["in_progress", "completed", "incomplete"]
    """`incomplete` where it was cut off."""
    content: list[OutputText | Refusal]
    """One part."""


class SummaryText(Shape):
    """Steps, as markdown."""

    type: Literal["summary_text"]
    """Always `summary_text`."""
    text: str
    """The steps."""


class ReasoningItem(Shape):
    """The steps between two programs; only with `reasoning: {"summary": "auto"}`."""

    id: str
    """Begins with `rs_`."""
    type: Literal["reasoning"]
    """Always `reasoning`."""
    summary: list[SummaryText]
    """One part."""


class InputTokensDetails(Shape):
    """Nothing that model servers here tell of."""

    cached_tokens: int
    """Always 0."""
    cache_write_tokens: int
    """Always 0."""


class OutputTokensDetails(Shape):
    """Nothing that model servers here tell of."""

    reasoning_tokens: int
    """Always 0."""


class ResponseUsage(Shape):
    """What all model calls of the request used together."""

    input_tokens: int
    """Of prompts."""
    input_tokens_details: InputTokensDetails
    """Zeros."""
    output_tokens: int
    """Of replies."""
    output_tokens_details: OutputTokensDetails
    """Zeros."""
    total_tokens: int
    """Both."""


class ResponseFailure(Shape):
    """Why there is no answer."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    """Who is to act: the operator, time, or the caller."""
    message: str
    """What happened and what to do next."""


class IncompleteDetails(Shape):
    """Why an answer was cut off."""

    reason: Literal["max_output_tokens"]
    """Always `max_output_tokens`."""


class ConversationId(Shape):
    """The conversation that was named."""

    id: str
    """A session's id."""


class ReasoningEcho(Shape):
    """What was asked about reasoning."""

    effort: str | None
    """Always null: it changes nothing here."""
    summary: Literal["auto", "concise", "detailed"] | None
    """Whether steps are told; all mean the same."""


class ResponseObject(Shape):
    """A response."""

    id: str
    """Begins with `resp_`."""
    object: Literal["response"]
    """Always `response`."""
    created_at: int
    """Unix time in seconds."""
    completed_at: int | None
    """Unix time in seconds; null unless it is completed."""
    status: Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]
    """How it stands."""
    background: bool
    """Nobody waits for it."""
    error: ResponseFailure | None
    """Why it failed."""
    incomplete_details: IncompleteDetails | None
    """Why it was cut off."""
    instructions: str | None
    """As asked for."""
    max_output_tokens: int | None
    """As asked for."""
    max_tool_calls: int | None
    """Always null."""
    metadata: dict[str, str]
    """As asked for."""
    model: str
    """As asked for."""
    output: list[CodeInterpreterCall | OutputMessage | ReasoningItem]
    """Programs in the order in which they began, then the answer."""
    parallel_tool_calls: bool
    """Always true: independent steps of a plan are done side by side."""
    previous_response_id: str | None
    """The response that it follows."""
    conversation: ConversationId | None
    """The conversation, where one was named."""
    reasoning: ReasoningEcho
    """As asked for."""
    service_tier: Literal["default"]
    """Always `default`."""
    store: bool
    """Whether it is kept."""
    temperature: float | None
    """As asked for, else that of the settings."""
    text: dict[str, Any]
    """The form of the answer, as asked for."""
    tool_choice: str | dict[str, Any]
    """As asked for."""
    tools: list[dict[str, Any]]
    """As asked for."""
    top_p: float | None
    """As asked for."""
    truncation: Literal["disabled"]
    """Always `disabled`: long histories are shortened by rule, and the metadata say so."""
    usage: ResponseUsage | None
    """Once there is an answer."""
    user: str | None
    """As asked for."""
    x_session_id: str | None
    """The session behind it; null where it is not stored."""
    x_run_id: str | None
    """The run in `/v1/runs`; null where no program could run, or nothing is stored."""
    x_container_id: str | None
    """The container where its programs ran."""
    x_agent_metadata: dict[str, Any] | None
    """As in a chat completion, once there is an answer."""


class ResponseEvent(Shape):
    """One event of a stream; it is named in the line `event:`, too.

    In their order: `response.created`, `response.in_progress`; for each program
    `response.output_item.added`, `response.code_interpreter_call.in_progress`,
    `response.code_interpreter_call_code.delta` ..., `response.code_interpreter_call_code.done`,
    `response.code_interpreter_call.interpreting`, `response.code_interpreter_call.completed`,
    `response.output_item.done`; for the answer `response.output_item.added`,
    `response.content_part.added`, `response.output_text.delta` ...,
    `response.output_text.annotation.added` ..., `response.output_text.done`,
    `response.content_part.done`, `response.output_item.done`; at last `response.completed`,
    `response.incomplete` or `response.failed`.
    """

    type: str
    """Which one it is."""
    sequence_number: int
    """From 0, without gaps."""
    response: ResponseObject | None = None
    """Of the first and the last ones."""
    output_index: int | None = None
    """The place of the item in the output."""
    item_id: str | None = None
    """The item's id."""
    item: CodeInterpreterCall | OutputMessage | ReasoningItem | None = None
    """The item, when it is added and when it is done."""
    content_index: int | None = None
    """The place of the part in the item; always 0."""
    summary_index: int | None = None
    """The place of the part in the summary; always 0."""
    part: dict[str, Any] | None = None
    """The part, when it is added and when it is done."""
    delta: str | None = None
    """More of a program, of words or of steps."""
    code: str | None = None
    """The whole program."""
    text: str | None = None
    """All of the words."""
    refusal: str | None = None
    """All of a refusal."""
    annotation: Citation | None = None
    """A file that the answer brings."""
    annotation_index: int | None = None
    """Its place among the annotations."""
    logprobs: list[Any] | None = None
    """Always empty."""


class ResponseDeleted(Deleted):
    """A response is gone; those that follow it are not."""

    object: Literal["response"]
    """Always `response`."""


class InputItemList(Page[dict[str, Any]]):
    """The items that a request came with, each with an id."""
