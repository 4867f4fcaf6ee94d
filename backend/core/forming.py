"""Answers in a form that the request fixes by a JSON Schema: made by a model, held against it.

An answer is in its form or it is refused with the reason; JSON that does not fit never goes out as
an answer. What could not be found out is not put into a form either: a model that has to fill in a
number fills one in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn

from backend.core.requests import AnswerForm
from backend.errors import BudgetExceeded, ModelError, ModelUnavailable
from backend.foreign_code import in_turn
from backend.llm.asking import ASKS, Unreadable
from backend.llm.models import LanguageModel
from backend.llm.replies import extract_json
from backend.prompts import render
from backend.prompts.texts import shorten
from backend.store.told import told
from backend.tools.coder.proof.schema import PROMPT_CHARS, faults_of
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import Message, ModelCall, Sampling, Stage

_REQUEST_CHARS: Final = 4000
_ANSWER_CHARS: Final = 12_000
_FAULTS_CHARS: Final = 600


@dataclass(frozen=True, kw_only=True)
class Formed:
    """An answer in its form, or why there is none."""

    text: str
    """JSON; '' when there is none."""
    refusal: str | None = None
    """Why it could not be had."""
    calls: list[ModelCall] = field(default_factory=list)


class _Unchecked(Unreadable):
    """It could not be told whether it fits; another reply would fare no better."""


class Former:
    """Puts one request's answer into its form."""

    def __init__(
        self,
        form: AnswerForm,
        *,
        model: LanguageModel,
        engine: PythonExecutor,
        sampling: Sampling,
    ) -> None:
        """Bind what all its calls need.

        Args:
            form: what the answer is to be like.
            model: whom to ask.
            engine: holds the answer against the schema, inside the sandbox.
            sampling: how replies are drawn.
        """
        self._form = form
        self._model = model
        self._engine = engine
        self._sampling = sampling

    def instruction(self) -> str:
        """What a model is told of the form that answers in it by itself."""
        return self._prompt(request="", answer="")

    async def of_conversation(self, messages: Sequence[Message]) -> Formed:
        """Let a model go on with a conversation in the form.

        Raises:
            PythonCoderError: as ``LanguageModel.call``.
        """
        return await self._ask(messages, "chat")

    async def of_answer(self, request: str, answer: str) -> Formed:
        """Put an answer in words into the form; one that is in it already stays as it is.

        Failures of the model are told in ``refusal``: the words are there, and so is the work.
        """
        try:
            return Formed(text=await self._read(answer))
        except Unreadable:
            pass
        prompt = self._prompt(
            request=shorten(request, _REQUEST_CHARS), answer=shorten(answer, _ANSWER_CHARS)
        )
        try:
            formed = await self._ask([Message(role="user", content=prompt)], "answer")
        except (BudgetExceeded, ModelError, ModelUnavailable) as error:
            formed = Formed(text="", refusal=_not_formed(told(error)), calls=list(error.calls))
        if formed.refusal is None:
            return formed
        return Formed(
            text="", refusal=f"{formed.refusal}\n\nIn words: {answer}", calls=formed.calls
        )

    def _prompt(self, *, request: str, answer: str) -> str:
        return render(
            "form",
            schema=shorten(json.dumps(self._form.schema, ensure_ascii=False), PROMPT_CHARS),
            description=shorten(self._form.description, _REQUEST_CHARS),
            request=request,
            answer=answer,
        )

    async def _ask(self, messages: Sequence[Message], stage: Stage) -> Formed:
        """Ask, and once more with the reason when the reply does not fit."""
        calls: list[ModelCall] = []
        asked, reason = list(messages), ""
        for _ in range(ASKS):
            try:
                reply = await self._model.call(
                    asked, stage=stage, schema=self._form.schema, **self._sampling
                )
            except (BudgetExceeded, ModelError, ModelUnavailable) as error:
                error.calls = (*calls, *error.calls)
                raise
            calls.append(reply.call)
            try:
                text = await self._read(reply.text)
            except _Unchecked as error:
                return Formed(text="", refusal=_not_formed(str(error)), calls=calls)
            except Unreadable as error:
                self._model.note(reply, readable=False)
                reason = str(error)
            else:
                self._model.note(reply, readable=True)
                return Formed(text=text, calls=calls)
            asked += [
                Message(role="assistant", content=reply.text),
                Message(role="user", content=f"That does not fit: {reason}\nGive the JSON only."),
            ]
        return Formed(text="", refusal=_not_formed(reason), calls=calls)

    async def _read(self, text: str) -> str:
        """The JSON of a text, if it fits.

        Raises:
            Unreadable: it does not, or that could not be told; says why.
        """
        value, as_json = await in_turn(text, partial(_json_of, text))
        if self._form.is_plain_object:
            if not isinstance(value, dict):
                raise Unreadable("it is no JSON object")
            return as_json
        held = await faults_of(self._engine, self._form.schema, value)
        if held.unchecked:
            raise _Unchecked(f"it could not be held against the schema: {held.unchecked}")
        if held.faults:
            raise Unreadable(shorten("; ".join(held.faults), _FAULTS_CHARS))
        return as_json


def _not_formed(reason: str) -> str:
    return f"The answer could not be put into the form that was asked for: {reason}"


def _json_of(text: str) -> tuple[Any, str]:
    """The value that a text holds, and its JSON."""
    bare = text.strip()
    try:
        return json.loads(bare, parse_constant=_refuse_constant), bare
    except (ValueError, RecursionError):
        pass
    found: Mapping[str, Any] | None = extract_json(text)
    if found is None:
        raise Unreadable("it holds no JSON")
    try:
        return found, json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("it holds what JSON has no word for, such as NaN") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
