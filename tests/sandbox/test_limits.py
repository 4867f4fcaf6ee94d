from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import psutil
import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import RequestError
from backend.sandbox import ExecutionRequest, Executor, open_executor
from backend.sandbox.walls.limits import resolve_limits
from backend.types import StoppedBy
from tests.sandbox.conftest import MARK, MARKER, Run, descendants, nobody_left, refused

sandboxed = pytest.mark.sandbox


def test_a_request_beats_the_settings() -> None:
    settings = load_settings(timeout_s=9, max_memory_mb=99)
    limits = resolve_limits(ExecutionRequest(code="", timeout_s=1.5), settings)
    assert (limits.timeout_s, limits.memory_mb) == (1.5, 99)


def test_a_limit_that_cannot_be_names_its_value() -> None:
    with pytest.raises(RequestError, match="-3"):
        resolve_limits(ExecutionRequest(code="", memory_mb=-3), load_settings())


@sandboxed
@pytest.mark.parametrize(
    ("code", "stopped_by"),
    [
        pytest.param("while True: pass", "timeout", id="python loop"),
        pytest.param("sum(range(10**11))", "timeout", id="long C call"),
        pytest.param(
            "import signal\nfor n in set(range(1, 65)) - {9, 19, 32, 33}: "
            "signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
            "timeout",
            id="ignores every signal",
        ),
        pytest.param(
            "if os.fork(): os._exit(0) if os.fork() else None\nwhile True: print('x' * 1000)",
            None,
            id="children go on without it",
        ),
        pytest.param(
            "blocks = []\nwhile True: blocks.append(b'x' * (4 << 20))", "memory", id="memory"
        ),
        pytest.param(
            "import time\nblock = b'x' * (150 << 20)\n"
            "for _ in range(4):\n    if not os.fork():\n"
            "        mine = bytearray(150 << 20); time.sleep(60)\n"
            "time.sleep(60)",
            "memory",
            id="memory of all processes",
        ),
        pytest.param(
            "import ctypes, time\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"
            "for _ in range(4):\n    if not os.fork():\n"
            "        mine = bytearray(150 << 20); mine[::4096] = bytes(38400) ; time.sleep(60)\n"
            "time.sleep(60)",
            "memory",
            id="memory of processes that forbid looking at them",
        ),
        pytest.param(
            "import time\nfor _ in range(6):\n    if not os.fork():\n"
            "        while True: os.write(3, bytes(65536))\n"
            "for _ in range(4):\n    if not os.fork():\n"
            "        mine = b'x' * (150 << 20); time.sleep(60)\n"
            "time.sleep(60)",
            "memory",
            id="memory behind a flood of claims",
        ),
        pytest.param(
            "import mmap\nshared = mmap.mmap(-1, 700 << 20)\n"
            "for n in range(0, 700 << 20, 4096): shared[n] = 1\nimport time; time.sleep(60)",
            "memory",
            id="shared memory",
        ),
        pytest.param(
            "import socket, time\n"
            "for _ in range(8):\n    if not os.fork():\n"
            "        pairs = [socket.socketpair() for _ in range(200)]\n"
            "        for a, b in pairs: a.setblocking(False); a.send(bytes(100_000))\n"
            "        time.sleep(60)\n"
            "time.sleep(60)",
            "memory",
            id="memory in sockets",
        ),
        pytest.param(
            "import mmap\nhuge = mmap.mmap(-1, 1 << 39, prot=mmap.PROT_READ, "
            "flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)\n"
            "for n in range(0, 1 << 39, 1 << 21): huge[n]\nwhile True: pass",
            "memory",
            id="memory in page tables",
        ),
        pytest.param(
            "while True:\n    try: os.fork()\n    except OSError: pass", "processes", id="fork bomb"
        ),
        pytest.param(
            "a, b = open('a', 'wb'), open('/tmp/b', 'wb')\n"
            "while True: a.write(bytes(1 << 20)); b.write(bytes(1 << 20))",
            "disk",
            id="disk, spread over folders",
        ),
        pytest.param(
            "n = 0\nwhile True:\n    n += 1\n    open(f'/tmp/{n}', 'w').close()",
            "disk",
            id="files without end",
        ),
        pytest.param(
            "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
            "open('big', 'wb').truncate(1 << 40)",
            "disk",
            id="a file too large",
        ),
        pytest.param("while True: print('x' * 100_000)", "output", id="output"),
        pytest.param(
            "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass",
            "cpu",
            id="processor time",
        ),
        pytest.param("os.kill(os.getpid(), 9)", "killed", id="kills itself"),
        pytest.param("os.kill(os.getpid(), 24)", "killed", id="pretends to be out of time"),
        pytest.param("os.abort()", "killed", id="aborts"),
    ],
)
async def test_what_stopped_a_program_is_told(
    run: Run, executor: Executor, code: str, stopped_by: StoppedBy | None
) -> None:
    result = await run(MARK + code, timeout_s=3 if stopped_by == "timeout" else 20)
    assert result.stdout.startswith(MARKER)
    assert result.stopped_by == stopped_by
    if stopped_by is not None:
        assert not result.success
        assert result.returncode != 0
        assert result.notes
    await nobody_left(executor)


@sandboxed
@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param("x = bytearray(4 << 30)", "MemoryError", id="4 GB at once"),
        pytest.param("import numpy; numpy.ones(1 << 29)", "MemoryError", id="4 GB of numpy"),
        pytest.param(
            "f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", "OSError", id="disk full"
        ),
        pytest.param("open('f', 'wb').truncate(1 << 40)", "File too large", id="sparse file"),
        pytest.param("[open('/dev/null') for _ in range(5000)]", "Too many open", id="descriptors"),
    ],
)
async def test_a_limit_that_python_can_tell_is_a_python_error(
    run: Run, code: str, error: str
) -> None:
    refused(await run(MARK + code), error)


