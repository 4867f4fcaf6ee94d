"""The attempts of one call to a model, what they took, and what the last one came to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from backend.errors import BadReply, BudgetExceeded, ModelError, ModelUnavailable, PythonCoderError
from backend.llm.budget import Budget
from backend.llm.counting import PromptCounts, proves_a_cut, uncached
from backend.llm.failures import ServerFailure, translate
from backend.llm.fitting import LEAST_REPLY_TOKENS
from backend.llm.ladder import Ladder
from backend.llm.receiving import Received, Watcher
from backend.llm.tokens import estimate_messages
from backend.llm.wire import Piece, Provider, Question, Server
from backend.observing import Deed, Fact, Observe, unobserved
from backend.types import Message, ModelCall, Stage, ToolSpec

ATTEMPTS = 2
"""For what a second try mends: a dropped stream, a reply the server's own parser choked on, and
an answer that was only "the model is loaded now". Everything else is raised at once."""
WIDER = 2
"""By how much the limit of a reply grows, once, when the reply did not come to an end."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that ended by itself."""

    text: str
    """The words, without thoughts; never empty."""
    call: ModelCall
    """What it took, a failed first attempt included."""
    done_reason: str
    thinking: str = ""
    is_tool_call: bool = False
    """The text is a native tool call, written as ``tool_calls`` has it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model of a provider's, with what is known of how its server counts and what it can."""

    name: str
    provider: Provider
    counts: PromptCounts
    ladder: Ladder
    observe: Observe = unobserved

    @property
    def server(self) -> Server:
        """Who is asked, with what is known of the model's context."""
        return self.provider.server_of(self.name)

    @property
    def num_ctx(self) -> int | None:
        """Tokens of context; None where the server does not tell."""
        return self.server.num_ctx

    def deed(self, stage: Stage) -> Deed:
        """A call to this model, for whoever watches."""
        facts: dict[str, Fact] = {"stage": stage, "provider": self.server.provider}
        return Deed(kind="model", name=self.name, facts=facts)

    async def look_up(self, stage: Stage, budget: Budget) -> None:
        """Learn what must be known of the model before it is asked.

        Raises:
            PythonCoderError: as ``LanguageModel.call``. It counts as a call that failed.
        """
        try:
            async with budget.in_time():
                await self.provider.look_up(self.name)
        except PythonCoderError:
            with self.observe(self.deed(stage)):
                raise

    def estimate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """About how many tokens a conversation has for this model, and the tools it is offered."""
        tokens = estimate_messages(messages, tools)
        return round(tokens * self.counts.calibration.factor(self.name))


