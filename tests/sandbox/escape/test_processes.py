"""Other processes: the host's, the keeper, oneself. Another run's are in ``test_other_runs``."""

from __future__ import annotations

import os

import pytest

from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import CALLS, REACHED, Attack, contained, reaches
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

NOT_THERE = "ESRCH|ENOENT"
FORBIDDEN = "EPERM|EACCES|ENOENT|EROFS|ESRCH"

ATTACKS = (
    Attack(
        id="processes of the host",
        code="""
def others():
    found = []
    for pid in range(3, 70_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        if pid != os.getpid():
            found.append(pid)
    if not found:
        raise ProcessLookupError(errno.ESRCH, "nobody")
    return found[:9]
def listed():
    found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if not set(found) - {1, os.getpid()}:
        raise ProcessLookupError(errno.ESRCH, "nobody")
    return found[:9]
attempt("signal to oneself", lambda: os.kill(os.getpid(), 0))
attempt("signal to the canary", lambda: os.kill(@PID@, 0))
attempt("signal to the server", lambda: os.kill(@SERVER@, 0))
attempt("signal to anybody", others)
attempt("a list", listed)
attempt("its command line", lambda: open("/proc/@PID@/cmdline", "rb").read())
attempt("a descriptor of it", lambda: os.pidfd_open(@PID@))
attempt("its priority", lambda: os.getpriority(os.PRIO_PROCESS, @PID@))
attempt("its processors", lambda: os.sched_getaffinity(@PID@))
""",
        inside={
            "signal to oneself": REACHED,
            "signal to the canary": NOT_THERE,
            "signal to the server": NOT_THERE,
            "signal to anybody": NOT_THERE,
            "a list": NOT_THERE,
            "its command line": NOT_THERE,
            "a descriptor of it": NOT_THERE,
            "its priority": NOT_THERE,
            "its processors": NOT_THERE,
        },
        outside={
            "signal to oneself": REACHED,
            "signal to the canary": f"{REACHED}|EPERM",
            "signal to the server": REACHED,
            "signal to anybody": REACHED,
            "a list": REACHED,
            "its command line": REACHED,
            "a descriptor of it": REACHED,
            "its priority": REACHED,
            "its processors": REACHED,
        },
    ),
    Attack(
        id="looking into the keeper",
        code="""
import fcntl, resource
def read(name):
    return lambda: open(f"/proc/1/{name}", "rb").read(1)
for name in ("mem", "environ", "maps", "auxv", "syscall", "stack", "io", "pagemap"):
    attempt(name, read(name))
    attempt(f"{name} of its thread", read(f"task/1/{name}"))
for number in range(6):
    attempt(f"descriptor {number}", read(f"fd/{number}"))
for name in ("root", "cwd", "exe", "ns/pid", "ns/user", "ns/mnt"):
    attempt(name, lambda: os.readlink(f"/proc/1/{name}"))
attempt("oneself", lambda: open("/proc/self/environ", "rb").read(1))
""",
        inside={
            "oneself": REACHED,
            **{f"descriptor {number}": FORBIDDEN for number in range(6)},
            **{
                name: FORBIDDEN
                for what in ("mem", "environ", "maps", "auxv", "syscall", "stack", "io", "pagemap")
                for name in (what, f"{what} of its thread")
            },
            **dict.fromkeys(("root", "cwd", "exe", "ns/pid", "ns/user", "ns/mnt"), FORBIDDEN),
        },
    ),
    Attack(
        id="disturbing the keeper",
        code=CALLS
        + """
import fcntl, resource, signal, socket
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 64)
def take_a_descriptor():
    return call(438, 438, os.pidfd_open(1), 0, 0)
def signal_by_a_socket(number):
    mine, other = socket.socketpair()
    fcntl.fcntl(mine, 10, number)  # F_SETSIG
    fcntl.fcntl(mine, fcntl.F_SETOWN, 1)
    fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    other.send(b"x")
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
    try:
        signal.pidfd_send_signal(os.pidfd_open(1), number)
    except OSError:
        pass
    try:
        signal_by_a_socket(number)
    except OSError:
        pass
attempt("trace it", lambda: call(101, 117, 0x4206, 1, 0, 0))
attempt("read its memory", lambda: call(310, 270, 1, vector, 1, vector, 1, 0))
attempt("write its memory", lambda: call(311, 271, 1, vector, 1, vector, 1, 0))
attempt("take its descriptor", take_a_descriptor)
attempt("compare with it", lambda: call(312, 272, 1, os.getpid(), 1, 0, 0))
attempt("limit its descriptors", lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)))
attempt("limit its time", lambda: resource.prlimit(1, resource.RLIMIT_CPU, (1, 1)))
attempt("its processors", lambda: os.sched_setaffinity(1, {0}))
attempt("its turns", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
attempt("its priority", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
attempt("its input and output", lambda: call(251, 30, 1, 1, 0x6000))
attempt("who dies first", lambda: open("/proc/1/oom_score_adj", "w").write("1000"))
attempt("its name", lambda: os.write(os.open("/proc/1/comm", os.O_WRONLY), b"x"))
attempt("its group", lambda: os.setpgid(1, os.getpid()))
attempt("give its memory back", lambda: call(440, 440, os.pidfd_open(1), vector, 1, 4, 0))
attempt("oneself", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
attempt("still there", lambda: os.kill(os.getpid(), 0))
""",
        inside={
            "trace it": FORBIDDEN,
            "read its memory": FORBIDDEN,
            "write its memory": FORBIDDEN,
            "take its descriptor": FORBIDDEN,
            "compare with it": FORBIDDEN,
            "limit its descriptors": FORBIDDEN,
            "limit its time": FORBIDDEN,
            "its processors": FORBIDDEN,
            "its turns": FORBIDDEN,
            "its priority": FORBIDDEN,
            "its input and output": FORBIDDEN,
            "who dies first": FORBIDDEN,
            "its name": FORBIDDEN,
            "its group": FORBIDDEN,
            "give its memory back": FORBIDDEN,
            "oneself": REACHED,
            "still there": REACHED,
        },
    ),
    Attack(
        id="looking into one's own child",
        code=CALLS
        + """
import time
child = os.fork()
if not child:
    time.sleep(5)
    os._exit(0)
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 64)
attempt("trace it", lambda: call(101, 117, 0x4206, child, 0, 0))
attempt("read its memory", lambda: call(310, 270, child, vector, 1, vector, 1, 0))
attempt("write its memory", lambda: call(311, 271, child, vector, 1, vector, 1, 0))
attempt("take its descriptor", lambda: call(438, 438, os.pidfd_open(child), 0, 0))
attempt("signal", lambda: os.kill(child, 9))
""",
        inside={
            "trace it": "EPERM",
            "read its memory": "EPERM",
            "write its memory": "EPERM",
            "take its descriptor": "EPERM",
            "signal": REACHED,
        },
        outside={
            "trace it": REACHED,
            "read its memory": REACHED,
            "write its memory": REACHED,
            "take its descriptor": REACHED,
            "signal": REACHED,
        },
    ),
    Attack(
        id="killing everybody",
        code="""
import signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
for number in (0, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
    try:
        os.kill(-1, number)
    except OSError:
        pass
for number in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.kill(os.getppid(), number)
        os.killpg(os.getpgid(os.getppid()), number)
    except OSError:
        pass
attempt("its child is dead", lambda: os.waitpid(child, 0)[1])
attempt("still there", lambda: None)
""",
        inside={"its child is dead": "REACHED 9", "still there": REACHED},
    ),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_is_contained(person: Person, attack: Attack, canaries: Canaries, check: bool) -> None:
    contained(person, attack, canaries, check=check)


@pytest.mark.parametrize("attack", [each for each in ATTACKS if each.outside], ids=str)
def test_without_the_walls_it_succeeds(attack: Attack, canaries: Canaries) -> None:
    if attack.id == "looking into one's own child" and os.getuid() != 0:
        pytest.skip("an ordinary user may be forbidden to trace at all (Yama)")
    reaches(attack, canaries)


def test_a_program_that_kills_its_own_group_is_a_killed_run(
    person: Person, canaries: Canaries, check: bool
) -> None:
    answer = person.run(
        "import os\nos.write(1, b'it ran\\n')\nos.fork()\nos.killpg(0, 9)", check=check
    )
    if not answer.issues:
        assert answer.stdout.startswith(MARKER)
        assert (answer.success, answer.stopped_by, answer.returncode) == (False, "killed", -9)
    assert person.run("print(1)").stdout == "1\n"


def test_programs_are_nobody_without_any_right(person: Person) -> None:
    code = """
import os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(*os.getresuid(), *os.getresgid(), *os.getgroups())
print(*(status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")))
print(status["NoNewPrivs"], status["Seccomp"])
"""
    answer = person.run(code)
    lines = answer.stdout.splitlines()
    assert set(lines[0].split()) == {"65534"}
    assert set(lines[1].split()) == {"0" * 16}
    assert lines[2] == "1 2"
    assert {"user namespace", "no network", "seccomp", "unprivileged user"} <= set(answer.walls)
