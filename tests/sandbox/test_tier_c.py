"""Programs without namespaces, as root and as an ordinary user; only where it is asked for."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import SandboxUnavailable
from backend.sandbox import ExecutionRequest, open_executor
from backend.sandbox.doctor import diagnose
from backend.sandbox.walls.landlocked import landlock_abi
from tests.sandbox.conftest import MARK, MARKER
from tests.sandbox.escape.canaries import Canaries, open_canaries
from tests.sandbox.escape.cases import CALLS, PRELUDE
from tests.sandbox.escape.people import NOBODY, Answer, Person, open_person, ordinary_user

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(landlock_abi() < 6, reason="needs a kernel >= 6.12 with Landlock"),
]


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tier-c-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def canaries(room: Path) -> Iterator[Canaries]:
    folder = room / "canaries"
    folder.mkdir()
    with open_canaries(folder) as canaries:
        yield canaries
        canaries.untouched()


@pytest.fixture(scope="module", params=["ourselves", "an ordinary user"])
def command(request: pytest.FixtureRequest) -> list[str]:
    if os.getuid() != 0:
        if request.param != "ourselves":
            pytest.skip("we are an ordinary user ourselves")
        return [sys.executable]
    whole = ordinary_user()
    # Our own interpreter may lie where nobody gets, the distribution's does not.
    return whole if request.param != "ourselves" else whole[-1:]


@pytest.fixture(scope="module")
def open_one(command: list[str], room: Path, canaries: Canaries) -> Callable[[], Iterator[Person]]:
    return lambda: _open_one(command, room, canaries)


def _open_one(command: list[str], room: Path, canaries: Canaries) -> Iterator[Person]:
    with tempfile.TemporaryDirectory(dir=room) as folder:
        Path(folder).chmod(0o755)
        if len(command) > 1:
            os.chown(folder, NOBODY, NOBODY)
        variables = {"PATH": "/nonexistent", "PYTHON_CODE_MIN_TIER": "C"}
        with open_person(command, Path(folder), canaries.secret, variables) as person:
            yield person


@pytest.fixture(scope="module")
def person(open_one: Callable[[], Iterator[Person]]) -> Iterator[Person]:
    yield from open_one()


@pytest.fixture
def without_bubblewrap(room: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with which a server of our own would have nothing but tier C."""
    monkeypatch.setenv("PATH", "/nonexistent")
    python = Path(ordinary_user_python()) if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(dir=room))
    folder.chmod(0o755)
    return load_settings(execution_dir=folder, interpreter=python, preimport="none", timeout_s=20)


def ordinary_user_python() -> str:
    return next(path for path in ("/usr/bin/python3", sys.executable) if os.path.exists(path))


def processes(person: Person) -> list[psutil.Process]:
    return psutil.Process(person.pid).children(recursive=True)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def scratch(person: Person) -> list[str]:
    """The runs' folders that are not of one that waits for a program."""
    alive = {str(each.pid) for each in processes(person)}
    found = Path(psutil.Process(person.pid).cwd()).glob("execution/run-*/scratch/*")
    return [each.name for each in found if each.name.isdigit() and each.name not in alive]


def ran(answer: Answer) -> Answer:
    assert answer.stdout.startswith(MARKER), answer
    return answer


# --- who gets it


async def test_it_is_refused_unless_asked_for(without_bubblewrap: Settings) -> None:
    with pytest.raises(SandboxUnavailable) as caught:
        async with open_executor("local", without_bubblewrap):
            pass
    assert "install" in str(caught.value.remedy)


async def test_it_is_not_taken_where_more_can_be_had(tmp_path: Path) -> None:
    allowing = load_settings(execution_dir=tmp_path, preimport="none", min_tier="C")
    async with open_executor("local", allowing) as executor:
        assert executor.isolation.tier in "AB"


async def test_it_says_so_and_has_no_sessions(without_bubblewrap: Settings) -> None:
    allowing = without_bubblewrap.model_copy(update={"min_tier": "C"})
    async with open_executor("local", allowing) as executor:
        result = await executor.run(ExecutionRequest(code="print(6 * 7)"))
        assert result.stdout == "42\n"
        assert result.isolation is not None
        assert result.isolation.tier == executor.isolation.tier == "C"
        with pytest.raises(SandboxUnavailable, match="tier C"):
            await executor.open_session()
    findings = {finding.topic: finding for finding in await diagnose(allowing)}
    assert findings["tier C"].state == "note"
    assert findings["run"].state == "ok"