class Call:
    """One call with its attempts and what they took."""

    def __init__(
        self,
        target: Target,
        budget: Budget,
        watcher: Watcher,
        *,
        shortened: list[str],
        may_widen: bool,
    ) -> None:
        self._target = target
        self._budget = budget
        self._watcher = watcher
        self._shortened = shortened
        self._may_widen = may_widen
        self._attempts: list[Received] = []
        self._failed = 0
        self._cut_off: ServerFailure | None = None
        self._started = time.perf_counter()

    async def answer(self, question: Question) -> Reply:
        """Ask until there is a reply, or no attempt can do better.

        Raises:
            PythonCoderError: as ``LanguageModel.call``.
            ServerFailure: the server refused the form of the question.
        """
        deed = self._target.deed(question.stage)
        with self._target.observe(deed):
            try:
                received = await self._to_its_end(question)
            except PythonCoderError as error:
                self._give_account(error)
                raise
            finally:
                if self._was_asked:
                    account = self._account()
                    self._budget.record(account)
                    deed.facts["input_tokens"] = account["input_tokens"]
                    deed.facts["output_tokens"] = account["output_tokens"]
            deed.facts["finish_reason"] = received.done_reason or "stop"
        return Reply(
            text=received.text,
            call=self._account(),
            done_reason=received.done_reason or "stop",
            thinking=received.thoughts,
            is_tool_call=bool(received.call),
        )

    async def _to_its_end(self, question: Question) -> Received:
        while True:
            try:
                received = await self._attempt(question, self._watcher)
                await self._refuse_cut_prompt(received)
            except ServerFailure as failure:
                if failure.refused:
                    raise
                again = self._again(question, failure)
                if again is None:
                    told = self._most_telling(failure)
                    raise told.error from told.__cause__
                question = again
            else:
                return received

    def _again(self, question: Question, failure: ServerFailure) -> Question | None:
        """The question for another attempt, where one can do better."""
        if _reason(failure) == "length":
            self._cut_off = failure
            return self._wider(question)
        if _reason(failure) == "tool_parse" and question.tools:
            return None  # asked the same way it would write the same; `asking` asks for JSON
        self._failed += 1
        return question if failure.retry and self._failed < ATTEMPTS else None

    def _most_telling(self, failure: ServerFailure) -> ServerFailure:
        """A reply that was cut off says more than why there was no second one."""
        return failure if _reason(failure) == "context" else self._cut_off or failure

    def _wider(self, question: Question) -> Question | None:
        received = self._attempts[-1]
        if not self._may_widen or received.done_reason != "length":
            return None
        self._may_widen = False
        limit = question.max_tokens * WIDER
        if self._target.num_ctx is not None:
            prompt = received.input_tokens or self._estimate(question)
            limit = min(limit, self._target.num_ctx - prompt)
        return replace(question, max_tokens=limit) if limit > question.max_tokens else None

    async def _attempt(self, question: Question, watcher: Watcher) -> Received:
        """Ask the server once.

        Raises:
            ServerFailure: no reply that ended by itself with words in it.
            BudgetExceeded: it may not be asked, or not for so long.
        """
        estimated = self._estimate(question)
        with self._budget.spend(
            prompt=estimated,
            reply=question.max_tokens,
            least_reply=min(question.max_tokens, LEAST_REPLY_TOKENS),
        ) as ticket:
            wanted = question.max_tokens
            question = replace(question, max_tokens=ticket.reply_tokens)
            received = Received(
                model=self._target.name,
                server=self._target.server,
                question=question,
                watcher=watcher,
            )
            self._attempts.append(received)
            try:
                async with (
                    self._budget.in_time(),
                    aclosing(self._pieces(question)) as pieces,
                ):
                    await received.read(pieces)
            except ServerFailure as failure:
                ticket.used = self._used(received, estimated)
                ticket.refused = failure.refused
                limited = self._budget.reply_was_limited(ticket, wanted)
                if limited is not None and received.done_reason == "length":
                    raise limited from None
                raise
            finally:
                ticket.used = self._used(received, estimated)
        return received

    def _estimate(self, question: Question) -> int:
        return self._target.estimate(question.messages, question.tools)

    def _used(self, received: Received, estimated: int) -> int:
        if not received.pieces and not received.input_tokens:
            return 0
        return (received.input_tokens or estimated) + received.output_tokens

    async def _pieces(self, question: Question) -> AsyncGenerator[Piece, None]:
        # Only what the provider raises is translated; what `on_text` raises is its owner's.
        target = self._target
        try:
            async with aclosing(target.provider.stream(target.name, question)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:
            raise translate(
                error, model=target.name, server=target.provider.server, rung=question.rung
            ) from error

    async def _refuse_cut_prompt(self, received: Received) -> None:
        """Learn from the server's count; if it is too low, find out why (see ``counting``).

        Raises:
            ServerFailure: the server read only a part of the prompt.
        """
        if not received.server.counts:
            return
        question, name, counts = received.question, self._target.name, self._target.counts
        estimated = estimate_messages(question.messages, question.tools)
        told = received.input_tokens
        if counts.is_suspect(name, question.text, estimated=estimated, told=told):
            twin = await self._count_uncached(question)
            if proves_a_cut(question, told=told, told_uncached=twin):
                raise received.cut_prompt()
            told = twin
        counts.remember(name, question.text)
        counts.calibration.learn(name, estimated=estimated, told=told)

    async def _count_uncached(self, question: Question) -> int:
        try:
            await self._attempt(uncached(question), Watcher(None))
        except ServerFailure as failure:
            # A reply of one token is always cut off; what counts is the count.
            if not isinstance(failure.error, BadReply) or failure.error.reason == "dropped":
                raise
        return self._attempts[-1].input_tokens

    @property
    def _was_asked(self) -> bool:
        return any(attempt.pieces + attempt.input_tokens for attempt in self._attempts)

    def _account(self) -> ModelCall:
        text = self._attempts[0].question.text
        call: ModelCall = {
            "stage": self._attempts[0].question.stage,
            "model": self._target.name,
            "input_tokens": sum(attempt.input_tokens for attempt in self._attempts),
            "output_tokens": sum(attempt.output_tokens for attempt in self._attempts),
            "duration_s": time.perf_counter() - self._started,
            "prompt_sha256": hashlib.sha256(text.encode(errors="replace")).hexdigest(),
            "rung": self._attempts[0].question.rung,
        }
        if self._shortened:
            call["shortened"] = self._shortened
        return call

    def _give_account(self, error: PythonCoderError) -> None:
        if isinstance(error, ModelError | ModelUnavailable | BudgetExceeded) and self._was_asked:
            error.calls = (self._account(),)
        if isinstance(error, BadReply) and not error.partial:
            error.partial = self._attempts[-1].text


def _reason(failure: ServerFailure) -> str:
    return failure.error.reason if isinstance(failure.error, BadReply) else ""
