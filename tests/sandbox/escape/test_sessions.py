"""Programs of a session that are up to no good: what they leave, forge, wake and pile up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.errors import PythonCoderError, SessionGone
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor
from backend.sandbox.executors.base import Session
from tests.sandbox.conftest import MARK, MARKER, descendants, executor, nobody_left, settings

__all__ = ["executor", "settings"]

pytestmark = pytest.mark.sandbox

Cell = Callable[..., Awaitable[ExecutionResult | None]]

PRELUDE = (
    MARK
    + """
import ctypes, gc, signal, socket, struct, sys, threading, time
def frame(kind, payload=b""): return kind + struct.pack("<I", len(payload)) + payload
def say(*frames):
    try: os.write(3, b"".join(frames))
    except OSError as error: print(error)
def burn():
    while True: pass
def raw_fork(): return ctypes.CDLL(None).fork()
def inside(name):
    (found,) = [m for n, m in sys.modules.items() if n.endswith("inside." + name)]
    return found
"""
)


@pytest.fixture
async def session(executor: Executor) -> AsyncIterator[Session]:
    async with await executor.open_session() as opened:
        yield opened


@pytest.fixture
def cell(session: Session) -> Cell:
    async def run(code: str, **request: Any) -> ExecutionResult | None:
        """Its result, or None when the session was gone: nothing else is raised."""
        request.setdefault("timeout_s", 1)
        try:
            return await session.run(ExecutionRequest(code=code, **request))
        except SessionGone:
            return None

    return run


def busy_seconds() -> dict[int, float]:
    """Processor seconds, by its pid, of each process below us that is there now."""
    seconds = {}
    for process in descendants():
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds[process.pid] = used.user + used.system
    return seconds


async def nobody_is_busy() -> None:
    """Whoever keeps a processor busy is stopped within seconds, and stays so."""
    async with asyncio.timeout(20):
        while True:
            before = busy_seconds()
            await asyncio.sleep(0.12)
            used = sum(now - before.get(pid, 0.0) for pid, now in busy_seconds().items())
            if used < 0.015:  # two ticks of ten milliseconds
                return


HOSTILE = {
    "kills its predecessor": "os.kill(os.getppid(), 9)",
    "kills its predecessors and itself": "os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)",
    "kills everybody": "os.kill(-1, 9)",
    "wakes everybody": "os.kill(-1, signal.SIGCONT)",
    "wakes everybody for ever": "threading.Thread(target=lambda: [os.kill(-1, 18) for _ in iter(int, 1)], daemon=True).start()",
    "stops everybody and itself": "os.kill(-1, signal.SIGSTOP); os.kill(os.getpid(), signal.SIGSTOP)",
    "terminates everybody": "os.kill(-1, signal.SIGTERM)",
    "forges its end and goes on": "say(frame(b'q', b'\\0\\0'))\nburn()",
    "forges its end in a thread": "threading.Thread(target=burn, daemon=True).start(); say(frame(b'q', b'\\0\\0'))\nburn()",
    "forges its end and forks": "say(frame(b'q', b'\\0\\0'))\nwhile True:\n try: os.fork()\n except OSError: pass",
    "hides a thread": "import _thread; _thread.start_new_thread(burn, ())",
    "forges that it was kept": "say(frame(b'K', b'%d 0' % os.getpid()))",
    "forges that it was kept and has ended": "say(frame(b'K', b'%d 0' % os.getpid()), frame(b'q', b'\\0\\0'), frame(b'K', b'%d 0' % os.getpid()))\nburn()",
    "forges that a dead one was kept": "pid = os.fork()\nif not pid: say(frame(b'K', b'%d 0' % os.getpid())); os._exit(0)\nos.waitpid(pid, 0)",
    "forges that the keeper was kept": "say(frame(b'q', b'\\0\\0'), frame(b'K', b'1 0'), frame(b'K', b'-1 0'))",
    "forges frames that are none": "say(frame(b'q', b'\\0\\0'), frame(b'K', b''), frame(b'K', b'x y z'), frame(b'r'), b'K\\xff\\xff\\xff\\xff')",
    "forges every kind": "say(*(frame(bytes([n]), b'1 0') for n in range(256)))",
    "forges an empty end": "say(frame(b'q'))",
    "floods the line": "import itertools\nfor n in itertools.count(): say(frame(b'K', b'%d 0' % n) * 1000)",
    "closes the line": "os.close(3)",
    "shuts the line": "socket.socket(fileno=3).shutdown(2)",
    "shuts the line in one direction": "socket.socket(fileno=3).shutdown(socket.SHUT_RD)",
    "puts a file over the line": "os.dup2(os.open('f', os.O_RDWR | os.O_CREAT), 3)",
    "puts a line of its own over it": "a, b = socket.socketpair(); os.dup2(a.fileno(), 3); b.sendall(frame(b'K', b'1 0') * 9)",
    "takes words meant for another": "threading.Thread(target=lambda: [os.read(3, 1) for _ in iter(int, 1)], daemon=True).start()",
    "leaves a daemon": "if not os.fork():\n os.setsid()\n if not os.fork(): burn()",
    "leaves a daemon that ignores signals": "if not os.fork():\n for n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\n burn()",
    "replaces fork": "import os; os.fork = os.kill = os.waitpid = os._exit = lambda *a: burn()",
    "replaces our fork": "n = inside('notebook')\nn._fork = lambda: 0",
    "replaces our fork, and parents burn": "n = inside('notebook')\nn._wait = lambda *a: burn()",
    "replaces our wait with a lie": "n = inside('notebook')\nreal = n._wait\ndef lie(pid, flags):\n if flags: return 0, 0\n real(pid, 0); return pid, 10 ** 30\nn._wait = lie",
    "replaces our wait with a strange status": "n = inside('notebook')\nreal = n._wait\ndef lie(pid, flags):\n if flags: return 0, 0\n real(pid, 0); return pid, 0x7f\nn._wait = lie",
    "never answers": "n = inside('notebook')\nn._stay_behind = lambda *a: burn()",
    "answers and burns": "n = inside('notebook')\nreal = n._stay_behind\ndef stay(*a): real(*a); burn()\nn._stay_behind = stay",
    "takes our modules away": "sys.modules.clear()",
    "takes everything away": "for m in list(sys.modules.values()):\n try: m.__dict__.clear()\n except Exception: pass",
    "starts a process as it forks": "os.register_at_fork(after_in_child=lambda: raw_fork() or burn())",
    "starts a thread as it forks": "import _thread; os.register_at_fork(after_in_child=lambda: _thread.start_new_thread(burn, ()))",
    "burns where it stays behind": "os.register_at_fork(after_in_parent=burn)",
    "raises where it forks": "os.register_at_fork(after_in_parent=lambda: os._exit(0))",
    "sets an alarm": "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\nsignal.signal(signal.SIGALRM, lambda *a: burn())",
    "handles its waking": "signal.signal(signal.SIGCONT, lambda *a: burn())",
    "executes something else": "os.execv('/bin/sleep', ['sleep', '600'])",
    "frames without end": "sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
}


@pytest.mark.parametrize("ending", ["ends", "is killed"])
@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
async def test_whatever_a_program_does_to_its_session_it_does_to_itself_only(
    executor: Executor, session: Session, cell: Cell, code: str, ending: str
) -> None:
    await cell("x = 1")
    hostile = await cell(PRELUDE + code)
    assert hostile is not None and hostile.stdout.startswith(MARKER)
    await nobody_is_busy()
    await cell("import os\nos._exit(1)" if ending == "is killed" else "x = 2")
    await nobody_is_busy()
    try:
        await session.undo()
    except SessionGone:
        assert not session.is_open
    await nobody_is_busy()
    await session.aclose()
    assert (await executor.run(ExecutionRequest(code="print(1)"))).stdout == "1\n"
    await nobody_left(executor)


async def test_the_busy_are_seen() -> None:
    """What looks for burnt processor time sees it."""
    burner = await asyncio.create_subprocess_exec("sh", "-c", "while :; do :; done")
    try:
        before = busy_seconds()
        await asyncio.sleep(0.5)
        assert sum(busy_seconds().values()) > sum(before.values())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await nobody_is_busy()
    finally:
        burner.kill()
        await burner.wait()


TREES = {
    "many files": "for n in range(20500): open(f'n{n}', 'w').close()",
    "deep folders": "for n in range(1500):\n os.mkdir('d'); os.chdir('d')",
    "long names in deep folders": "for n in range(40):\n os.mkdir('d' * 250); os.chdir('d' * 250)",
    "sparse": "for n in range(9):\n with open(f's{n}', 'wb') as f: f.truncate(200 << 20)",
    "links": "os.symlink('/etc/passwd', 'a'); os.symlink('@OUT@', 'b'); os.symlink('/', 'c'); os.symlink('e', 'e')",
    "pipes": "os.mkfifo('p'); os.mkdir('q'); os.mkfifo('q/p')",
    "sockets": "import socket; socket.socket(socket.AF_UNIX).bind('s')",
    "unreadable": "os.mkdir('u'); open('u/f', 'w').write('1'); os.chmod('u/f', 0); os.chmod('u', 0)",
    "unreadable root": "open('f', 'w').write('1'); os.chmod('/workspace', 0)",
    "strange names": "open(b'\\xff\\xfe', 'w').write('1'); open('a\\nb', 'w').write('1')",
    "hard links": "open('h', 'w').write('1'); [os.link('h', f'h{n}') for n in range(50)]",
    "names of ours": "os.mkdir('removed-0'); os.mkdir('removed-0/d'); open('removed-1', 'w')",
    "large": "[open(f'l{n}', 'wb').write(bytes(1 << 20)) for n in range(200)]",
    "open to nobody": "os.mkdir('r'); open('r/f', 'w'); os.chmod('r', 0o500)",
}


@pytest.mark.parametrize("when", ["before a kill", "of a killed program"])
@pytest.mark.parametrize("code", TREES.values(), ids=TREES)
async def test_whatever_a_program_piles_up_can_be_gone_back_from(
    executor: Executor, session: Session, cell: Cell, tmp_path: Path, code: str, when: str
) -> None:
    out = tmp_path / "out"
    out.write_text("outside")
    code = f"import os\nx = 2\n{code.replace('@OUT@', str(out))}\n"
    await cell("x = 1; open('keep', 'w').write('kept')")
    if when == "before a kill":
        assert await cell(code, timeout_s=60)
        await cell("y = 1; import os; os.chdir('/workspace')", timeout_s=60)
    killed = await cell(
        f"{code if when == 'of a killed program' else ''}import os\nos._exit(1)", timeout_s=60
    )
    assert killed is not None and any("rolled back" in note for note in killed.notes), killed
    look = "import os; os.chdir('/workspace')\nprint(x, open('keep').read(), len(os.listdir()))"
    after = await cell(look, timeout_s=60)
    assert after is not None
    if when == "of a killed program":
        assert after.stdout == "1 kept 1\n", after
    else:
        assert after.stdout.startswith("2 kept "), after
    assert await session.undo()
    assert (await cell("print(1)", timeout_s=60)).stdout == "1\n"  # type: ignore[union-attr]
    assert out.read_text() == "outside"
    await session.aclose()
    await nobody_left(executor)


async def test_files_as_large_as_may_be_can_be_rewritten_again_and_again(cell: Cell) -> None:
    for number in range(6):
        result = await cell(f"open('f', 'wb').write(bytes([{number}]) * (200 << 20))", timeout_s=60)
        assert result is not None and result.success, result
    killed = await cell("import os; open('f', 'w').write('spoilt'); os._exit(1)", timeout_s=60)
    assert killed is not None and any("rolled back" in note for note in killed.notes)
    after = await cell("f = open('f', 'rb').read(); print(len(f) >> 20, f[0])", timeout_s=60)
    assert after is not None and after.stdout == "200 5\n", after


async def test_too_many_files_are_said_to_stay(cell: Cell) -> None:
    await cell("for n in range(20500): open(f'n{n}', 'w').close()", timeout_s=60)
    killed = await cell("import os; open('new', 'w').close(); os._exit(1)", timeout_s=60)
    assert killed is not None
    assert any("Its files are not" in note for note in killed.notes), killed.notes
    after = await cell("import os; print(len(os.listdir()))")
    assert after is not None and after.stdout == "20501\n"


async def test_only_what_is_documented_is_raised(executor: Executor) -> None:
    session = await executor.open_session()
    codes = ["import os; os.kill(-1, 9)", "import os; os.close(3)", "1"] * 3
    for code in codes:
        try:
            await session.run(ExecutionRequest(code=code))
        except PythonCoderError as error:
            assert isinstance(error, SessionGone)
    await session.aclose()
