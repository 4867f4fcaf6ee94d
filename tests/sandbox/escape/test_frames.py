"""A forged report, on every descriptor there is. What reads it is in ``test_reader``."""

from __future__ import annotations

import pytest

from backend.sandbox.inside import wire
from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Person

KINDS = sorted(
    {value for value in vars(wire).values() if isinstance(value, bytes) and len(value) == 1}
)

FORGE = (
    PRELUDE
    + f"KINDS = {KINDS!r}\n"
    + """
payloads = [b"", b"all walls", b"0 - 0 0", b"'mine'", b"uid=0", b"3 forged.txt"]
frames = b"".join(
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

ITS_WORD = 1
"""As what it counts when a program itself says over the line that it is at its end, without a status:
another way of ending, as ``os._exit`` is."""

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
def test_frames_of_a_program_say_nothing_of_walls_limits_or_files(
    person: Person, canaries: Canaries, forgery: str
) -> None:
    code = FORGE + FORGERIES[forgery] + "\nos._exit(5)"
    answer = person.run(code, check=False)  # what the check refuses forges nothing
    kept(answer, canaries)
    assert answer.stdout.startswith(MARKER)
    assert not answer.success
    # On a busy machine no report of it may arrive; then it counts as killed, which is no success.
    harmed = {("killed", -9)} if "meant for the keeper" in forgery else set()
    assert (answer.stopped_by, answer.returncode) in {(None, 5), (None, ITS_WORD), *harmed}
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
def test_a_child_cannot_give_its_parent_a_good_end(person: Person) -> None:
    code = (
        FORGE
        + """
if not os.fork():
    for kind in KINDS:
        os.write(3, kind + b"\\1\\0\\0\\0\\0")
    os._exit(0)
import time
time.sleep(0.5)
os._exit(5)
"""
    )
    answer = person.run(code)
    assert answer.stdout.startswith(MARKER)
    assert (answer.success, answer.returncode) == (False, 5)


CLAIMS = {
    "nothing": "b''",
    "no text": "bytes(range(256))",
    "half a letter": "'한'.encode()[:2]",
    "a lone surrogate": r"rb'[{\"title\": \"\ud800\"}]'",
    "bottomless": "b'[' * 200_000",
    "bottomless and closed": "b'[' * 200_000 + b']' * 200_000",
    "bottomless objects": "b'[{\"a\":' * 50_000 + b'1' + b'}]' * 50_000",
    "no numbers": "b'[{\"series\": [NaN, Infinity, -Infinity, 1e999]}]'",
    "endless numbers": "b'[' + b'9' * 200_000 + b']'",
    "another kind": "b'\"text\"'",
    "things that are no charts": "b'[1, null, [], {}, \"x\"]'",
    "many": "b'[' + b'{},' * 100_000 + b'{}]'",
    "a script": "b'<script>alert(1)</script>'",
}
"""What a program may say of itself, as an expression of bytes."""


@pytest.mark.sandbox
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_strange_claim_is_a_strange_value_at_most(
    person: Person, canaries: Canaries, claim: str
) -> None:
    code = (
        PRELUDE
        + f"payload = {CLAIMS[claim]}\n"
        + f"kinds = {[wire.VALUE, *(kind for kind in KINDS if kind in b'vwc')]!r}\n"
        + """
for kind in kinds:
    rest = kind + len(payload).to_bytes(4, "little") + payload
    while rest: rest = rest[os.write(3, rest):]
"""
    )
    answer = person.run(code, timeout_s=10)
    assert answer.stdout.startswith(MARKER), answer
    assert (answer.success, answer.returncode) == (True, 0), answer
    assert len((answer.value or "").encode()) <= 1 << 20
    kept(answer, canaries)


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", [kind.decode() for kind in KINDS])
@pytest.mark.parametrize("payload", ["", "\0", "0 - 0 0", "0 - 0", "3 forged.txt"])
def test_a_single_frame_ends_a_program_at_most(person: Person, kind: str, payload: str) -> None:
    """To say that one has come to one's end is another way of ending, as ``os._exit`` is."""
    forged = kind.encode() + len(payload).to_bytes(4, "little") + payload.encode()
    code = PRELUDE + f"os.write(3, {forged!r})\nimport time; time.sleep(0.2)\nos._exit(5)"
    answer = person.run(code, timeout_s=10)
    assert answer.stdout == f"{MARKER}\n", answer
    assert answer.returncode in (5, payload.encode()[0] if payload else ITS_WORD), answer
    assert answer.success == (answer.returncode == 0)
    assert answer.stopped_by is None
    assert answer.walls == person.walls
    assert answer.artifacts == {}


@pytest.mark.sandbox
def test_a_killed_program_cannot_say_that_it_ended_well(person: Person) -> None:
    code = FORGE + "for fd in range(3, 64): write(fd)\nos.kill(os.getpid(), 9)"
    answer = person.run(code)
    assert (answer.success, answer.returncode) in ((False, -9), (False, ITS_WORD))
    code = FORGE + "for fd in range(3, 64): write(fd)\nwhile True: pass"
    answer = person.run(code, timeout_s=1)
    assert (answer.success, answer.stopped_by) in ((False, "timeout"), (False, None))


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
    # A line of the one may come between the words of another line and its end.
    assert first.stdout.replace("late", "").replace("mine", "").strip() == ""
    for answer in person.run_together({"code": "print(1)"}, {"code": "print(1)"}):
        assert (answer.stdout, answer.stderr) == ("1\n", "")


@pytest.mark.sandbox
def test_a_claim_of_gigabytes_stops_nobody(person: Person) -> None:
    code = PRELUDE + "block = b'x' * (1 << 20)\nfor _ in range(300): os.write(3, block)"
    answer = person.run(code, timeout_s=5)
    assert answer.stdout.startswith(MARKER)
    assert len(answer.value or "") <= 64 * 1024
    assert person.run("print(1)").stdout == "1\n"
