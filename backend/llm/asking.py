"""Asking a model for something readable: a prompt, one re-ask with the reason, an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from backend.errors import BadReply, BudgetExceeded, ModelError, ModelUnavailable
from backend.foreign_code import in_turn
from backend.llm.calling import LanguageModel
from backend.llm.fitting import Fitted, fit
from backend.llm.replies import extract_json
from backend.prompts import render
from backend.types import Message, ModelCall, Stage

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
    temperature: float | None = None,
    max_tokens: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Asked[T]:
    """Render the stage's prompt so that it fits, call the model, read its reply.

    A prompt that is too long for the context is shortened by the rule of ``fitting``; what was
    cut stands in the calls' ``shortened``. A reply that is still cut off with twice its limit is
    not asked for again.

    Args:
        model: whom to ask.
        stage: what the call is for; also the prompt's name.
        values: what the template needs beside ``reason``.
        read: gives the value, or raises ``Unreadable`` with the reason.
        schema: a JSON schema for the reply, where it is JSON.
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
        prompt = _fitted(model, stage, {**values, "reason": reason}, max_tokens)
        try:
            reply = await model.call(
                [Message(role="user", content=prompt.text)],
                stage=stage,
                schema=schema,
                temperature=temperature,
                max_tokens=max_tokens,
                top_p=top_p,
                seed=seed,
                shortened=prompt.shortened,
            )
            calls.append(reply.call)
            text = reply.text
            value = await in_turn(text, partial(read, text))
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
                reason = str(error)
                break  # it was given twice the room already, or there is none
        except (BudgetExceeded, ModelError, ModelUnavailable) as error:
            error.calls = (*calls, *error.calls)
            raise
    return Asked(value=None, text=text, reason=reason, calls=calls)


def _fitted(
    model: LanguageModel, stage: Stage, values: Mapping[str, Any], max_tokens: int | None
) -> Fitted:
    return fit(
        stage,
        values,
        lambda cut: render(stage, **cut),
        lambda prompt: model.excess(stage, prompt, max_tokens=max_tokens),
    )


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
