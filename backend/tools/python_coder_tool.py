"""``python_coder``: a request in words becomes a program that was checked, run and repaired.

from backend.tools.python_coder_tool import python_coder_tool

result = await python_coder_tool.execute_code_task("Mean of the price column", None, ["a.csv"])
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from backend.config.settings import Settings, load_settings
from backend.errors import PythonCoderError, RequestError
from backend.llm.budget import Budget
from backend.llm.models import Models, open_models
from backend.store.blobs import BlobStore
from backend.store.database import LOCAL_OWNER
from backend.tools.approval import Approvals, Approver, Given, decision_of, require_approver
from backend.tools.coder.batch import run_batch
from backend.tools.coder.entries import Entry, Job
from backend.tools.coder.graph import CoderGraph, build_graph, run_task
from backend.tools.coder.recall import columns_of
from backend.tools.coder.recording import Recorder, open_recorder
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.resuming import model_of, task_of
from backend.tools.coder.state import CoderContext
from backend.tools.coder.task import Options, Task
from backend.tools.python_executor_engine import (
    PythonExecutor,
    open_engine,
    place_files,
    require_enabled,
)
from backend.tools.question import require_question
from backend.types import ApprovalMode, Emit, ignore_event

Context = str | Mapping[str, Any] | None
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Open:
    """What a task is worked on with."""

    settings: Settings
    models: Models
    engine: PythonExecutor
    recorder: Recorder | None
    graph: CoderGraph


class PythonCoderTool:
    """The loop as a tool. What it is not given it opens for each task and closes again."""

    def __init__(
        self,
        settings: Settings | None = None,
        models: Models | None = None,
        engine: PythonExecutor | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Keep what is open already.

        Args:
            settings: None to read them anew at each task.
            models: the models' clients.
            engine: what runs programs.
            recorder: records every task and recalls those it knows. With an engine and without a
                recorder, nothing is recorded.
        """
        self._settings = settings
        self._models = models
        self._engine = engine
        self._recorder = recorder

    @cached_property
    def _graph(self) -> CoderGraph:
        return build_graph(self._recorder.checkpointer if self._recorder else None)

    async def execute_code_task(
        self,
        query: str,
        context: Context = None,
        file_paths: Sequence[str] | None = None,
        *,
        options: Options | None = None,
        inputs: Mapping[str, Any] | None = None,
        model: str | None = None,
        use_cache: bool | None = None,
        approve: ApprovalMode | Approver | None = None,
        approver: Approver | None = None,
        emit: Emit = ignore_event,
    ) -> Result:
        """Write, check, run and repair a program that does what is asked.

        Args:
            query: what is asked for, in words.
            context: what else there is to know, as text or a mapping.
            file_paths: the input files.
            options: language, focus, declared outputs, constraints, tests, attempts.
            inputs: variables that the program finds defined: DataFrames, arrays, plain values.
            model: another model than the configured one.
            use_cache: whether the result of an identical task may be answered; None for
                ``PYTHON_CODER_CACHE``.
            approve: which programs are to be approved before they run; None for
                ``PYTHON_CODER_APPROVE``. A function is given all of them and decides.
            approver: decides about those that ``approve`` names. Of a program that nobody is there
                to decide about, the result tells in ``approval``, and ``resume`` goes on with it.
            emit: is told each step as it happens.

        Returns:
            Plain JSON values under ``success, code, output, error, execution_time`` (seconds),
            ``iterations, modifications, verification_history, artifacts, attempts, usage,
            timings, isolation`` and more, on every path; what failed is in ``error``, and
            ``error_kind`` says who must act.

        Raises:
            TypeError: an argument has the wrong type.
        """
        _require_types(query, context, file_paths)
        _require_type("options", options, Options)
        _require_type("inputs", inputs, Mapping)
        _require_type("model", model, str)
        started = time.monotonic()
        try:
            settings = self._settings or load_settings()
            require_enabled(settings)
            task = Task(
                request=require_question(query, settings),
                background=background_text(context),
                files=place_files(file_paths or (), settings),
                inputs=dict(inputs or {}),
                options=options or Options(),
            )
            recall = settings.cache if use_cache is None else use_cache
            async with self._opened(settings) as open_:
                wish = _Wish(
                    model=model, recall=recall, emit=emit, **_approval(approve, approver, settings)
                )
                return await _serve(open_, task, wish)
        except PythonCoderError as error:
            return build_result(failed({}, error), total_s=time.monotonic() - started)

    async def resume(
        self,
        run_id: str,
        decision: Given | None = None,
        *,
        approver: Approver | None = None,
        emit: Emit = ignore_event,
    ) -> Result:
        """Go on with a task that waits for a decision, or was interrupted.

        Args:
            run_id: the task's record.
            decision: about the program it waits with: ``True``, ``"approve"``, ``"reject"``, or a
                mapping with ``decision``, ``code`` of an edited program, and ``note``.
            approver: decides about further programs. Without it they wait as the first one did.
            emit: is told each step as it happens.

        Returns:
            As ``execute_code_task``. A run that cannot be gone on with is told in ``error``.
        """
        _require_type("run_id", run_id, str)
        started = time.monotonic()
        try:
            settings = self._settings or load_settings()
            require_enabled(settings)
            async with self._opened(settings) as open_:
                if open_.recorder is None:
                    raise RequestError(
                        "Nothing is recorded here, so that no task waits.",
                        "Use the tool that `open_tool` gives.",
                    )
                runs = open_.recorder.runs
                await runs.interrupted.mark(owner=LOCAL_OWNER)
                run = await runs.find(run_id, owner=LOCAL_OWNER)
                if run.kind != "task":
                    raise RequestError(f"The run {run.id} is no task.", "Use `runs approve`.")
                task = await task_of(run)
                if decision is not None:
                    plain = decision_of(decision).as_dict()
                    await runs.waiting.decide(run.id, plain, owner=LOCAL_OWNER)
                mode: ApprovalMode = run.spec["options"].get("approve", "off")
                wish = _Wish(
                    model=model_of(run), recall=False, emit=emit, mode=mode, approver=approver
                )
                return await _serve(open_, task, wish, run_id=run.id)
        except PythonCoderError as error:
            return build_result(failed({}, error), total_s=time.monotonic() - started)

    async def execute_code_tasks(
        self, tasks: Sequence[Mapping[str, Any]], *, parallel: int = 2
    ) -> list[Result]:
        """Work on many tasks; what becomes of one is nothing to the others.

        Args:
            tasks: the arguments of ``execute_code_task``, by name, for each.
            parallel: how many at a time.

        Returns:
            One result a task, in their order.
        """
        settings = self._settings or load_settings()
        async with self._opened(settings) as open_:
            tool = PythonCoderTool(settings, open_.models, open_.engine, open_.recorder)

            async def work(arguments: Mapping[str, Any]) -> Result:
                return await tool.execute_code_task(**arguments)

            return await run_batch(tasks, work, parallel=parallel, on_error=_batch_error)

    @asynccontextmanager
    async def _opened(self, settings: Settings) -> AsyncIterator[_Open]:
        async with AsyncExitStack() as stack:
            models, engine, recorder = self._models, self._engine, self._recorder
            if models is None:
                models = await stack.enter_async_context(open_models(settings))
            if recorder is None and engine is None:
                recorder = await stack.enter_async_context(open_recorder(settings))
            if engine is None:
                engine = await stack.enter_async_context(open_engine(settings))
            graph = self._graph
            if recorder is not self._recorder:
                graph = build_graph(recorder.checkpointer if recorder else None)
            yield _Open(
                settings=settings, models=models, engine=engine, recorder=recorder, graph=graph
            )


