"""A task to its result: recorded, recalled or gone on with, where there is a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.config.settings import Settings
from backend.llm.budget import Budget
from backend.llm.models import Models
from backend.store.blobs import BlobStore
from backend.tools.approval import Approvals, Approver, require_approver
from backend.tools.coder.entries import Entry, Job, Result
from backend.tools.coder.graph import CoderGraph, run_task
from backend.tools.coder.recall import columns_of
from backend.tools.coder.recording import Recorder
from backend.tools.coder.state import CoderContext
from backend.tools.coder.task import Task
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ApprovalMode, Emit


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a task is worked on with."""

    settings: Settings
    models: Models
    engine: PythonExecutor
    recorder: Recorder | None
    graph: CoderGraph


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a caller wants a task to be served."""

    model: str | None
    recall: bool
    emit: Emit
    mode: ApprovalMode
    approver: Approver | None

    def approvals(self, settings: Settings, budget: Budget, job: Job | None) -> Approvals:
        """Which of its programs wait for the user; those decided about by a job's record do not."""
        return Approvals(
            self.mode,
            approver=self.approver,
            decided=job.decided if job else None,
            run_id=job.run_id if job else None,
            allow_network=settings.allow_network,
            emit=self.emit,
            on_wait=budget.extend,
        )


async def serve_task(open_: Opened, task: Task, wish: Wish, *, run_id: str | None = None) -> Result:
    """Work on a task, or answer it from the record.

    Args:
        open_: what it is worked on with.
        task: what is asked.
        wish: how it is to be served.
        run_id: the run to go on with.

    Raises:
        PythonCoderError: as the recorder's ``serve``; of a program that nobody is there to approve.
    """
    budget = Budget.of(open_.settings)
    deps = CoderContext(
        settings=open_.settings,
        model=open_.models.get(wish.model).within(budget),
        engine=open_.engine,
        blobs=BlobStore.of(open_.settings),
        emit=wish.emit,
        inputs=task.inputs,
        approvals=wish.approvals(open_.settings, budget, None),
    )
    plain = _plain(task.inputs)
    if open_.recorder is None or plain is None:
        require_approver(wish.mode, wish.approver)
    if open_.recorder is None:
        return await run_task(open_.graph, deps, task)

    async def work(job: Job) -> Result:
        approvals = wish.approvals(open_.settings, budget, job)
        try:
            result = await run_task(
                open_.graph, replace(deps, approvals=approvals), task, thread=job.run_id
            )
        finally:
            job.calls.extend(budget.calls)
        job.columns.update(columns_of(result["facts"]))
        return result

    entry = Entry(
        kind="task",
        request=task.request,
        model=deps.model,
        settings=open_.settings,
        background=task.background,
        files=task.files,
        options=task.options.as_dict() | {"inputs": plain, "approve": wish.mode},
        run_id=run_id,
        # Living objects cannot be told from each other without reading all of them.
        recall=wish.recall and plain is not None,
        resume=plain is not None,
    )
    return await open_.recorder.serve(entry, work)


def _plain(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The input variables if they are plain JSON values, else None."""
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(inputs)))
    except (TypeError, ValueError, RecursionError):
        return None
    return copy if copy == dict(inputs) else None