def test_only_walls_that_stand_are_told(person: Person) -> None:
    told = " ".join(person.run(MARK).walls)
    assert "seccomp" in told and "landlock" in told and "no sockets" in told
    assert not any(word in told for word in ("namespace", "read-only root", "private"))


# --- what is refused

_ATTEMPTS = """
import ctypes, os, resource, signal, socket
server, victim = @SERVER@, @PID@
def read(path): return lambda: open(path, 'rb').read(20)
for path in ("@FILE@", "/etc/shadow", "/etc/passwd", f"/proc/{server}/environ", "/proc/1/cmdline",
             f"/proc/{server}/status", f"/proc/{os.getppid()}/maps", "/proc/net/tcp",
             f"/proc/{server}/root@FILE@", "/proc/self/mounts", "/dev/shm/x"):
    attempt(f"read {path}", read(path))
for path in ("/", "/proc", "/tmp", "/root", "/home", "@FOLDER@", "../..", "../../..", "/dev/shm"):
    attempt(f"list {path}", lambda: os.listdir(path))
for path in ("@FILE@", "@FOLDER@/x", "/tmp/x", "../x", "../../x", "/dev/shm/x", os.__file__):
    attempt(f"write {path}", lambda: open(path, "ab"))
attempt("link", lambda: os.link("@FILE@", "x"))
attempt("rename", lambda: os.rename("@FILE@", "x"))
attempt("unlink", lambda: os.unlink("@FILE@"))
attempt("truncate", lambda: os.truncate("@FILE@", 0))
for family in (1, 2, 10, 16, 17, 38, 40):
    attempt(f"socket {family}", lambda: socket.socket(family, socket.SOCK_STREAM))
attempt("datagram pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
def connected(address):
    ours, theirs = socket.socketpair()
    ours.connect(address)
attempt("connect", lambda: connected("@PATH@"))
attempt("connect abstract", lambda: connected("\\0@ABSTRACT@"))
for pid in (server, victim, os.getppid(), 1):
    attempt(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL))
    attempt(f"signal {pid}", lambda: os.kill(pid, 0))
    attempt(f"pidfd {pid}", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 9))
    attempt(f"niceness {pid}", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt(f"processors {pid}", lambda: os.sched_setaffinity(pid, {0}))
    attempt(f"limits {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)))
    attempt(f"trace {pid}", lambda: call(101, 117, 16, pid, 0, 0))
    attempt(f"memory {pid}", lambda: call(310, 270, pid, 0, 0, 0, 0, 0))
attempt("user namespace", lambda: call(272, 97, 0x10000000))
attempt("outlive the keeper", lambda: call(157, 167, 1, 0, 0, 0, 0))
attempt("hide from the keeper", lambda: call(157, 167, 4, 0, 0, 0, 0))
"""


def test_nothing_of_the_host_is_reached(person: Person, canaries: Canaries) -> None:
    code = PRELUDE + CALLS + canaries.fill(_ATTEMPTS).replace("@SERVER@", str(person.pid))
    attempts = ran(person.run(code)).attempts
    assert len(attempts) > 60, attempts
    reached = {what: said for what, said in attempts.items() if said.startswith("REACHED")}
    assert reached == {}
    canaries.untouched()


def test_what_a_program_needs_is_reached(person: Person) -> None:
    code = (
        PRELUDE
        + """
import json, socket, subprocess, sys, tempfile
attempt("own file", lambda: open("x", "w").write("x"))
attempt("temporary", lambda: tempfile.TemporaryFile().write(b"x"))
attempt("null", lambda: open("/dev/null", "w").write("x"))
attempt("itself", lambda: open("/proc/self/status").read(4))
attempt("package", lambda: open(json.__file__).read(4))
attempt("child", lambda: subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True))
pair = socket.socketpair()
attempt("pair", lambda: pair[0].send(b"x"))
attempt("kill a child", lambda: (lambda p: (p.kill(), p.wait()))(subprocess.Popen(["sleep", "9"])))
import shutil
attempt("copy", lambda: shutil.copy2("x", "y"))
"""
    )
    answer = ran(person.run(code))
    refused = {what: said for what, said in answer.attempts.items() if said[:7] != "REACHED"}
    assert refused == {}
    assert len(answer.attempts) == 9


