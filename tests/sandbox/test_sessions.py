"""What one program of a session leaves behind, the next one finds, unless it was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config.settings import Settings
from backend.errors import Busy, SessionGone
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor, open_executor
from backend.sandbox.executors.base import Session
from backend.sandbox.executors.local.executor import LocalExecutor
from tests.sandbox.conftest import alive, descendants, descriptors, is_sleep, nobody_left

pytestmark = pytest.mark.sandbox

Cell = Callable[..., Awaitable[ExecutionResult]]


def cells(session: Session) -> Cell:
    async def cell(code: str, **request: Any) -> ExecutionResult:
        return await session.run(ExecutionRequest(code=code, **request))

    return cell


@pytest.fixture
async def session(executor: Executor) -> AsyncIterator[Session]:
    async with await executor.open_session() as opened:
        yield opened


@pytest.fixture
def cell(session: Session) -> Cell:
    return cells(session)


@asynccontextmanager
async def opened(settings: Settings, **changes: Any) -> AsyncIterator[Executor]:
    async with open_executor("local", settings.model_copy(update=changes)) as executor:
        yield executor


async def test_variables_imports_and_values_live_on(cell: Cell) -> None:
    assert (await cell("import math\nx = 42")).success
    assert (await cell("x * 2")).value == "84"
    assert (await cell("def double(n): return 2 * n\nmath.floor(2.5)")).value == "2"
    assert (await cell("double(x)")).value == "84"


async def test_a_file_comes_back_from_the_program_that_made_or_changed_it(cell: Cell) -> None:
    made = await cell("open('a.txt', 'w').write('1'); open('b.txt', 'w').write('1')")
    assert [each.name for each in made.artifacts] == ["a.txt", "b.txt"]
    read = await cell("print(open('a.txt').read())")
    assert (read.stdout, read.artifacts) == ("1\n", ())
    changed = await cell("open('b.txt', 'w').write('2')")
    assert [(each.name, each.content) for each in changed.artifacts] == [("b.txt", b"2")]
    assert (await cell("pass")).artifacts == ()


async def test_a_figure_lives_on_and_is_handed_out_when_it_has_changed(cell: Cell) -> None:
    plot = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])\n0"
    first = await cell(plot)
    assert [each.media_type for each in first.artifacts] == ["image/png"], first.stderr
    assert (await cell("1")).artifacts == ()
    second = await cell("axes.set_title('late')\nplt.gcf() is figure")
    assert second.value == "True"
    assert len(second.artifacts) == 1
    assert second.charts[0]["title"] == "late"


async def test_a_later_program_has_inputs_of_its_own(cell: Cell, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("1")
    second.write_text("2")
    await cell("a = open('in.csv').read()", files={"in.csv": first})
    result = await cell(
        "print(a, open('in.csv').read(), n)", files={"in.csv": second}, variables={"n": 3}
    )
    assert result.stdout == "1 2 3\n"
    assert (await cell("print(open('in.csv').read(), n)")).stdout == "2 3\n"
    refused = await cell("open('in.csv', 'w')")
    assert not refused.success and result.artifacts == ()


@pytest.mark.parametrize(
    "obstacle",
    [
        "os.mkdir('in.txt'); open('in.txt/x', 'w')",
        "os.symlink('/etc/passwd', 'in.txt')",
        "os.symlink('/nowhere', 'in.txt')",
        "os.mkfifo('in.txt')",
        "open('in.txt', 'w').write('mine')",
    ],
    ids=["folder", "link", "dangling link", "pipe", "file"],
)
async def test_an_input_takes_the_place_of_whatever_has_its_name(
    cell: Cell, tmp_path: Path, obstacle: str
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("input")
    assert (await cell(f"import os\n{obstacle}")).success
    files = {"in.txt": source}
    assert (await cell("print(open('in.txt').read())", files=files)).stdout == "input\n"
    assert (await cell("os.path.islink('in.txt')")).value == "False"


async def test_an_input_does_not_follow_a_link_in_its_folders(cell: Cell, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("input")
    await cell("import os; os.mkdir('/tmp/there'); os.symlink('/tmp/there', 'data')")
    result = await cell(
        "print(os.path.islink('data'), os.listdir('/tmp/there'), open('data/in.txt').read())",
        files={"data/in.txt": source},
    )
    assert result.stdout == "False [] input\n", result.stderr


async def test_sessions_do_not_see_each_other(executor: Executor) -> None:
    async with await executor.open_session() as one, await executor.open_session() as other:
        await cells(one)("x = 42; open('x', 'w'); open('/tmp/x', 'w'); open('/dev/shm/x', 'w')")
        seen = await cells(other)(
            "import glob\nprint('x' in globals(), glob.glob('x'), glob.glob('/[td]*/**/x'))"
        )
        assert seen.stdout == "False [] []\n"
        assert "x = 42" not in (await executor.run(ExecutionRequest(code="print(dir())"))).stdout
        assert (await cells(one)("x")).value == "42"


KILLED: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "time-out": ("while True: pass", {"timeout_s": 0.5}, "timeout"),
    "long C call": ("sum(range(10**12))", {"timeout_s": 0.5}, "timeout"),
    "memory": ("b = [bytearray(1 << 20) for _ in range(4000)]", {"memory_mb": 128}, "memory"),
    "segfault": ("import ctypes; ctypes.string_at(0)", {}, "killed"),
    "exit": ("os._exit(3)", {}, None),
    "clean exit": ("os._exit(0)", {}, None),
    "own signal": ("os.kill(os.getpid(), 9)", {}, "killed"),
    "flood": ("while True: print('x' * 10000)", {}, "output"),
}


@pytest.mark.parametrize(("code", "request_", "stopped_by"), KILLED.values(), ids=KILLED)
async def test_a_killed_program_leaves_everything_as_it_was(
    cell: Cell, code: str, request_: dict[str, Any], stopped_by: str | None
) -> None:
    await cell("import os; x = [1]; open('f', 'w').write('before'); open('gone', 'w').write('g')")
    spoil = (
        "x.append(2); y = 1; open('f', 'w').write('after'); open('new', 'w').write('n')\n"
        "os.unlink('gone'); os.mkdir('folder')\n"
    )
    result = await cell(spoil + code, **request_)
    assert not result.success
    assert result.stopped_by == stopped_by
    assert any("rolled back" in note for note in result.notes), result
    assert result.artifacts == ()
    after = await cell("print(x, 'y' in globals(), open('f').read(), sorted(os.listdir()))")
    assert after.stdout == "[1] False before ['f', 'gone']\n", after
    assert after.success
    assert (await cell("x.append(3); x")).value == "[1, 3]"


async def test_a_first_program_can_be_killed_as_well(cell: Cell) -> None:
    assert not (await cell("x = 1; import os; os._exit(1)")).success
    assert (await cell("'x' in globals()")).value == "False"


async def test_without_cgroups_memory_is_watched(cell: Cell) -> None:
    await cell("kept = bytearray(60 << 20)")
    assert (await cell("more = bytearray(60 << 20); len(more)", memory_mb=200)).success
    result = await cell("b = [bytearray(1 << 20) for _ in range(1000)]", memory_mb=200)
    assert result.stopped_by == "memory"
    assert (await cell("len(kept) + len(more)")).value == str(120 << 20)


async def test_a_cancelled_program_leaves_everything_as_it_was(
    session: Session, cell: Cell
) -> None:
    await cell("import subprocess; x = 1; open('f', 'w').write('before')")
    code = "x = 2; open('f', 'w').write('a'); subprocess.run(['sleep', '600'])"
    task = asyncio.create_task(cell(code))
    while not any(is_sleep(each) for each in descendants()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(is_sleep(each) for each in descendants())
    assert session.is_open
    assert (await cell("print(x, open('f').read())")).stdout == "1 before\n"


async def test_cancelling_at_any_moment_keeps_the_session_whole(
    session: Session, cell: Cell, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("x")
    await cell("n = 0")
    for step in range(30):
        task = asyncio.create_task(
            cell("n += 1; open('f', 'w').write('x' * 100000); n", files={"in.txt": source})
        )
        for _ in range(step):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = await cell("n")
        assert (before.success, before.stderr) == (True, ""), step
        assert (await cell("n")).value == before.value
    assert session.is_open


async def test_cancelling_an_undo_keeps_the_session_whole(session: Session, cell: Cell) -> None:
    await cell("x = 0")
    for step in range(10):
        await cell(f"x = {step}")
        task = asyncio.create_task(session.undo())
        for _ in range(step % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await cell("print('here')")).stdout == "here\n"
        assert (await cell("y = x\nx")).value is not None


@pytest.mark.parametrize(
    ("code", "returncode"),
    [("x = 2; 1/0", 1), ("x = 2; import sys; sys.exit(3)", 3), ("x = 2; exit()", 0)],
    ids=["exception", "sys.exit", "exit"],
)
async def test_what_an_unfinished_program_did_stays(cell: Cell, code: str, returncode: int) -> None:
    await cell("x = 1")
    result = await cell(code)
    assert (result.returncode, result.notes) == (returncode, ())
    assert (await cell("x")).value == "2"


async def test_one_step_can_be_undone(session: Session, cell: Cell) -> None:
    assert await session.undo() is False
    await cell("x = 1; open('f', 'w').write('1')")
    await cell("x = 2; open('f', 'w').write('2'); open('g', 'w')")
    assert await session.undo() is True
    look = "import os; print(x, open('f').read(), os.listdir())"
    assert (await cell(look)).stdout == "1 1 ['f']\n"
    assert await session.undo() is True, "the program that looked"
    assert await session.undo() is False
    assert (await cell(look)).stdout == "1 1 ['f']\n"


async def test_a_failed_program_can_be_undone_and_a_killed_one_is(
    session: Session, cell: Cell
) -> None:
    await cell("x = 1")
    await cell("x = 2; 1/0")
    assert await session.undo() is True
    assert (await cell("x")).value == "1"
    await cell("x = 3")
    await cell("import os; x = 4; os._exit(1)")
    assert (await cell("x")).value == "3"


async def test_bash_shares_the_files_and_can_be_undone(session: Session, cell: Cell) -> None:
    await cell("x = 1; open('f', 'w').write('python')")
    result = await cell("cat f; echo bash > f; echo new > g", language="bash")
    assert result.stdout == "python"
    assert [each.name for each in result.artifacts] == ["f", "g"]
    assert (await cell("print(x, open('f').read().strip())")).stdout == "1 bash\n"
    assert (await cell("echo again > f; exit 3", language="bash")).returncode == 3
    assert await session.undo() is True
    assert (await cell("print(x, open('f').read().strip())")).stdout == "1 bash\n"


async def test_killed_bash_leaves_everything_as_it_was(cell: Cell) -> None:
    await cell("x = 1; open('f', 'w').write('1')")
    result = await cell("echo 2 > f; sleep 60", language="bash", timeout_s=0.5)
    assert result.stopped_by == "timeout"
    assert any("rolled back" in note for note in result.notes)
    assert (await cell("print(x, open('f').read())")).stdout == "1 1\n"


TICKING = """
import threading, time
ticks = [0]
def tick():
    while True: ticks[0] += 1; time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
