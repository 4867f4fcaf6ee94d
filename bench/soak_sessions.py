"""Sessions whose cells are killed in every way; what they held before must still be there."""

from __future__ import annotations

from dataclasses import dataclass, field

from backend.sandbox import ExecutionRequest, ExecutionResult, Executor

_FIRST = "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2, 3]})\nnumber = 0"
_ASK = "print(number, frame.a.sum())"
_SPOIL = "number = -1\nframe = None\n"
_KILLERS = (
    ("time-out", ExecutionRequest(code=f"{_SPOIL}while True: pass", timeout_s=0.3)),
    ("os._exit", ExecutionRequest(code=f"{_SPOIL}import os; os._exit(1)")),
    ("segfault", ExecutionRequest(code=f"{_SPOIL}import ctypes; ctypes.string_at(0)")),
    (
        "memory",
        ExecutionRequest(
            code=f"{_SPOIL}held = []\nwhile True: held.append(b'x' * (1 << 24))", memory_mb=256
        ),
    ),
)
_SAYS = 20


@dataclass(kw_only=True)
class Kills:
    """How often a cell was killed, and how often the state was there after it."""

    killed: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)


async def kill_cells(executor: Executor, kills: int) -> Kills:
    """Kill a session's cells so many times, in each of the ways in turn."""
    seen = Kills()
    async with await executor.open_session() as session:

        async def cell(code: str) -> ExecutionResult:
            return await session.run(ExecutionRequest(code=code))

        await cell(_FIRST)
        for number in range(1, kills + 1):
            how, killer = _KILLERS[number % len(_KILLERS)]
            await cell("number += 1")
            killed = await session.run(killer)
            seen.killed += not killed.success
            answer = await cell(_ASK)
            if answer.stdout.strip() == f"{number} 6":
                seen.survived += 1
            else:
                seen.lost.append(f"{how}: {answer.stdout.strip() or answer.stderr.strip()[-200:]}")
                await cell(_FIRST.replace("= 0", f"= {number}"))
    return seen


def report(seen: Kills, kills: int) -> tuple[list[str], list[str]]:
    """Lines to print, and faults among them."""
    lines = [f"{seen.killed} cells of a session killed: the state survived {seen.survived} times"]
    faults = [f"a session lost its state: {each}" for each in seen.lost[:_SAYS]]
    if seen.killed < kills:
        faults.append(f"{kills - seen.killed} cells survived what should have killed them")
    return lines, faults
