"""``python_coder``: a request in words becomes a program that was checked, run and repaired.

from backend.tools.python_coder_tool import python_coder_tool

result = await python_coder_tool.execute_code_task("Mean of the price column", None, ["a.csv"])
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from backend.config.settings import Settings, load_settings
from backend.errors import PythonCoderError
from backend.llm.models import Models, open_models
from backend.store.blobs import BlobStore
from backend.tools.coder.graph import build_graph, run_task
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.state import CoderContext
from backend.tools.python_executor_engine import (
    PythonExecutor,
    open_engine,
    place_files,
    require_enabled,
)
from backend.tools.question import require_question
from backend.types import Emit, ignore_event

Context = str | Mapping[str, Any] | None


class PythonCoderTool:
    """The loop as a tool. What it is not given it opens for each task and closes again."""

    def __init__(
        self,
        settings: Settings | None = None,
        models: Models | None = None,
        engine: PythonExecutor | None = None,
    ) -> None:
        self._settings = settings
        self._models = models
        self._engine = engine

    async def execute_code_task(
        self,
        query: str,
        context: Context = None,
        file_paths: Sequence[str] | None = None,
        *,
        emit: Emit = ignore_event,
    ) -> dict[str, Any]:
        """Write, check, run and repair a program that does what is asked.

        Args:
            query: what is asked for, in words.
            context: what else there is to know, as text or a mapping.
            file_paths: the input files.
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
        started = time.monotonic()
        try:
            return await self._execute(query, context, file_paths or (), emit)
        except PythonCoderError as error:
            return build_result(failed({}, error), total_s=time.monotonic() - started)

    async def _execute(
        self, query: str, context: Context, paths: Sequence[str], emit: Emit
    ) -> dict[str, Any]:
        settings = self._settings or load_settings()
        require_enabled(settings)
        question = require_question(query, settings)
        files = place_files(paths, settings)
        async with self._opened(settings) as (models, engine):
            deps = CoderContext(
                settings=settings,
                model=models.get(),
                engine=engine,
                blobs=BlobStore(settings.data_dir / "blobs"),
                emit=emit,
            )
            return await run_task(
                build_graph(), deps, question, background=background_text(context), files=files
            )

    @asynccontextmanager
    async def _opened(self, settings: Settings) -> AsyncIterator[tuple[Models, PythonExecutor]]:
        async with AsyncExitStack() as stack:
            models, engine = self._models, self._engine
            if models is None:
                models = await stack.enter_async_context(open_models(settings))
            if engine is None:
                engine = await stack.enter_async_context(open_engine(settings))
            yield models, engine


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
        raise TypeError(f"file_paths must be a sequence of str, not {type(file_paths).__name__}")
    for path in file_paths:
        if not isinstance(path, str):
            raise TypeError(f"each of file_paths must be a str, not {type(path).__name__}")


python_coder_tool = PythonCoderTool()
"""The tool with the settings of the environment, read anew at each task."""
