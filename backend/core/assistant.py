"""The assistant: chooses the agent for a question, runs it, and tells of it as it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from backend.config.settings import Settings
from backend.core.agents import Agents
from backend.core.classifier import Classifier
from backend.core.forming import Former
from backend.core.outcome import answer_from, route_event, tell_deed
from backend.core.requests import Answer, Ask, answer_of
from backend.core.resuming import ask_of, entry_of
from backend.core.router import Route, route
from backend.core.running import chat, in_form
from backend.errors import Conflict, NotFound, PythonCoderError, RequestError
from backend.llm.budget import Budget
from backend.llm.models import LanguageModel, Models, open_models
from backend.observing import Deed, Observe, unobserved
from backend.store.blobs import BlobStore
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.sessions import SessionStore
from backend.tools.approval import (
    Approvals,
    Approver,
    Given,
    decision_of,
    pending_of,
    refused_text,
    require_approver,
)
from backend.tools.coder.entries import Job
from backend.tools.coder.recording import Recorder, open_recorder
from backend.tools.extra.opening import open_tools
from backend.tools.live_sessions import HeldSession, LiveSessions
from backend.tools.python_executor_engine import (
    PythonExecutor,
    open_engine,
    require_enabled,
)
from backend.tools.question import require_question
from backend.tools.toolbox import Tool
from backend.types import (
    AgentName,
    AgentType,
    Emit,
    Event,
    ModelCall,
    ignore_event,
)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A request, and who answers it with what."""

    ask: Ask
    agent: AgentName
    mode: Literal["explicit", "auto"]
    chosen: Route
    calls: Sequence[ModelCall]
    """Those that the choice took."""
    model: LanguageModel
    former: Former | None
    """Puts the answer into the form that is wanted; None where any will do."""
    budget: Budget
    started: float
    """By the monotonic clock, in seconds."""