def test_modes_and_times_of_host_files_stay(person: Person, room: Path) -> None:
    file = room / "theirs"
    file.write_text("x")
    os.chown(file, *([NOBODY, NOBODY] if os.getuid() == 0 else [-1, -1]))
    before = file.stat()
    code = MARK + (
        f"path = {str(file)!r}\n"
        "for do in (lambda: os.chmod(path, 0o777), lambda: os.utime(path, (1, 1)),\n"
        "           lambda: os.chown(path, -1, -1), lambda: os.setxattr(path, 'user.x', b'x')):\n"
        "    try: do()\n"
        "    except OSError: pass\n"
    )
    ran(person.run(code))
    assert file.stat() == before


def test_the_environment_holds_nothing_of_the_server(person: Person, canaries: Canaries) -> None:
    code = MARK + "print(dict(os.environ)); print(open('/proc/self/cmdline').read())"
    answer = ran(person.run(code))
    assert answer.success, answer
    assert canaries.secret not in answer.stdout and "SECRET_TOKEN" not in answer.stdout


# --- limits


@pytest.mark.parametrize(
    ("code", "stopped_by"),
    [
        pytest.param("import time; time.sleep(60)", "timeout", id="time"),
        pytest.param("sum(range(10 ** 11))", "timeout", id="time in C"),
        pytest.param(
            "import os, time\nfor _ in range(3):\n    os.fork() or (os.setsid(), time.sleep(60))\n"
            "time.sleep(60)",
            "timeout",
            id="time, with daemons",
        ),
        pytest.param("x = [bytearray(b'x' * 2**20) for _ in range(4000)]", "memory", id="memory"),
        pytest.param("import os\nwhile True: os.fork()", "processes", id="forks"),
        pytest.param(
            "import os\nwhile True:\n    try:\n        os.fork() or os.setsid()\n"
            "    except OSError: pass",
            "processes",
            id="stubborn forks",
        ),
        pytest.param(
            "for n in range(99):\n    with open(f'f{n}', 'wb') as f: f.write(b'x' * 2**23)\n"
            "    import time; time.sleep(.05)",
            "disk",
            id="disk",
        ),
        pytest.param(
            "import os, time\nkept = []\nfor n in range(99):\n    f = open('f', 'wb')\n"
            "    os.unlink('f')\n    f.write(b'x' * 2**23); f.flush(); kept.append(f)\n"
            "    time.sleep(.05)",
            "disk",
            id="unlinked",
        ),
    ],
)
def test_limits_hold(person: Person, code: str, stopped_by: str) -> None:
    seconds = 2 if stopped_by == "timeout" else 30
    answer = ran(person.run(MARK + code, timeout_s=seconds, memory_mb=400))
    assert not answer.success
    # What is faster than the watchdog is told so by the kernel.
    refused = any(word in answer.stderr for word in ("MemoryError", "BlockingIOError"))
    # Many that do nothing but fork may use up the memory of a control group before they are counted.
    too_many = stopped_by == "processes" and answer.stopped_by in ("killed", "memory")
    assert answer.stopped_by == stopped_by or refused or too_many, answer
    wait_for(lambda: scratch(person) == [])
    # Nothing of it runs: whatever waits for programs has one process each.
    assert person.run("print(1)").stdout == "1\n"


# --- what comes and goes


def test_inputs_arrive_and_artifacts_are_what_was_written(person: Person, room: Path) -> None:
    source = room / "in.csv"
    source.write_text("a,b\n1,2\n")
    code = "print(open('data/in.csv').read()); open('data/out.txt', 'w').write('out')"
    answer = person.run(code, files={"data/in.csv": source})
    assert answer.stdout == "a,b\n1,2\n\n"
    assert {name: content for name, (_, content) in answer.artifacts.items()} == {
        "data/out.txt": b"out"
    }
    changed = "import os; os.unlink('in.csv'); open('in.csv', 'w').write('other')"
    assert list(person.run(changed, files={"in.csv": source}).artifacts) == ["in.csv"]
    assert source.read_text() == "a,b\n1,2\n"


