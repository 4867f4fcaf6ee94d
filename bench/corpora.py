"""Harmless programs that others wrote: what plain CPython runs, the sandbox must run, too.

The folder of corpora is named by ``PYTHON_CODER_CORPORA``; it is no part of the project. A program
passes when it ends with exit status 0.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from backend.config.settings import load_settings
from backend.errors import RequestError
from backend.sandbox import ExecutionRequest, Executor, open_executor
from bench.plain import last_line, run_plain

USUAL = ("humaneval", "mbpp", "pandas_numpy_eval")
"""Harmless programs only: the plain side runs them with next to nothing around them. The corpora of
behaviour payloads and malware overwrite system files there; they belong behind walls."""
PLOTS = "matplotlib_gallery"
WRITTEN_BY_MODELS = "pot_llm_programs"
EVERYTHING = (*USUAL, WRITTEN_BY_MODELS, PLOTS)
_TAKEN = {WRITTEN_BY_MODELS: 5000}
"""Of a larger corpus, this many, chosen by chance, the same ones each time."""
_SECONDS = 30
_AT_A_TIME = 4
_PLAIN_AT_A_TIME = 2
_MEMORY_MB = 1024
_ALGEBRA = """\
import math
from sympy import Symbol, simplify, solve, symbols
def solve_it(equations, unknowns):
    return (solve(equations, unknowns, dict=True) or [{}])[0]
"""
"""What the models had been told that there is, for those of their programs that use it."""
_METHOD = f"""\
Each program runs in the sandbox, {_AT_A_TIME} at a time, with {_SECONDS} s and {_MEMORY_MB} MB. One that fails there runs in plain
CPython, as nobody and in an empty folder, with the same time; only if it passes there the sandbox has lost it, and
it is run once more in the sandbox, alone: lost twice is lost."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of a corpus."""

    name: str
    programs: int
    passed: int
    """In the sandbox."""
    fail_anywhere: int
    """In the sandbox and in plain CPython."""
    seconds: float
    """In the sandbox, all of them."""
    unsteady: tuple[str, ...] = ()
    """Failed in the sandbox once, and passed there when run alone."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Pass in plain CPython only: id -> the last line of what the sandbox said."""

    def line(self) -> str:
        """For a person to read."""
        lost = "".join(f"\n    {name}: {said}" for name, said in self.lost.items())
        unsteady = f"; passed when alone: {', '.join(self.unsteady)}" if self.unsteady else ""
        return (
            f"{self.name:<18} {self.programs:>5} programs, {self.passed:>5} pass in the sandbox "
            f"({self.seconds:.0f} s), {self.fail_anywhere} fail in plain CPython as well, "
            f"{len(self.lost)} lost{unsteady}{lost}"
        )


def corpora_folder() -> Path | None:
    """The folder of corpora, where there is one."""
    named = os.environ.get("PYTHON_CODER_CORPORA")
    return Path(named) if named and Path(named).is_dir() else None


async def run_corpus(name: str, executor: Executor) -> Counts:
    """Run every program of a corpus in the sandbox, and those that fail in plain CPython.

    Raises:
        RequestError: there is no such corpus, or no folder of corpora.
    """
    folder = corpora_folder()
    if folder is None or name not in EVERYTHING:
        raise RequestError(
            f"There is no corpus {name!r}.",
            f"Set PYTHON_CODER_CORPORA to the folder that has one of: {', '.join(EVERYTHING)}.",
        )
    programs = await asyncio.to_thread(_programs, folder, name)

    async def sandboxed(code: str) -> str | None:
        result = await executor.run(ExecutionRequest(code=code))
        return None if result.success else result.stopped_by or last_line(result.stderr)

    started = time.perf_counter()
    failed = await _failures(programs, sandboxed, _AT_A_TIME)
    seconds = time.perf_counter() - started
    again = {name: programs[name] for name in failed}
    plain = await _failures(again, lambda code: run_plain(code, _SECONDS), _PLAIN_AT_A_TIME)
    doubtful = {name: code for name, code in again.items() if name not in plain}
    lost = await _failures(doubtful, sandboxed, 1)
    return Counts(
        name=name,
        programs=len(programs),
        passed=len(programs) - len(failed) + len(doubtful) - len(lost),
        fail_anywhere=len(plain),
        seconds=seconds,
        unsteady=tuple(name for name in doubtful if name not in lost),
        lost=lost,
    )


def _programs(folder: Path, name: str) -> dict[str, str]:
    """Id -> program."""
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
        rows: Sequence[dict[str, str]] = [json.loads(line) for line in lines]
    if name in _TAKEN and _TAKEN[name] < len(rows):
        rows = random.Random(name).sample(rows, _TAKEN[name])
    return {row["id"]: complete(row["code"], name) for row in rows}


def complete(code: str, name: str) -> str:
    """A program of the corpus `name` with what its model had been told that there is."""
    wants_algebra = name == WRITTEN_BY_MODELS and ("Symbol" in code or "solve_it" in code)
    return _ALGEBRA + code if wants_algebra else code


async def _failures(
    programs: Mapping[str, str], run: Callable[[str], Awaitable[str | None]], at_a_time: int
) -> dict[str, str]:
    """Id -> what was said last, of those that fail."""
    slots = asyncio.Semaphore(at_a_time)

    async def one(code: str) -> str | None:
        async with slots:
            return await run(code)

    said = await asyncio.gather(*(one(code) for code in programs.values()))
    outcomes = zip(programs, said, strict=True)
    return {name: words for name, words in outcomes if words is not None}


async def main(*, everything: bool = False) -> bool:
    """Run the corpora and print what became of each.

    Returns:
        Whether the sandbox lost nothing.
    """
    print(_METHOD)
    lost = 0
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = load_settings(
            execution_dir=Path(folder), timeout_s=_SECONDS, max_memory_mb=_MEMORY_MB
        )
        executor = await stack.enter_async_context(open_executor("local", settings))
        for name in EVERYTHING if everything else USUAL:
            counts = await run_corpus(name, executor)
            lost += len(counts.lost)
            print(counts.line(), flush=True)
    return lost == 0