@sandboxed
async def test_five_hundred_forks_end_and_leave_nobody(run: Run, executor: Executor) -> None:
    code = MARK + "import time\nfor _ in range(500):\n    if not os.fork(): time.sleep(600)"
    result = await run(code)
    assert result.stdout.startswith(MARKER)
    assert not result.success
    assert result.stopped_by == "processes" or "BlockingIOError" in result.stderr
    await nobody_left(executor)


@sandboxed
async def test_as_many_threads_as_are_allowed_run(run: Run) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import threading, time
barrier = threading.Barrier(60)
with ThreadPoolExecutor(60) as pool:
    print(sum(pool.map(lambda n: barrier.wait() >= 0, range(60))))
"""
    assert (await run(code)).stdout == "60\n"


@sandboxed
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            "import numpy as np; print((np.ones((800, 800)) @ np.ones((800, 800)))[0, 0])"
        ),
        pytest.param("import pandas as pd; print(pd.DataFrame({'a': range(800)}).a.size * 1.0)"),
        pytest.param("import numpy as np; a = np.ones(35_000_000); print(a[:800].sum())"),
        pytest.param(
            "import scipy.optimize, sklearn.linear_model, pyarrow, matplotlib.pyplot; print(800.0)"
        ),
    ],
    ids=["blas", "pandas", "280 MB", "many libraries"],
)
async def test_data_libraries_work_within_512_mb(run: Run, code: str) -> None:
    result = await run(code, memory_mb=512)
    assert result.stdout == "800.0\n", (result.stderr, result.stopped_by)


@sandboxed
async def test_a_program_that_starts_others_is_not_charged_twice_for_its_memory(run: Run) -> None:
    code = """
import subprocess
block = b"x" * (320 << 20)
for _ in range(300):
    subprocess.run(["/bin/true"])
print(len(block) >> 20)
"""
    result = await run(code, memory_mb=512)
    assert (result.stopped_by, result.stdout) == (None, "320\n")


@sandboxed
async def test_a_time_out_keeps_what_was_printed_without_a_newline(run: Run) -> None:
    result = await run("print('50 %', end='')\nwhile True: pass", timeout_s=1)
    assert (result.stopped_by, result.stdout) == ("timeout", "50 %")


async def test_a_time_out_keeps_output_and_artifacts_so_far(run: Run) -> None:
    code = "open('part.txt', 'w').write('half')\nprint('so far')\nwhile True: pass"
    result = await run(code, timeout_s=1)
    assert result.stopped_by == "timeout"
    assert result.stdout == "so far\n"
    assert [(a.name, a.content) for a in result.artifacts] == [("part.txt", b"half")]


@sandboxed
async def test_a_child_in_the_background_neither_delays_nor_survives(
    run: Run, executor: Executor
) -> None:
    code = """
import subprocess
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("done")
"""
    result = await run(code, timeout_s=15)
    assert (result.success, result.stdout, result.stopped_by) == (True, "done\n", None)
    await nobody_left(executor)


@sandboxed
async def test_a_hundred_megabytes_of_output_are_cut_and_host_memory_stays_flat(run: Run) -> None:
    before = psutil.Process().memory_info().rss
    result = await run("line = 'x' * 999\nfor _ in range(100_000): print(line)\nprint('the end')")
    grown = psutil.Process().memory_info().rss - before
    assert result.success
    assert result.truncated == ("stdout",)
    assert len(result.stdout) < 300 * 1024
    assert result.stdout.startswith("xxx")
    assert result.stdout.endswith("the end\n")
    assert "of 100000008 bytes left out" in result.stdout
    assert grown < 32 << 20


@sandboxed
async def test_a_queue_forms_when_all_places_are_taken(tmp_path: Path) -> None:
    settings = load_settings(execution_dir=tmp_path / "execution", max_parallel_runs=1)
    async with open_executor("local", settings) as executor:
        code = "import time; print(time.time()); time.sleep(0.1); print(time.time())"
        results = await asyncio.gather(
            *(executor.run(ExecutionRequest(code=code)) for _ in range(3))
        )
    spans = sorted(tuple(map(float, result.stdout.split())) for result in results)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


@pytest.mark.parametrize("seconds", [0.0005, 0.002, 0.005])
async def test_a_program_may_be_out_of_time_while_it_is_sent(run: Run, seconds: float) -> None:
    result = await run("#" + "x" * 10_000_000 + "\nwhile True: pass", timeout_s=seconds)
    assert result.stopped_by == "timeout"


@sandboxed
async def test_too_many_processes_are_named_when_they_leave_their_keeper_no_turn(
    run: Run, settings: Settings
) -> None:
    """It says what was wrong, and not merely that time ran out."""
    code = (
        "import os, time\n"
        "for _ in range(3):\n    if not os.fork(): time.sleep(60)\n"
        "time.sleep(1)\n"
        f"for _ in range({settings.max_processes}):\n    if not os.fork(): time.sleep(60)\n"
        "time.sleep(60)"
    )
    running = asyncio.create_task(run(code, timeout_s=3))
    keeper = None
    while keeper is None:
        await asyncio.sleep(0.02)
        keeper = next((each for each in descendants() if len(descendants(each)) == 4), None)
    keeper.suspend()
    answer = await running
    assert answer.stopped_by == "processes", answer.notes
    assert any("without end" in note for note in answer.notes)
