"""Too much of everything: each flood is stopped or bounded, and the server goes on."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

STOPPED: dict[str, tuple[str, set[str | None]]] = {
    "forks": ("while True:\n    try: os.fork()\n    except OSError: pass", {"processes"}),
    "forks of forks that leave their group": (
        "while True:\n    try:\n        if not os.fork(): os.setsid()\n    except OSError: pass",
        {"processes"},
    ),
    "threads": (
        "import threading, time\nwhile True:\n"
        "    try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    except RuntimeError: pass",
        {"processes", "memory"},
    ),
    "memory": ("kept = []\nwhile True: kept.append(b'x' * (4 << 20))", {"memory"}),
    "memory of several": (
        "import time\nfor _ in range(4):\n    if not os.fork():\n"
        "        mine = b'x' * (150 << 20); time.sleep(60)\ntime.sleep(60)",
        {"memory"},
    ),
    "memory of those that hide": (
        "import ctypes, time\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nfor _ in range(4):\n"
        "    if not os.fork(): mine = b'x' * (150 << 20); time.sleep(60)\ntime.sleep(60)",
        {"memory"},
    ),
    "memory that is shared": (
        "import mmap, time\nshared = mmap.mmap(-1, 700 << 20)\n"
        "for n in range(0, 700 << 20, 4096): shared[n] = 1\ntime.sleep(60)",
        {"memory"},
    ),
    "memory as files": (
        "files = [open(f'/dev/shm/{n}', 'wb') for n in range(9)]\n"
        "while True:\n    for file in files: file.write(bytes(1 << 20))",
        {"memory", "disk", None},
    ),
    "memory in sockets": (
        "import socket, time\nfor _ in range(8):\n    if not os.fork():\n"
        "        pairs = [socket.socketpair() for _ in range(200)]\n"
        "        for a, b in pairs: a.setblocking(False); a.send(bytes(100_000))\n"
        "        time.sleep(60)\ntime.sleep(60)",
        {"memory"},
    ),
    "memory in pipes": (
        "import fcntl, time\nfor _ in range(20):\n    if not os.fork():\n"
        "        for _ in range(200):\n            r, w = os.pipe(); os.set_blocking(w, False)\n"
        "            try:\n                fcntl.fcntl(w, 1031, 1 << 20)\n"
        "            except OSError: pass\n"
        "            try:\n                os.write(w, bytes(1 << 20))\n"
        "            except OSError: pass\n        time.sleep(60)\n"
        "time.sleep(3)\nos.write(1, b'bounded')",
        {"memory", None},
    ),
    "processor": ("while True: pass", {"timeout", "cpu"}),
    "processor in C": ("sum(range(10**11))", {"timeout", "cpu"}),
    "processor of several": (
        "for _ in range(8):\n    if not os.fork(): break\nwhile True: pass",
        {"timeout", "cpu"},
    ),
    "a big number": ("x = 7 ** (10 ** 9)", {"timeout", "cpu", "memory"}),
    "a bad pattern": ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", {"timeout", "cpu"}),
    "disk": (
        "a, b = open('a', 'wb'), open('/tmp/b', 'wb')\n"
        "while True: a.write(bytes(1 << 20)); b.write(bytes(1 << 20))",
        {"disk"},
    ),
    "disk by holes": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "open('big', 'wb').truncate(1 << 40)",
        {"disk"},
    ),
    "files": ("n = 0\nwhile True: n += 1; open(f'/tmp/{n}', 'w').close()", {"disk"}),
    "folders": (
        "for _ in range(10**6): os.mkdir('d'); os.chdir('d')",
        {"disk", "timeout", None},
    ),
    "deleted files": (
        "import time\nkept = []\nwhile True:\n    f = open('f', 'wb'); os.unlink('f')\n"
        "    f.write(bytes(1 << 20)); f.flush(); kept.append(f)",
        {"disk", "memory", None},
    ),
    "output": ("while True: os.write(1, b'x' * 100_000)", {"output"}),
    "errors": ("while True: os.write(2, b'x' * 100_000)", {"output"}),
    "output and errors of several": (
        "os.fork(); os.fork()\nwhile True: os.write(1, b'x' * 60_000); os.write(2, b'y' * 60_000)",
        {"output"},
    ),
    "claims": ("block = bytes(1 << 20)\nwhile True: os.write(3, block)", {"timeout", "cpu", None}),
    "waiting": ("import time\ntime.sleep(10**6)", {"timeout"}),
    "waiting for input": ("import sys\nsys.stdin.read()\nos.read(0, 1)", {None}),
    "signals": (
        "import signal\nsignal.signal(10, lambda *_: None)\nwhile True: os.kill(os.getpid(), 10)",
        {"timeout", "cpu"},
    ),
    "timers": (
        "import ctypes, time\nlibc = ctypes.CDLL(None)\nspace = ctypes.c_void_p()\n"
        "for _ in range(100_000): libc.timer_create(0, None, ctypes.byref(space))\n",
        {None},
    ),
    "maps": (
        "import mmap\nkept = []\nwhile True:\n    try: kept.append(mmap.mmap(-1, 4096))\n"
        "    except (OSError, MemoryError): break\n",
        {"memory", None},
    ),
}


@pytest.mark.parametrize("flood", STOPPED)
def test_it_is_stopped(person: Person, canaries: Canaries, flood: str) -> None:
    code, reasons = STOPPED[flood]
    # What nothing else ends is to end soon; what must end by itself may be slow on a busy machine.
    longest = 2 if reasons <= {"timeout", "cpu"} else 4 if "timeout" in reasons else 20
    answer = person.run(PRELUDE + code, timeout_s=longest)
    assert answer.stdout.startswith(MARKER), answer
    assert answer.stopped_by in reasons, answer.notes
    assert answer.success <= (answer.stopped_by is None)
    kept(answer, canaries)


BOUNDED = {
    "descriptors": ("[open('/dev/null') for _ in range(5000)]", "Too many open"),
    "memory at once": ("x = bytearray(4 << 30)", "MemoryError"),
    "memory that stays locked": (
        "import ctypes\nb = ctypes.create_string_buffer(1 << 20)\n"
        "if ctypes.CDLL(None).mlock(b, 1 << 20): raise MemoryError",
        "MemoryError",
    ),
    "more than was given": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))",
        "not allowed|maximum",
    ),
    "real-time turns": (
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "PermissionError",
    ),
    "a better place": ("os.nice(-5)", "PermissionError"),
    "never killed for memory": (
        "open('/proc/self/oom_score_adj', 'w').write('-1000')",
        "PermissionError|Read-only",
    ),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "nested literals": ("eval('[' * 10_000 + ']' * 10_000)", "MemoryError|SyntaxError|Recursion"),
}


@pytest.mark.parametrize("flood", BOUNDED)
def test_what_python_can_tell_is_an_error_of_its_own(person: Person, flood: str) -> None:
    code, error = BOUNDED[flood]
    answer = person.run(PRELUDE + code)
    assert answer.stdout.startswith(MARKER)
    assert (answer.success, answer.stopped_by) == (False, None)
    assert re.search(error, answer.stderr), answer.stderr


def test_floods_at_the_same_time_leave_room_for_others(person: Person) -> None:
    floods = [
        {"code": PRELUDE + STOPPED[name][0], "timeout_s": 4}
        for name in ("forks", "memory", "output", "processor of several", "disk")
    ]
    *flooded, small = person.run_together(*floods, {"code": "print(1)", "timeout_s": 30})
    assert all(answer.stdout.startswith(MARKER) and answer.stopped_by for answer in flooded)
    assert (small.stdout, small.stopped_by) == ("1\n", None)


def test_a_time_out_keeps_output_and_files(person: Person) -> None:
    code = "open('part.txt', 'w').write('x')\nprint('ran')\nwhile True: pass"
    answer = person.run(code, timeout_s=1)
    assert (answer.stdout, answer.stopped_by) == ("ran\n", "timeout")
    assert answer.artifacts == {"part.txt": (1, b"x")}


def test_background_children_neither_delay_nor_survive(person: Person) -> None:
    code = """
import os, signal, subprocess, time
for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], start_new_session=True)
if not os.fork():
    os.setsid()
    os.fork()
    while True: time.sleep(60)
print("done", flush=True)
os._exit(0)
"""
    answer = person.run(code, timeout_s=15)
    assert (answer.success, answer.stdout, answer.stopped_by) == (True, "done\n", None)
