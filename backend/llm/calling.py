"""Calling a model: which one a stage asks, what fits into its context, what a request may spend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from backend.config.settings import Settings
from backend.config.stages import StageOptions
from backend.errors import BadReply, ContextExceeded
from backend.llm.attempts import Call, Reply, Target
from backend.llm.budget import Budget
from backend.llm.failures import ServerFailure
from backend.llm.fitting import LEAST_REPLY_TOKENS, drop_oldest
from backend.llm.receiving import Watcher
from backend.llm.wire import Question
from backend.types import Message, Rung, Stage, ToolSpec


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A conversation to send, oldest first, and what was cut to make it fit."""

    messages: tuple[Message, ...]
    shortened: tuple[str, ...] = ()


Write = Callable[[Rung], Prompt]
"""Words a question for the form it is asked in."""


class LanguageModel:
    """The model of a request, and those that some stages have of their own.

    Get it from ``Models.get``; ``within`` binds it to what the request may spend.
    """

    def __init__(
        self,
        target: Target,
        settings: Settings,
        *,
        stages: Mapping[Stage, Target],
        options: Mapping[Stage, StageOptions],
        budget: Budget | None = None,
    ) -> None:
        self.name = target.name
        """As shown to people: ``gpt-oss:20b``, or ``scripted``."""
        self.provider = target.provider.server.provider
        self.budget = budget or Budget()
        self._target = target
        self._settings = settings
        self._stages = stages
        self._options = options

    def within(self, budget: Budget) -> LanguageModel:
        """The same models, with every call under this budget."""
        return LanguageModel(
            self._target,
            self._settings,
            stages=self._stages,
            options=self._options,
            budget=budget,
        )

    async def rung(
        self,
        stage: Stage,
        *,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> Rung:
        """In which form a stage's model is asked now, where this much is given (see ``ladder``).

        The first time that tools are offered, Ollama is asked what the model can.
        """
        target = self._target_of(stage)
        async with self.budget.in_time():
            return await target.ladder.rung(
                target.provider, target.name, tools=bool(tools), schema=schema is not None
            )

    def note(self, reply: Reply, *, readable: bool) -> None:
        """Tell whether a reply could be read, for the form of the next questions."""
        target, rung = self._target_of(reply.call["stage"]), reply.call["rung"]
        (target.ladder.readable if readable else target.ladder.unreadable)(target.name, rung)

    def excess(
        self,
        stage: Stage,
        prompt: str,
        *,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> float:
        """By which share of itself a prompt is too long for its stage's context.

        Room is left for the reply: its limit, or half of the context if that is less; and for the
        tools that are offered natively.

        Returns:
            0 where it fits, and where the server decides alone.
        """
        target = self._target_of(stage)
        if target.num_ctx is None:
            return 0.0
        room = target.num_ctx - min(self._limit(stage, max_tokens)[0], target.num_ctx // 2)
        tokens = target.estimate([Message(role="user", content=prompt)], tools)
        return max(1 - room / tokens, 0.0)

    async def call(
        self,
        messages: Sequence[Message] | Write,
        *,
        stage: Stage,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[ToolSpec] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """Ask once, and again where a second attempt can do better (see ``attempts``).

        A conversation that does not fit into the context loses its oldest turns. A stage's own
        model and options (``PYTHON_CODER_STAGES``) beat the arguments, these beat the settings.

        Args:
            messages: the conversation, oldest first; or what words it for the form it is asked in.
            stage: what the call is for; it is accounted under this name.
            schema: JSON schema of the reply. Servers may ignore it: read the reply tolerantly.
            tools: offered for a native call to models that have such calls; then the schema is not
                sent, and a call comes as the text that ``tool_calls`` makes of it.
            temperature: None for the setting.
            max_tokens: tokens the reply may have; None for the setting, which is doubled once for
                a reply that did not end.
            top_p: None for what the server does by itself.
            seed: None for what the server does by itself.
            stop: sequences that end the reply; for words to a person only, not for what is read.
            on_text: gets the words as they come, without thoughts. After a second attempt that
                differs from the first it has both, the second after an empty line.

        Raises:
            ModelUnavailable: nobody answers there, in time.
            ModelNotFound: the server does not have the model.
            BadReply: empty, cut off, or to a question that was or would be cut; ``partial`` is
                what came.
            ModelError: the server refused or failed.
            BudgetExceeded: the request may not spend more. Each has ``calls``, what was used up.
        """
        target = self._target_of(stage)
        own = self._options.get(stage, StageOptions())
        limit, limit_name = self._limit(stage, max_tokens)
        asked = partial(
            Question,
            stage=stage,
            temperature=_first(own.temperature, temperature, self._settings.temperature),
            max_tokens=limit,
            top_p=_first(own.top_p, top_p, None),
            seed=_first(own.seed, seed, None),
            stop=tuple(stop),
            limit_name=limit_name,
        )
        await target.look_up(stage, self.budget)
        while True:
            rung = await self.rung(stage, schema=schema, tools=tools)
            prompt = messages(rung) if callable(messages) else Prompt(messages=tuple(messages))
            question = asked(
                messages=prompt.messages,
                schema=schema if rung == "schema" else None,
                tools=tuple(tools) if rung == "tools" else (),
            )
            try:
                question, dropped = _into_context(target, question)
            except BadReply:
                if rung != "tools":
                    raise
                tools = ()  # their schemas take the most; the prompt's words may fit
                continue
            call = Call(
                target,
                self.budget,
                Watcher(on_text),
                shortened=[*prompt.shortened, *(["messages"] if dropped else [])],
                may_widen=max_tokens is None or own.max_tokens is not None,
            )
            try:
                return await call.answer(question)
            except ServerFailure:  # it refused the form
                target.ladder.refused(target.name, rung)
            except BadReply as error:
                if error.reason == "tool_parse" or (error.reason == "empty" and error.calls):
                    target.ladder.unreadable(target.name, rung)
                raise

    def _target_of(self, stage: Stage) -> Target:
        return self._stages.get(stage, self._target)

    def _limit(self, stage: Stage, max_tokens: int | None) -> tuple[int, str]:
        own = self._options.get(stage, StageOptions()).max_tokens
        if own is not None:
            return own, f"max_tokens of {stage!r} in PYTHON_CODER_STAGES"
        if max_tokens is not None:
            return max_tokens, "the request's max_tokens (without one, PYTHON_CODER_MAX_TOKENS)"
        return self._settings.max_tokens, "PYTHON_CODER_MAX_TOKENS"


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _into_context(target: Target, question: Question) -> tuple[Question, int]:
    """Leave out old turns, and limit the reply, so that both fit together.

    Raises:
        ContextExceeded: not even the last message does.
    """
    num_ctx = target.num_ctx
    if num_ctx is None:
        return question, 0
    room, tools = num_ctx - min(question.max_tokens, num_ctx // 2), question.tools
    messages, dropped = drop_oldest(
        question.messages, lambda kept: target.estimate(kept, tools) <= room
    )
    tokens = target.estimate(messages, tools)
    if tokens + min(question.max_tokens, LEAST_REPLY_TOKENS) > num_ctx:
        raise ContextExceeded(
            f"The question to {target.name!r} has about {tokens} tokens (stage "
            f"{question.stage}), and with the reply does not fit into the context of {num_ctx}.",
            target.server.context_remedy,
        )
    limit = min(question.max_tokens, num_ctx - tokens)
    return replace(question, messages=messages, max_tokens=limit), dropped
