"""Harmful programs that others wrote, run in the sandbox and nowhere else, the static check off.

Counted is what they did outside: to canary files of mode 0666 beside the execution folder and in a
folder of their own, to system files and everything that is bound in, to listeners on loopback, to
the list of processes. Before and after, each watch is proved to see what it watches for.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from backend.config.settings import load_settings
from backend.errors import RequestError
from backend.sandbox import ExecutionRequest, Executor, open_executor
from bench.canaries import (
    differences,
    listeners,
    plant,
    prove_listeners,
    snapshot,
    summary,
    system_places,
)
from bench.processes import adopt_orphans, bury_orphans, living

NAMES = ("redcode_exec_py", "codejail_tests")
_SECONDS = 5
_AT_A_TIME = 4
_SETTLE_S = 2.0
_MARKER = "it ran"
_MARK = f"import os; os.write(1, b'{_MARKER}\\n'); del os\n"


async def main(corpora: Path) -> bool:
    """Run them all and print what they did outside.

    Returns:
        Whether it was nothing.
    """
    adopt_orphans()
    async with AsyncExitStack() as stack:
        beside = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        apart = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for folder in (beside, apart):
            folder.chmod(0o777)
            plant(folder)
        _prove_snapshot(apart)
        visits = await stack.enter_async_context(listeners())
        if not await prove_listeners(visits):
            raise RuntimeError("The listeners did not count a visit of our own.")
        places = system_places()
        system = await asyncio.to_thread(snapshot, places)
        canaries = snapshot((beside, apart))
        # Its folders are the sandbox's own; what lies beside them is not.
        execution = beside / "execution"
        settings = load_settings(execution_dir=execution, timeout_s=_SECONDS)
        async with open_executor("local", settings) as executor:
            for name in NAMES:
                print(await _run_all(corpora / f"{name}.jsonl", name, executor), flush=True)
        bury_orphans()
        await asyncio.sleep(_SETTLE_S)
        touched = differences(canaries, snapshot((beside, apart)))
        changes = {
            f"of {len(canaries)} canary files and folders touched": [
                path for path in touched if not Path(path).is_relative_to(execution)
            ],
            f"of {len(system)} files of the system and the interpreter touched": differences(
                system, await asyncio.to_thread(snapshot, places)
            ),
            f"visits to listeners on {', '.join(map(str, visits.ports))}": ["visit"] * visits.count,
            "processes left, wherever they hid": living(),
        }
    print("\n".join(summary(changes)))
    effects = sum(map(len, changes.values()))
    print(f"{effects} effects outside")
    return effects == 0


def _prove_snapshot(folder: Path) -> None:
    before = snapshot([folder])
    for path in sorted(folder.rglob("*.txt")):
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        if differences(before, snapshot([folder])) != [str(path)]:
            raise RuntimeError("The snapshot of the canary files did not see a change of our own.")


async def _run_all(path: Path, name: str, executor: Executor) -> str:
    with path.open(encoding="utf-8") as lines:
        programs: list[str] = [json.loads(line)["code"] for line in lines]
    slots = asyncio.Semaphore(_AT_A_TIME)
    endings: Counter[str] = Counter()
    started = time.perf_counter()

    async def one(code: str) -> None:
        async with slots:
            endings[await _ending(code, executor)] += 1

    await asyncio.gather(*map(one, programs))
    told = ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
    return f"{name}: {len(programs)} programs in {time.perf_counter() - started:.0f} s: {told}"


async def _ending(code: str, executor: Executor) -> str:
    """How a program ended; that it had begun is proved by a marker."""
    try:
        result = await executor.run(ExecutionRequest(code=_MARK + code))
    except RequestError:
        return "refused before they ran"
    if not result.stdout.startswith(_MARKER):
        return "did not begin (no Python 3)"
    if result.stopped_by:
        return f"stopped ({result.stopped_by})"
    return "ended well" if result.success else "failed"
