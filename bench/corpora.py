"""Programs that others wrote, run in plain CPython and in the sandbox: the same must pass.

The folder of corpora is named by ``PYTHON_CODER_CORPORA``; it is no part of the project. A program
passes when it ends with exit status 0. Each side runs two programs at a time, each program in an
empty folder of its own, with 30 seconds and, in the sandbox, 512 MB.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.config.settings import load_settings
from backend.errors import RequestError
from backend.sandbox import ExecutionRequest, open_executor

NAMES = ("humaneval", "pandas_numpy_eval")
"""Harmless programs only: the plain side runs them on this machine with nothing around them. The
corpora of behaviour payloads and malware overwrite system files there; they belong behind walls."""
_SECONDS = 30
_AT_A_TIME = 2


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many programs of a corpus pass on each side."""

    name: str
    programs: int
    plain: int
    """Pass in plain CPython."""
    sandboxed: int
    """Pass in the sandbox."""
    lost: dict[str, str] = field(default_factory=dict)
    """Pass in plain CPython only: id -> the last line of what the sandbox said."""

    def line(self) -> str:
        """For a person to read."""
        lost = f"; lost: {', '.join(self.lost)}" if self.lost else ""
        return (
            f"{self.name:<18} {self.programs:>5} programs  plain {self.plain:>5}"
            f"  sandbox {self.sandboxed:>5}{lost}"
        )


def corpora_folder() -> Path | None:
    """The folder of corpora, where there is one."""
    named = os.environ.get("PYTHON_CODER_CORPORA")
    return Path(named) if named and Path(named).is_dir() else None


async def run_corpus(name: str) -> Counts:
    """Run every program of a corpus on both sides and print the counts.

    Raises:
        RequestError: there is no such corpus, or no folder of corpora.
    """
    folder = corpora_folder()
    if folder is None or name not in NAMES:
        raise RequestError(
            f"There is no corpus {name!r}.",
            f"Set PYTHON_CODER_CORPORA to the folder that has one of: {', '.join(NAMES)}.",
        )
    rows = await asyncio.to_thread(_rows, folder / f"{name}.jsonl")
    plain = await _each(rows, _run_plain)
    with tempfile.TemporaryDirectory() as execution_dir:
        settings = load_settings(
            execution_dir=Path(execution_dir), timeout_s=_SECONDS, max_memory_mb=512
        )
        async with open_executor("local", settings) as executor:

            async def run_sandboxed(code: str) -> str | None:
                result = await executor.run(ExecutionRequest(code=code))
                return None if result.success else _last_line(result.stderr)

            sandboxed = await _each(rows, run_sandboxed)
    outcomes = zip(rows, plain, sandboxed, strict=True)
    counts = Counts(
        name=name,
        programs=len(rows),
        plain=plain.count(None),
        sandboxed=sandboxed.count(None),
        lost={
            row["id"]: there for row, here, there in outcomes if here is None and there is not None
        },
    )
    print(counts.line())
    return counts


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


async def _each(
    rows: Sequence[dict[str, str]], run: Callable[[str], Awaitable[str | None]]
) -> list[str | None]:
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(code: str) -> str | None:
        async with slots:
            return await run(code)

    return await asyncio.gather(*(one(row["code"]) for row in rows))


async def _run_plain(code: str) -> str | None:
    """None when it passes, else what it said last."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "main.py"
        program.write_text(code, encoding="utf-8", errors="surrogatepass")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return "time-out"
    return None if process.returncode == 0 else _last_line(said.decode(errors="replace"))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


async def main() -> None:
    """Run the corpora that are there."""
    for name in NAMES:
        await run_corpus(name)


if __name__ == "__main__":
    asyncio.run(main())
