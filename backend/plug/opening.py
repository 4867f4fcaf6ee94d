"""What the coder works with, opened once for all uses or anew for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from backend.config.settings import Settings, load_settings
from backend.errors import PythonCoderError
from backend.llm.models import Models, open_models
from backend.plug.failure import failure_of, require_machinery
from backend.plug.files import OfferedFiles
from backend.plug.host import do_and_wait, do_in
from backend.tools.coder.recording import open_recorder
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import PythonCoderTool
from backend.tools.python_executor_engine import PythonExecutor, open_engine
from backend.types import Emit


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The living things."""

    settings: Settings
    models: Models
    engine: PythonExecutor
    tool: PythonCoderTool
    loop: asyncio.AbstractEventLoop
    """Where they were opened, and so where they have to be used."""


@asynccontextmanager
async def open_parts(settings: Settings | None) -> AsyncIterator[Opened]:
    """Open model, sandbox and record, and close them again.

    Raises:
        PythonCoderFailed: one of them cannot be opened here.
    """
    async with AsyncExitStack() as stack:
        try:
            known = await asyncio.to_thread(load_settings) if settings is None else settings
            models = await stack.enter_async_context(open_models(known))
            recorder = await stack.enter_async_context(open_recorder(known))
            engine = await stack.enter_async_context(open_engine(known))
        except PythonCoderError as error:
            raise failure_of(error) from error
        yield Opened(
            settings=known,
            models=models,
            engine=engine,
            tool=PythonCoderTool(known, models, engine, recorder),
            loop=asyncio.get_running_loop(),
        )


@dataclass(frozen=True, kw_only=True)
class Use:
    """One use of the coder, as its host asks for it."""

    task: str
    context: str | None
    files: Sequence[str] | None
    """None: all that are offered."""
    offered: OfferedFiles | None
    """None: every path may be named."""
    options: Options | None
    model: str | None


@dataclass(frozen=True, kw_only=True)
class Opener:
    """Does uses of the coder with what is open, or opens it for each."""

    settings: Settings | None
    opened: Opened | None = None

    @asynccontextmanager
    async def parts(self) -> AsyncIterator[Opened]:
        """What to work with.

        Raises:
            PythonCoderFailed: it cannot be opened.
        """
        if self.opened is not None:
            yield self.opened
            return
        async with open_parts(self.settings) as opened:
            yield opened

    async def do(self, use: Use, emit: Emit) -> dict[str, Any]:
        """Do a use beside the host's graph.

        Returns:
            The documented result of ``execute_code_task``.

        Raises:
            PythonCoderFailed: our machinery failed.
        """
        home = self.opened.loop if self.opened else None
        return await do_in(home, lambda: self._work(use, emit))

    def do_and_wait(self, use: Use, emit: Emit) -> dict[str, Any]:
        """The same for callers that cannot await.

        Raises:
            RuntimeError: it would wait for the event loop that it holds up.
            PythonCoderFailed: as ``do``.
        """
        home = self.opened.loop if self.opened else None
        return do_and_wait(home, lambda: self._work(use, emit))

    async def _work(self, use: Use, emit: Emit) -> dict[str, Any]:
        async with self.parts() as parts:
            try:
                paths = await chosen(use)
            except PythonCoderError as error:
                return build_result(failed({}, error), total_s=0.0)
            result = await parts.tool.execute_code_task(
                use.task, use.context, paths, options=use.options, model=use.model, emit=emit
            )
        require_machinery(result)
        return result


async def chosen(use: Use) -> list[str]:
    """The paths of the files of a use.

    Raises:
        NotFound: one is not offered.
    """
    if use.offered is None:
        return list(use.files or ())
    return await asyncio.to_thread(use.offered.choose, use.files)
