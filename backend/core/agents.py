"""Agents at work on a request: its files looked into, its tools laid out, its graph run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from backend.config.settings import Settings
from backend.core.context import AgentContext
from backend.core.requests import Ask
from backend.core.running import AgentGraphs
from backend.errors import RequestError
from backend.llm.models import LanguageModel
from backend.observing import Observe
from backend.store.blobs import BlobStore
from backend.tools.approval import Approvals
from backend.tools.at_hand import tools_at_hand
from backend.tools.coder.checkpoints import Checkpointer
from backend.tools.coder.entries import Job
from backend.tools.coder.graph import build_graph
from backend.tools.coder.prepare import unreadable_files
from backend.tools.coder.recall import columns_of
from backend.tools.coder.state import CoderContext
from backend.tools.held_session import HeldSession
from backend.tools.python_executor_engine import PythonExecutor, describe_files
from backend.tools.toolbox import Tool
from backend.types import AgentName, Emit, Event


class _Graphs:
    """The graphs of a request, compiled once."""

    def __init__(self, checkpointer: Checkpointer | None) -> None:
        self.coder = build_graph(checkpointer)
        self.agents = AgentGraphs(checkpointer)


class Agents:
    """Every agent that can run code; they keep nothing between requests."""

    def __init__(
        self,
        *,
        settings: Settings,
        engine: PythonExecutor,
        blobs: BlobStore,
        checkpointer: Checkpointer | None,
        observe: Observe,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._blobs = blobs
        self._observe = observe
        self._recorded = _Graphs(checkpointer)
        # What is not to be recorded leaves no steps either.
        self._unrecorded = _Graphs(None) if checkpointer is not None else self._recorded

    async def work(
        self,
        ask: Ask,
        agent: AgentName,
        model: LanguageModel,
        *,
        approvals: Approvals,
        needs_code: bool,
        tools: Sequence[Tool],
        session: HeldSession | None,
        job: Job | None,
        emit: Emit,
    ) -> dict[str, Any]:
        """Let an agent answer a question.

        Args:
            ask: the question.
            agent: who answers.
            model: whom it asks.
            approvals: which programs wait for the user.
            needs_code: there is no answer without a program.
            tools: those it has beside the house's own.
            session: where programs run that share variables; None where each runs by itself.
            job: the request's record, by which it can be gone on with; None where it has none.
            emit: is told each step as it happens.

        Returns:
            The graph's last state, with ``answer``, ``success`` and ``calls``.

        Raises:
            RequestError: a file cannot be read.
            PythonCoderError: our machinery failed before anything was found out.
        """
        if session is not None and session.notes:
            await session.open()  # files that are to be there are so before anyone is asked
        facts = await describe_files(self._engine, ask.files)
        if job is not None:
            job.columns.update(columns_of(facts))
        if unreadable := unreadable_files(facts):
            raise RequestError(unreadable, param="file_ids")
        if facts:
            emit(Event(kind="files", text="Looked into " + ", ".join(ask.files)))
        graphs = self._unrecorded if job is None else self._recorded
        coder = CoderContext(
            settings=self._settings,
            model=model,
            engine=self._engine,
            blobs=self._blobs,
            emit=emit,
            assess=False,
            approvals=approvals,
            session=session,
            sampling=ask.sampling,
            memory_mb=ask.memory_mb,
        )
        # It looks for a program on disk.
        own_tools = await asyncio.to_thread(tools_at_hand, ask.files, self._settings, self._engine)
        context = AgentContext(
            coder=coder,
            coder_graph=graphs.coder,
            needs_code=needs_code,
            tools=(*own_tools, *tools),
            files=ask.files,
            facts=facts,
            history=ask.history,
            run_id=job.run_id if job else None,
            observe=self._observe,
        )
        return await graphs.agents.run(agent, ask.question, context)
