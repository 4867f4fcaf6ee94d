"""``python_coder``: a request in words becomes a program that was checked, run and repaired.

from backend.tools.python_coder_tool import python_coder_tool

result = await python_coder_tool.execute_code_task("Mean of the price column", None, ["a.csv"])
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import Any

from backend.config.settings import Settings, load_settings
from backend.errors import PythonCoderError, RequestError
from backend.llm.models import Models, open_models
from backend.store.database import LOCAL_OWNER
from backend.tools.approval import Approver, Given, decision_of
from backend.tools.coder.arguments import (
    Context,
    approval_of,
    background_text,
    require_arguments,
    require_type,
)
from backend.tools.coder.batch import run_batch
from backend.tools.coder.graph import CoderGraph, build_graph
from backend.tools.coder.recording import Recorder, open_recorder
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.resuming import model_of, task_of
from backend.tools.coder.serving import Opened, Wish, serve_task
from backend.tools.coder.task import Options, Task
from backend.tools.python_executor_engine import (
    PythonExecutor,
    open_engine,
    place_files,
    require_enabled,
)
from backend.tools.question import require_question
from backend.types import ApprovalMode, Emit, ignore_event

Result = dict[str, Any]


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
        require_arguments(query, context, file_paths)
        require_type("options", options, Options)
        require_type("inputs", inputs, Mapping)
        require_type("model", model, str)
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
                wish = Wish(
                    model=model,
                    recall=recall,
                    emit=emit,
                    **approval_of(approve, approver, settings),
                )
                return await serve_task(open_, task, wish)
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
        require_type("run_id", run_id, str)
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
                wish = Wish(
                    model=model_of(run), recall=False, emit=emit, mode=mode, approver=approver
                )
                return await serve_task(open_, task, wish, run_id=run.id)
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
    async def _opened(self, settings: Settings) -> AsyncIterator[Opened]:
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
            yield Opened(
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


python_coder_tool = PythonCoderTool()
"""The tool with the settings of the environment, read anew at each task."""