def _batch_error(_: Mapping[str, Any], error: Exception) -> Result:
    """A task that could not be begun, because an argument is wrong; the others go on."""
    if not isinstance(error, TypeError | ValueError):
        raise error
    return build_result(failed({}, RequestError(f"{error}.")), total_s=0.0)


@asynccontextmanager
async def open_tool(settings: Settings | None = None) -> AsyncIterator[PythonCoderTool]:
    """The tool with everything opened once: for many tasks, the sandbox stays warm.

    Raises:
        SettingsError: a setting cannot be used.
        SandboxUnavailable: programs cannot be isolated on this machine.
    """
    settings = settings or load_settings()
    async with (
        open_models(settings) as models,
        open_recorder(settings) as recorder,
        open_engine(settings) as engine,
    ):
        yield PythonCoderTool(settings, models, engine, recorder)


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """How a caller wants a task to be served."""

    model: str | None
    recall: bool
    emit: Emit
    mode: ApprovalMode
    approver: Approver | None

    def approvals(self, settings: Settings, budget: Budget, job: Job | None) -> Approvals:
        return Approvals(
            self.mode,
            approver=self.approver,
            decided=job.decided if job else None,
            run_id=job.run_id if job else None,
            allow_network=settings.allow_network,
            emit=self.emit,
            on_wait=budget.extend,
        )


def _approval(
    approve: ApprovalMode | Approver | None, approver: Approver | None, settings: Settings
) -> dict[str, Any]:
    if callable(approve):
        return {"mode": "always", "approver": approve}
    mode = settings.approve if approve is None else approve
    if mode not in get_args(ApprovalMode):
        raise RequestError(
            f"approve is {mode!r}.",
            f"Use one of: {', '.join(get_args(ApprovalMode))}, or a function that decides.",
            param="approve",
        )
    return {"mode": mode, "approver": approver}


async def _serve(open_: _Open, task: Task, wish: _Wish, *, run_id: str | None = None) -> Result:
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
        result = await run_task(
            open_.graph, replace(deps, approvals=approvals), task, thread=job.run_id
        )
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


def background_text(context: Context) -> str:
    """The context as text: a mapping as readable JSON."""
    if context is None:
        return ""
    if isinstance(context, str):
        return context
    return json.dumps(dict(context), ensure_ascii=False, indent=1, default=str)


def _require_types(query: Any, context: Any, file_paths: Any) -> None:
    if not isinstance(query, str):
        raise TypeError(f"query must be a str, not {type(query).__name__}")
    if context is not None and not isinstance(context, str | Mapping):
        raise TypeError(f"context must be a str, a mapping or None, not {type(context).__name__}")
    if file_paths is None:
        return
    if isinstance(file_paths, str | bytes) or not isinstance(file_paths, Sequence):
        raise TypeError(
            f"file_paths must be a list of str, not {type(file_paths).__name__}: write [path]."
        )
    for path in file_paths:
        if not isinstance(path, str):
            raise TypeError(f"each of file_paths must be a str, not {type(path).__name__}")


def _require_type(name: str, value: Any, wanted: type) -> None:
    if value is not None and not isinstance(value, wanted):
        shown = wanted.__name__
        raise TypeError(f"{name} must be of type {shown} or None, not {type(value).__name__}")


python_coder_tool = PythonCoderTool()
"""The tool with the settings of the environment, read anew at each task."""