class Assistant:
    """Serves questions; keeps nothing between them, so one serves any number at a time."""

    def __init__(
        self,
        *,
        settings: Settings,
        models: Models,
        engine: PythonExecutor,
        blobs: BlobStore,
        recorder: Recorder | None = None,
        live_sessions: LiveSessions | None = None,
        tools: Sequence[Tool] = (),
        observe: Observe = unobserved,
    ) -> None:
        self.settings = settings
        self.models = models
        self.engine = engine
        self.blobs = blobs
        self.recorder = recorder
        self.tools = tuple(tools)
        self.live_sessions = live_sessions
        self._observe = observe
        self._classifier = Classifier(settings, models)
        self._agents = Agents(
            settings=settings,
            engine=engine,
            blobs=blobs,
            checkpointer=recorder.checkpointer if recorder else None,
            observe=observe,
        )

    async def run(
        self, ask: Ask, emit: Emit = ignore_event, approver: Approver | None = None
    ) -> Answer:
        """Answer a question.

        Args:
            ask: the question and what belongs to it.
            emit: is told each step as it happens.
            approver: decides about programs that are to be approved. Without it the answer is
                the program in question (``approval``), and the run waits for ``decide``.

        Raises:
            PythonCoderError: the question cannot be served, or our machinery failed before any
                program had run. After that, what is known is answered.
        """
        deed = Deed(kind="agent", name=ask.agent_type)
        with self._observe(deed):
            answer = await self._run(ask, emit, approver)
            tell_deed(deed, answer)
        return answer

    async def _run(self, ask: Ask, emit: Emit, approver: Approver | None) -> Answer:
        work = await self._prepare(ask)
        ask, agent = work.ask, work.agent
        await self._leave(ask)
        emit(route_event(agent, work.mode, work.chosen))
        # Talk leaves no record: there is no program in it. In the background, the record is all.
        has_record = agent != "chat" or ask.run_id is not None
        recorded = self.recorder if has_record and ask.is_recorded else None
        async with self._session(ask, agent) as session:
            if recorded is None:
                if agent != "chat":
                    require_approver(ask.approve, approver)
                answer = await self._answer(work, session, emit, approver)
            else:

                async def answer_as(job: Job) -> dict[str, Any]:
                    emit(Event(kind="begin", text="", data={"run_id": job.run_id}))
                    try:
                        return (await self._answer(work, session, emit, approver, job)).as_dict()
                    finally:
                        job.calls.extend(work.budget.calls)

                entry = entry_of(ask, agent, work.model, self.settings, session)
                answer = answer_of(await recorded.serve(entry, answer_as))
        if answer.approval is None:
            emit(Event(kind="answer", text=answer.text, data={"success": answer.success}))
        return answer

    async def _leave(self, ask: Ask) -> None:
        if self.recorder is None or ask.leaves is None:
            return
        why = refused_text("Something else was asked.")
        with suppress(Conflict, NotFound):  # decided about or deleted, before this had its turn
            await self.recorder.leave(ask.leaves, why, owner=ask.owner, about=ask.about)

    async def _prepare(self, ask: Ask) -> _Work:
        started = time.monotonic()
        ask = replace(ask, question=require_question(ask.question, self.settings))
        budget = Budget.of(self.settings)
        chosen, calls = await self._classifier.reconsider(self._choose(ask), ask, budget)
        model = self.models.get(ask.model).within(budget)
        former: Former | None = None
        if ask.form is not None:
            former = Former(ask.form, model=model, engine=self.engine, sampling=ask.sampling)
        return _Work(
            ask=ask,
            agent=chosen.agent if ask.agent_type == "auto" else ask.agent_type,
            mode="auto" if ask.agent_type == "auto" else "explicit",
            chosen=chosen,
            calls=calls,
            model=model,
            former=former,
            budget=budget,
            started=started,
        )

    async def _answer(
        self,
        work: _Work,
        session: HeldSession | None,
        emit: Emit,
        approver: Approver | None,
        job: Job | None = None,
    ) -> Answer:
        if work.agent == "chat":
            state = await chat(work.ask, work.model, emit, work.former)
        else:
            approvals = Approvals(
                work.ask.approve,
                approver=approver,
                decided=job.decided if job else None,
                run_id=job.run_id if job else None,
                allow_network=self.settings.allow_network,
                emit=emit,
                on_wait=work.budget.extend,
            )
            state = await self._agents.work(
                work.ask,
                work.agent,
                work.model,
                approvals=approvals,
                needs_code=work.chosen.needs_code,
                tools=self.tools,
                session=session,
                job=job,
                emit=emit,
            )
            if work.former is not None:
                state = await in_form(work.ask, state, work.former)
        state = {**state, "calls": [*work.calls, *state["calls"]]}
        answer = answer_from(
            state, agent=work.agent, mode=work.mode, model=work.model.name, chosen=work.chosen
        )
        answer.timings["total_s"] = round(time.monotonic() - work.started, 4)
        return replace(answer, told_usage=job.told_usage) if job else answer

    async def decide(self, run_id: str, given: Given, *, owner: str) -> Ask:
        """A decision about the program that a run waits with, as something to go on with.

        It is recorded when the work begins: whoever is sent away before may say it again.

        Args:
            run_id: the run.
            given: the decision, in any of its forms.
            owner: whose the run is.

        Returns:
            What to give to ``run`` for the work to go on.

        Raises:
            NotFound: the owner has no such run, or a file of it is gone.
            RequestError: it does not wait, or cannot be gone on with; ``run`` raises the same
                where somebody else was faster.
        """
        if self.recorder is None:
            raise RequestError(
                "Nothing is recorded here, so that no run waits.",
                "Open the assistant with a record.",
            )
        decision = decision_of(given)
        run = await self.recorder.runs.get(run_id, owner=owner)
        about = pending_of(run).digest
        return replace(await ask_of(run, owner=owner), decision=decision, about=about)

    async def stream(self, ask: Ask) -> AsyncIterator[Event | Answer]:
        """The events of a question as they happen, then its answer.

        Leaving the iteration early stops the work: close the iterator (``aclose``).

        Raises:
            PythonCoderError: as ``run``.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self.run(ask, queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            yield await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, PythonCoderError):
                await task

    @asynccontextmanager
    async def _session(self, ask: Ask, agent: AgentName) -> AsyncIterator[HeldSession | None]:
        """The request's session, from which others are kept meanwhile; None where there is none."""
        live = self.live_sessions
        has_none = agent == "chat" or self.engine.isolation.tier == "C"
        if live is None or ask.session_id is None or has_none:
            yield None
            return
        async with live.hold(ask.session_id, owner=ask.owner, gives_way=True) as held:
            yield held

    def _choose(self, ask: Ask) -> Route:
        if ask.agent_type not in get_args(AgentType):
            known = ", ".join(get_args(AgentType))
            raise RequestError(
                f"There is no agent {ask.agent_type!r}.",
                f"Use one of: {known}.",
                param="agent_type",
            )
        enabled = self.settings.enabled
        chosen = route(ask.question, has_files=bool(ask.files), code_enabled=enabled)
        agent = chosen.agent if ask.agent_type == "auto" else ask.agent_type
        if agent != "chat" or ask.files:
            require_enabled(self.settings)
        return chosen


@asynccontextmanager
async def open_assistant(
    settings: Settings,
    database: Database | None = None,
    *,
    record: bool = True,
    observe: Observe = unobserved,
) -> AsyncIterator[Assistant]:
    """Open the model's client, the sandbox, the store and tools of others, and close them again.

    Args:
        settings: what to open.
        database: one that is open already.
        record: False where somebody else keeps requests and their steps.
        observe: is told of agents, model calls, tools and programs.

    The model need not be reachable yet; a question asked meanwhile says that it is not.

    Raises:
        SandboxUnavailable: programs cannot be isolated on this machine.
        SettingsError: the model's name is not one that can be used, or the file of MCP servers
            has not the form it should have.
    """
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models(settings, observe=observe))
        engine = await stack.enter_async_context(open_engine(settings, observe=observe))
        extras = await stack.enter_async_context(open_tools(settings))
        blobs = BlobStore.of(settings)
        recorder = live_sessions = None
        if record:
            if database is None:
                database = await stack.enter_async_context(open_database(settings))
            recorder = await stack.enter_async_context(open_recorder(settings, database))
            live_sessions = await stack.enter_async_context(
                aclosing(LiveSessions(engine, SessionStore(database), FileStore(database, blobs)))
            )
        yield Assistant(
            settings=settings,
            models=models,
            engine=engine,
            blobs=blobs,
            recorder=recorder,
            live_sessions=live_sessions,
            tools=extras.tools,
            observe=observe,
        )