"""


async def test_threads_live_on_and_are_what_is_gone_back_before(
    session: Session, cell: Cell
) -> None:
    await cell("x = 1; open('f', 'w').write('1')")
    started = await cell(TICKING + "x = 2; open('f', 'w').write('2')")
    assert any("1 threads" in note for note in started.notes)
    more = await cell("a = ticks[0]; time.sleep(0.2); b = ticks[0]; x = 3; b > a")
    assert more.value == "True"
    assert any("threads" in note for note in more.notes)
    killed = await cell("import os; os._exit(1)")
    assert any("rolled back" in note for note in killed.notes)
    assert (await cell("print(x, open('f').read(), 'ticks' in globals())")).stdout == "1 1 False\n"
    await cell(TICKING)
    assert await session.undo() is True
    assert (await cell("print(x, 'ticks' in globals())")).stdout == "1 False\n"


async def test_a_thread_that_has_ended_is_no_hindrance(cell: Cell) -> None:
    code = "import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()"
    result = await cell(code)
    assert (result.stdout, result.notes) == ("1\n", ())


PROCESSES = """
import multiprocessing, os, subprocess
def square(n): return n * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(square, range(4)))
print(subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout.strip())
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "601"], start_new_session=True)
if not os.fork():
    while True: pass
"""


async def test_processes_work_and_end_with_their_program(cell: Cell) -> None:
    result = await cell(PROCESSES)
    assert result.stdout == "[0, 1, 4, 9]\nhello\n", result.stderr
    inside = "[p for p in os.listdir('/proc') if p.isdigit()]"
    assert (
        await cell(f"sum(b'sleep' in open(f'/proc/{{p}}/stat','rb').read() for p in {inside})")
    ).value == "0"
    assert not any(is_sleep(each) for each in descendants())


async def test_a_fork_that_comes_back_through_our_frames_is_not_the_session(cell: Cell) -> None:
    result = await cell("import os\nx = 1\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nx = 2; pid")
    assert result.success and result.value != "0"
    assert (await cell("print(x, pid > 0)")).stdout == "2 True\n"


async def test_a_hundred_programs_in_a_row_keep_the_state_and_nothing_else(
    executor: Executor, session: Session, cell: Cell
) -> None:
    await cell("seen = []")
    await cell("seen.append(-1)")
    await nobody_new(executor)
    held = descriptors(executor)
    for number in range(100):
        assert (await cell(f"seen.append({number}); open('f', 'w').write('{number}')")).success
    assert (await cell("sum(seen[1:])")).value == "4950"
    await nobody_new(executor)
    assert descriptors(executor) == held
    inside = await cell("import os; len([p for p in os.listdir('/proc') if p.isdigit()])")
    assert int(inside.value or 0) <= 5


async def nobody_new(executor: Executor) -> None:
    """Of one session there are a keeper, its process now, and one to go back to."""
    assert isinstance(executor, LocalExecutor)
    async with asyncio.timeout(10):
        while not executor.pool.is_quiet or len(alive()) != 5 + 2 * executor.pool.ready:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_session_that_nobody_uses_expires(settings: Settings) -> None:
    async with opened(settings, session_idle_s=0.3, max_sessions=1) as executor:
        session = await executor.open_session()
        for _ in range(3):
            await cells(session)("import time; time.sleep(0.2)")
        async with asyncio.timeout(10):
            while session.is_open:  # noqa: ASYNC110
                await asyncio.sleep(0)  # its place is free as soon as it is not open
        with pytest.raises(SessionGone, match=r"nobody used it for 0\.3 seconds"):
            await cells(session)("1")
        async with await executor.open_session() as another:
            assert (await cells(another)("1")).success
        await nobody_left(executor)


async def test_a_program_that_takes_longer_than_idling_is_not_idle(settings: Settings) -> None:
    async with (
        opened(settings, session_idle_s=0.2) as executor,
        await executor.open_session() as session,
    ):
        assert (await cells(session)("import time; time.sleep(0.6)")).success


async def test_so_many_sessions_and_no_more(settings: Settings) -> None:
    async with opened(settings, max_sessions=2) as executor:
        asked = await asyncio.gather(
            *(executor.open_session() for _ in range(4)), return_exceptions=True
        )
        busy = [each for each in asked if isinstance(each, Busy)]
        sessions = [each for each in asked if isinstance(each, Session)]
        assert (len(busy), len(sessions)) == (2, 2)
        assert "PYTHON_CODE_MAX_SESSIONS" in str(busy[0])
        await sessions[0].aclose()
        await (await executor.open_session()).aclose()


async def test_a_closed_session_is_gone(executor: Executor) -> None:
    session = await executor.open_session()
    await session.aclose()
    await session.aclose()
    assert not session.is_open
    with pytest.raises(SessionGone, match="it was closed"):
        await cells(session)("1")
    with pytest.raises(SessionGone, match="it was closed"):
        await session.undo()
    await nobody_left(executor)


async def test_closing_while_a_program_runs_ends_it(executor: Executor) -> None:
    session = await executor.open_session()
    task = asyncio.create_task(cells(session)("import subprocess; subprocess.run(['sleep', '9'])"))
    while not any(is_sleep(each) for each in descendants()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await session.aclose()
    assert not (await task).success
    with pytest.raises(SessionGone):
        await cells(session)("1")
    await nobody_left(executor)


async def test_the_end_of_the_executor_is_the_end_of_its_sessions(settings: Settings) -> None:
    async with opened(settings) as executor:
        session = await executor.open_session()
        assert (await cells(session)("1")).success
    assert not session.is_open
    with pytest.raises(SessionGone):
        await cells(session)("1")
    assert alive() == []


async def test_a_session_whose_processes_are_killed_from_outside_is_gone(
    executor: Executor, session: Session, cell: Cell
) -> None:
    await cell("x = 1")
    (bubblewrap,) = psutil.Process().children()
    (zygote,) = bubblewrap.children()
    zygote.kill()
    zygote.wait()
    with pytest.raises(SessionGone):
        await cell("x")
    assert (await executor.run(ExecutionRequest(code="print(1)"))).stdout == "1\n"
    async with await executor.open_session() as another:
        assert (await cells(another)("'x' in globals()")).value == "False"


async def test_a_session_whose_process_ends_gives_its_place_to_others_at_once(
    settings: Settings,
) -> None:
    async with opened(settings, max_sessions=1) as executor:
        session = await executor.open_session()
        await cells(session)("x = 1")
        (bubblewrap,) = psutil.Process().children()
        (zygote,) = bubblewrap.children()
        for keeper in zygote.children():
            with suppress(psutil.NoSuchProcess):
                keeper.kill()
        async with asyncio.timeout(10):
            while session.is_open:  # noqa: ASYNC110
                await asyncio.sleep(0)  # its place is free as soon as it is not open
        async with await executor.open_session() as another:
            assert (await cells(another)("'x' in globals()")).value == "False"


async def test_programs_of_one_session_are_served_one_after_another(cell: Cell) -> None:
    await cell("import time; order = []")
    code = "order.append(({0}, 'in')); time.sleep(0.05); order.append(({0}, 'out'))"
    await asyncio.gather(*(cell(code.format(number)) for number in range(4)))
    result = await cell("[a[0] == b[0] for a, b in zip(order[::2], order[1::2])], len(order)")
    assert result.value == "([True, True, True, True], 8)"


async def test_what_is_gone_through_between_programs_is_not_heard(cell: Cell) -> None:
    first = await cell("import sys\nsys.modules['math'] = None")
    second = await cell("41 + 1")
    assert (second.value, first.stderr, second.stderr) == ("42", "", "")


async def test_a_session_goes_on_without_what_it_has_taken_from_itself(cell: Cell) -> None:
    await cell("import builtins\nbuiltins.exec = builtins.compile = None")
    assert (await cell("41 + 1")).value == "42"
