"""Asking a model for something readable: a prompt, one re-ask with the reason, an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from backend.errors import BadReply, BudgetExceeded, ModelError, ModelUnavailable
from backend.foreign_code import in_turn
from backend.llm.attempts import Reply
from backend.llm.calling import LanguageModel, Prompt, Write
from backend.llm.fitting import fit
from backend.llm.replies import extract_json
from backend.prompts import render
from backend.types import Message, ModelCall, Rung, Stage, ToolSpec

T = TypeVar("T")

ASKS = 2
"""A model is asked once, and once more with the reason when its reply cannot be used."""


class Unreadable(Exception):
    """A reply cannot be used; the message is the reason, told to the model at the re-ask."""


@dataclass(frozen=True, kw_only=True)
class Asked(Generic[T]):
    """What came of asking: the value read from a reply, or why there is none."""

    value: T | None
    text: str
    """The last reply, whole."""
    reason: str = ""
    """Why nothing could be read; '' when something was."""
    calls: list[ModelCall] = field(default_factory=list)


async def ask(
    model: LanguageModel,
    stage: Stage,
    values: Mapping[str, Any],
    read: Callable[[str], T],
    *,
    schema: Mapping[str, Any] | None = None,
    tools: Sequence[ToolSpec] = (),
    read_words: Callable[[str], T] | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Asked[T]:
    """Render the stage's prompt so that it fits, call the model, read its reply.

    It is asked in the highest form that the model can (see ``ladder``). Where the values have
    ``native``, it is set to whether that is a native tool call, for the template to say so.

    A prompt that is too long for the context is shortened by the rule of ``fitting``; what was
    cut stands in the calls' ``shortened``. A reply that is still cut off with twice its limit is
    not asked for again.

    Args:
        model: whom to ask.
        stage: what the call is for; also the prompt's name.
        values: what the template needs beside ``reason``.
        read: gives the value, or raises ``Unreadable`` with the reason.
        schema: a JSON schema for the reply, where it is JSON and no native tool call.
        tools: what the model may call natively. The first call of a reply is read as the text
            ``{"thought": WORDS, "action": NAME, "action_input": ARGUMENTS}``.
        read_words: reads what a model said that was offered tools natively and called none, where
            ``read`` cannot: by convention that is its answer. None: it is unreadable.
        temperature: None for the setting.
        max_tokens: None for the setting.
        top_p: None for what the server does by itself.
        seed: None for what the server does by itself.

    Raises:
        ModelError, ModelUnavailable: the model could not be asked at all.
        BudgetExceeded: the request may not spend more. Each has ``calls``, what the asking used.
    """
    calls: list[ModelCall] = []
    text = reason = ""
    for _ in range(ASKS):
        try:
            reply = await model.call(
                _writer(model, stage, {**values, "reason": reason}, max_tokens, tools),
                stage=stage,
                schema=schema,
                tools=tools,
                temperature=temperature,
                max_tokens=max_tokens,
                top_p=top_p,
                seed=seed,
            )
            calls.append(reply.call)
            text = reply.text
            value = await _value(model, reply, read, read_words)
            return Asked(value=value, text=text, calls=calls)
        except Unreadable as error:
            reason = str(error)
        except BadReply as error:
            if error.reason == "context":
                error.calls = (*calls, *error.calls)
                raise  # the same question does not fit the second time either
            calls += error.calls
            text, reason = error.partial, error.what
            if error.reason == "length":
                reason = error.words
                break  # it was given twice the room already, or there is none
            if error.reason in ("tool_parse", "empty"):
                tools = ()  # no call came that could be read: rather JSON, this time
        except (BudgetExceeded, ModelError, ModelUnavailable) as error:
            error.calls = (*calls, *error.calls)
            raise
    return Asked(value=None, text=text, reason=reason, calls=calls)


def _writer(
    model: LanguageModel,
    stage: Stage,
    values: Mapping[str, Any],
    max_tokens: int | None,
    tools: Sequence[ToolSpec],
) -> Write:
    """Renders the prompt for the form that it is asked in, so that it fits."""

    def write(rung: Rung) -> Prompt:
        native = rung == "tools"
        form = {"native": native} if "native" in values else {}
        fitted = fit(
            stage,
            {**values, **form},
            lambda cut: render(stage, **cut),
            lambda prompt: model.excess(
                stage, prompt, max_tokens=max_tokens, tools=tools if native else ()
            ),
        )
        messages = (Message(role="user", content=fitted.text),)
        return Prompt(messages=messages, shortened=fitted.shortened)

    return write


async def _value(
    model: LanguageModel,
    reply: Reply,
    read: Callable[[str], T],
    read_words: Callable[[str], T] | None,
) -> T:
    try:
        value = await in_turn(reply.text, partial(_read, reply, read, read_words))
    except Unreadable:
        model.note(reply, readable=False)
        raise
    model.note(reply, readable=True)
    return value


def _read(reply: Reply, read: Callable[[str], T], read_words: Callable[[str], T] | None) -> T:
    try:
        return read(reply.text)
    except Unreadable:
        if read_words is None or reply.call["rung"] != "tools" or reply.is_tool_call:
            raise
    return read_words(reply.text)


def read_object(reply: str, *required: str) -> dict[str, Any]:
    """The JSON object of a reply.

    Raises:
        Unreadable: there is none, or a required key is missing.
    """
    value = extract_json(reply)
    if value is None:
        raise Unreadable("it holds no JSON object")
    missing = [key for key in required if key not in value]
    if missing:
        raise Unreadable(f"the JSON object has no {', '.join(map(repr, missing))}")
    return value