def test_figures_and_values_are_handed_out(person: Person) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4])\nplt.show()\n6 * 7"
    answer = person.run(code, timeout_s=60)
    assert answer.artifacts["figure_1.png"][1].startswith(b"\x89PNG"), answer
    assert answer.value == "42"
    assert answer.charts


def test_bash_runs(person: Person) -> None:
    answer = person.run("echo hello > out.txt; cat out.txt", language="bash")
    assert answer.stdout == "hello\n"
    assert list(answer.artifacts) == ["out.txt"]


def test_two_runs_are_apart(person: Person) -> None:
    code = PRELUDE + (
        "import signal, time\nsecret = open('secret.txt', 'w').write('secret')\n"
        "time.sleep(1)\nfolder = os.path.dirname(os.path.dirname(os.getcwd()))\n"
        "mine = os.getpid()\n"
        "def is_own(pid):\n"
        "    try: return os.getpgid(pid) == os.getpgid(0)\n"
        "    except OSError: return False\n"
        "for pid in range(max(2, mine - 400), mine + 400):\n"
        "    if is_own(pid) or pid == os.getppid(): continue\n"
        "    for what, do in (('kill', lambda: os.kill(pid, 0)),\n"
        "         ('file', lambda: open(f'{folder}/{pid}/workspace/secret.txt').read()),\n"
        "         ('write', lambda: open(f'{folder}/{pid}/workspace/secret.txt', 'w')),\n"
        "         ('maps', lambda: open(f'/proc/{pid}/maps').read(9)),\n"
        "         ('memory', lambda: open(f'/proc/{pid}/mem', 'rb'))):\n"
        "        try: do()\n"
        "        except OSError: pass\n"
        "        else: print('REACHED', what, pid)\n"
        "attempt('all', lambda: os.kill(-1, 9))\ntime.sleep(1)\nprint('alive')\n"
    )
    for answer in person.run_together({"code": code}, {"code": code}):
        ran(answer)
        assert answer.success, answer
        assert answer.stdout.endswith("alive\n")
        assert not any(line.startswith("REACHED") for line in answer.stdout.splitlines()), answer


def test_nothing_is_left_of_a_run(person: Person) -> None:
    mark = f"left-{os.urandom(4).hex()}"
    code = MARK + (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {mark!r}],\n"
        "    start_new_session=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    import time; time.sleep(600)\n"
        "os.mkdir('closed', 0)\n"
        "for _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\n"
    )
    assert ran(person.run(code)).success
    wait_for(lambda: scratch(person) == [])
    left = [
        each for each in psutil.process_iter(["cmdline"]) if mark in (each.info["cmdline"] or [])
    ]
    assert left == []


_ENDLESS = MARK + (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', @MARK@],\n"
    "    start_new_session=True)\ntime.sleep(600)"
)


@pytest.mark.parametrize("victim", ["keeper", "zygote", "server"])
def test_whoever_is_killed_nothing_goes_on(
    open_one: Callable[[], Iterator[Person]], victim: str
) -> None:
    mark = f"left-{os.urandom(4).hex()}"

    def marked() -> list[psutil.Process]:
        found = psutil.process_iter(["cmdline"])
        return [each for each in found if mark in (each.info["cmdline"] or [])]

    opened = open_one()
    person = next(opened)

    def run() -> None:
        try:
            person.run(_ENDLESS.replace("@MARK@", repr(mark)))
        except (AssertionError, ValueError):
            return  # the server was killed

    running = threading.Thread(target=run)
    running.start()
    wait_for(lambda: bool(marked()))
    program = marked()[0].parent()
    assert program is not None
    keeper = program.parent()
    assert keeper is not None
    zygote = keeper.parent()
    assert zygote is not None
    pid = {"keeper": keeper.pid, "zygote": zygote.pid, "server": person.pid}[victim]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not marked() and not program.is_running())
    running.join()
    if victim != "server":
        assert person.run("print(1)").stdout == "1\n"
        opened.close()
        return
    with pytest.raises(AssertionError):
        next(opened)
