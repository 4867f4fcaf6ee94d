"""Values for a request in words: what is declared comes back as Python objects of those types.

from backend.autocoder import solve

share = await solve("The share of paid orders", inputs={"orders": frame}, outputs={"share": float})
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from backend.config.settings import Settings
from backend.errors import RequestError, TaskFailed
from backend.tools.coder.arguments import Context
from backend.tools.coder.proof.contract import live_values, single
from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import PythonCoderTool, open_tool, python_coder_tool


class AutoCoder:
    """``execute_code_task`` for callers that want values; everything is done by the tool."""

    def __init__(self, tool: PythonCoderTool = python_coder_tool) -> None:
        """Use a tool, such as one that stays open for many requests."""
        self._tool = tool

    async def solve(
        self,
        request: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        files: Sequence[str | Path] = (),
        constraints: Sequence[str] = (),
        schema: str | Mapping[str, Any] = "",
        tests: str = "",
        write_tests: bool = False,
        context: Context = None,
        max_iterations: int | None = None,
        max_retries: int | None = None,
        model: str | None = None,
        use_cache: bool | None = None,
    ) -> Any:
        """Have a program written, proven and run, and return what it leaves behind.

        Args:
            request: what is asked for, in words.
            inputs: variables that the program finds defined.
            outputs: name -> type, or the type's name, of what is wanted back; ``File`` for a file.
            files: the input files.
            constraints: what must hold of the outputs: expressions, or words for the model.
            schema: what the output looks like, in words or as a JSON Schema.
            tests: pytest functions that the program has to pass.
            write_tests: let the model write tests as well.
            context: what else there is to know, as text or a mapping.
            max_iterations: rewrites before a run; None for the setting.
            max_retries: repairs after failed runs; None for the setting.
            model: another model than the configured one.
            use_cache: whether an identical request may be answered from what is kept.

        Returns:
            The one declared output itself, or a dict of several in the order they were declared;
            a file as the path where it is kept. What was printed, where none was declared.

        Raises:
            TaskFailed: there is no such value; says why, and has the whole result.
            RequestError: an option is not allowed.
            ValueError: a type, constraint, schema or test that cannot be read.
            TypeError: an argument has the wrong type.
        """
        if isinstance(files, str | bytes):
            raise TypeError("files must be a sequence of paths, not one path")
        result = await self._tool.execute_code_task(
            request,
            context,
            [str(path) for path in files],
            options=Options(
                outputs=outputs or {},
                constraints=constraints,
                schema=schema,
                tests=tests,
                write_tests=write_tests,
                max_iterations=max_iterations,
                max_retries=max_retries,
            ),
            inputs=inputs,
            model=model,
            use_cache=use_cache,
        )
        if not result["success"]:
            raise TaskFailed(str(result["error"]), result=result)
        if not outputs:
            return result["output"]
        # Rebuilding a large table takes longer than an event loop may be kept.
        return await asyncio.to_thread(_values, result)


def _values(result: Mapping[str, Any]) -> Any:
    paths = {made["name"]: Path(made["path"]) for made in result["artifacts"]}
    return single(live_values(result["typed_outputs"], paths))


@asynccontextmanager
async def open_autocoder(settings: Settings | None = None) -> AsyncIterator[AutoCoder]:
    """An AutoCoder with everything opened once: for many requests, the sandbox stays warm.

    Raises:
        SettingsError: a setting cannot be used.
        SandboxUnavailable: programs cannot be isolated on this machine.
    """
    async with open_tool(settings) as tool:
        yield AutoCoder(tool)


async def solve(request: str, **options: Any) -> Any:
    """See ``AutoCoder.solve``; what it needs is opened for this request and closed again."""
    return await AutoCoder().solve(request, **options)


def solve_sync(request: str, **options: Any) -> Any:
    """See ``AutoCoder.solve``, for programs without an event loop.

    Raises:
        RequestError: an event loop runs in this thread already, as in a notebook.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(solve(request, **options))
    raise RequestError(
        "solve_sync was called where an event loop is running, as in a notebook or a coroutine.",
        "Write 'await solve(...)' there.",
    )
