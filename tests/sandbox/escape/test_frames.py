"""A forged report, on every descriptor there is. What reads it is in ``test_reader``."""

from __future__ import annotations

import pytest

from backend.sandbox.inside import wire
from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Person

KINDS = sorted({value for value in vars(wire).values() if isinstance(value, bytes)})

FORGE = (
    PRELUDE
    + f"KINDS = {KINDS!r}\n"
    + """
payloads = [b"", b"all walls", b"0 - 0 0", b"'mine'", b"uid=0", b"3 forged.txt"]
frames = b"\\0" + b"".join(
    kind + len(payload).to_bytes(4, "little") + payload for kind in KINDS for payload in payloads
) + b"abc"
def write(fd):
    try:
        os.set_blocking(fd, False)
        for _ in range(20):
            os.write(fd, frames)
    except OSError:
        pass
"""
)

FORGERIES = {
    "on every open descriptor": "for fd in range(3, 600): write(fd)",
    "through its own descriptors' names": """
for fd in os.listdir("/proc/self/fd"):
    try:
        if int(fd) > 2: write(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY))
    except OSError: pass
""",
    "through the keeper's descriptors": """
for pid in (1, os.getppid()):
    for fd in range(64):
        try:
            write(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_NONBLOCK))
            os.write(1, b"opened")
        except OSError: pass
""",
    "on the streams": "write(1); os.set_blocking(2, False); os.write(2, frames)",
    "by a child": "pid = os.fork()\nif not pid:\n    for fd in range(3, 600): write(fd)\n"
    "    os._exit(0)\nos.waitpid(pid, 0)",
    "after closing what there is": """
os.closerange(3, 600)
kept = [os.open("/dev/null", os.O_RDWR) for _ in range(20)]
for fd in kept: write(fd)
""",
    "with descriptors sent along": """
import socket, array
for fd in range(3, 64):
    try:
        s = socket.socket(fileno=os.dup(fd))
        s.setblocking(False)
        s.sendmsg([frames], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2]))])
    except OSError: pass
""",
    "by reading what is meant for the keeper": """
for fd in range(3, 64):
    try:
        os.set_blocking(fd, False)
        os.write(1, os.read(fd, 1 << 16))
    except OSError: pass
write(3)
""",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_a_program_says_of_its_end_is_not_believed(
    person: Person, canaries: Canaries, forgery: str, check: bool
) -> None:
    code = FORGE + FORGERIES[forgery] + "\nos._exit(5)"
    answer = person.run(code, check=check)
    kept(answer, canaries)
    if check and answer.issues:
        return
    assert answer.stdout.startswith(MARKER)
    assert (answer.success, answer.returncode, answer.stopped_by) == (False, 5, None)
    assert answer.walls == person.walls
    assert answer.artifacts == {}
    assert "opened" not in answer.stdout


@pytest.mark.sandbox
def test_no_descriptor_is_inherited(person: Person) -> None:
    code = """
import os
for fd in range(1024):
    try:
        print(fd, os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
    except OSError:
        pass
"""
    first, *rest = (line.split() for line in person.run(code).stdout.splitlines())
    assert first == ["0", "/dev/null"]
    # Two streams, and that on which a program names its value.
    assert [number for number, _ in rest] == ["1", "2", "3"]
    assert {kind for _, kind in rest} <= {"pipe", "socket"}


@pytest.mark.sandbox
def test_a_killed_program_cannot_say_that_it_ended_well(person: Person) -> None:
    code = FORGE + "for fd in range(3, 64): write(fd)\nos.kill(os.getpid(), 9)"
    answer = person.run(code)
    assert (answer.success, answer.returncode, answer.stopped_by) == (False, -9, "killed")
    code = FORGE + "for fd in range(3, 64): write(fd)\nwhile True: pass"
    answer = person.run(code, timeout_s=1)
    assert (answer.success, answer.stopped_by) == (False, "timeout")


@pytest.mark.sandbox
def test_what_is_written_after_the_end_is_nobodys(person: Person) -> None:
    code = """
import os, time
if not os.fork():
    os.setsid()
    while True:
        try: os.write(1, b"late\\n")
        except OSError: pass
        time.sleep(0.001)
print("mine", flush=True)
os._exit(0)
"""
    first = person.run(code)
    assert first.success
    assert set(first.stdout.split()) <= {"mine", "late"}
    for answer in person.run_together({"code": "print(1)"}, {"code": "print(1)"}):
        assert (answer.stdout, answer.stderr) == ("1\n", "")


@pytest.mark.sandbox
def test_a_claim_of_gigabytes_stops_nobody(person: Person) -> None:
    code = PRELUDE + "block = b'x' * (1 << 20)\nfor _ in range(300): os.write(3, block)"
    answer = person.run(code, timeout_s=5)
    assert answer.stdout.startswith(MARKER)
    assert len(answer.value or "") <= 64 * 1024
    assert person.run("print(1)").stdout == "1\n"
