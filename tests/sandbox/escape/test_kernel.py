"""The kernel's surface: calls that programs do not need, one by one and all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from backend.sandbox.walls.seccomp import MACHINES
from backend.sandbox.walls.syscalls import ALLOWED, GATED, NEWEST
from tests.sandbox.conftest import MARK, MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import CALLS, REACHED, Attack, contained, reaches
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

REFUSED = {
    "unshare": "272, 97, 0x10000000",
    "setns": "308, 268, 0, 0",
    "ptrace": "101, 117, 0, 0, 0, 0",
    "process_vm_readv": "310, 270, 1, 0, 0, 0, 0, 0",
    "process_vm_writev": "311, 271, 1, 0, 0, 0, 0, 0",
    "pidfd_getfd": "438, 438, 0, 0, 0",
    "kcmp": "312, 272, 1, 1, 0, 0, 0",
    "bpf": "321, 280, 0, 0, 0",
    "perf_event_open": "298, 241, 0, 0, 0, 0, 0",
    "userfaultfd": "323, 282, 0",
    "io_uring_setup": "425, 425, 1, 0",
    "io_uring_enter": "426, 426, 0, 0, 0, 0, 0, 0",
    "io_uring_register": "427, 427, 0, 0, 0, 0",
    "io_setup": "206, 0, 1, 0",
    "add_key": "248, 217, 0, 0, 0, 0, 0",
    "request_key": "249, 218, 0, 0, 0, 0",
    "keyctl": "250, 219, 0, 0, 0, 0, 0",
    "seccomp": "317, 277, 0, 0, 0",
    "landlock_create_ruleset": "444, 444, 0, 0, 1",
    "landlock_restrict_self": "446, 446, -1, 0",
    "shmget": "29, 194, 0, 4096, 0o1600",
    "shmat": "30, 196, 0, 0, 0",
    "msgget": "68, 186, 0, 0o1600",
    "semget": "64, 190, 0, 1, 0o1600",
    "mq_open": "240, 180, b'x', 0o102, 0o600, 0",
    "kexec_load": "246, 104, 0, 0, 0, 0",
    "init_module": "175, 105, 0, 0, 0",
    "finit_module": "313, 273, -1, 0, 0",
    "delete_module": "176, 106, 0, 0",
    "reboot": "169, 142, 0, 0, 0, 0",
    "syslog": "103, 116, 10, 0, 0",
    "acct": "163, 89, 0",
    "swapon": "167, 224, 0, 0",
    "quotactl": "179, 60, 0, 0, 0, 0",
    "settimeofday": "164, 170, 0, 0",
    "clock_settime": "227, 112, 0, 0",
    "adjtimex": "159, 171, 0",
    "sethostname": "170, 161, b'x', 1",
    "setdomainname": "171, 162, b'x', 1",
    "vhangup": "153, 58",
    "personality": "135, 92, 0xFFFFFFFF",
    "capset": "126, 91, 0, 0",
    "setuid": "105, 146, 0",
    "setgroups": "116, 159, 0, 0",
    "fanotify_init": "300, 262, 0, 0",
    "name_to_handle_at": "303, 264, -100, b'/', 0, 0, 0",
    "open_by_handle_at": "304, 265, -1, 0, 0",
    "migrate_pages": "256, 238, 1, 0, 0, 0",
    "move_pages": "279, 239, 1, 0, 0, 0, 0, 0",
    "mbind": "237, 235, 0, 0, 0, 0, 0, 0",
    "process_madvise": "440, 440, -1, 0, 0, 0, 0",
    "process_mrelease": "448, 448, -1, 0",
    "vmsplice": "278, 75, -1, 0, 0, 0",
    "remap_file_pages": "216, 234, 0, 0, 0, 0, 0",
    "pkey_alloc": "330, 289, 0, 0",
    "memfd_secret": "447, 447, 0",
    "setxattr": "188, 5, b'/tmp', b'user.x', b'x', 1, 0",
    "ioctl TIOCSTI": "16, 29, 0, 0x5412, 0",
    "ioctl TIOCLINUX": "16, 29, 0, 0x541C, 0",
    "ioctl TIOCSTI with high bits": "16, 29, 0, 0x100005412, 0",
    "prlimit64 of another": "302, 261, 1, 7, 0, 0",
    "prctl PR_SET_MM": "157, 167, 35, 0, 0, 0, 0",
}
ABSENT = {
    "clone3": "435, 435, 0, 0",
    "memfd_create": "319, 279, b'x', 0",
    "a call of the future": "999, 999",
}
"""Answered as if this kernel did not have it, so that libraries do it in another way."""
HARMLESS = {
    "getpid": "39, 172",
    "memfd_create": "319, 279, b'x', 0",
    "landlock_create_ruleset": "444, 444, 0, 0, 1",
    "semget": "64, 190, 0, 1, 0o1600",
    "personality": "135, 92, 0xFFFFFFFF",
    "pkey_alloc": "330, 289, 0, 0",
    "kcmp": "312, 272, os.getpid(), os.getpid(), 1, 0, 0",
}
"""What can be called on the host and does nothing: there it is not refused."""


def attempts(calls: dict[str, str]) -> str:
    return CALLS + "".join(
        f"attempt({name!r}, lambda: call({args}))\n" for name, args in calls.items()
    )


ONE_BY_ONE = Attack(
    id="one by one",
    code=attempts({"getpid": "39, 172", **REFUSED, **ABSENT}),
    inside={
        "getpid": REACHED,
        **dict.fromkeys(REFUSED, "EPERM"),
        **dict.fromkeys(ABSENT, "ENOSYS"),
    },
)
ON_THE_HOST = Attack(
    id="on the host",
    code=attempts(HARMLESS),
    inside={},
    # The kernel itself answers for keys of memory where the processor has none.
    outside=dict.fromkeys(HARMLESS, f"{REACHED}|ENOSYS|ENOSPC")
    | {"pkey_alloc": f"{REACHED}|ENOSYS|ENOSPC|EINVAL"},
)


def test_dangerous_calls_are_refused(person: Person, canaries: Canaries, check: bool) -> None:
    contained(person, ONE_BY_ONE, canaries, check=check)


def test_without_the_walls_some_of_them_do_nothing_and_are_answered(canaries: Canaries) -> None:
    reaches(ON_THE_HOST, canaries)


SWEEP = (
    MARK
    + """
import ctypes, json, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def classify(number, argument):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        got = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument)] * 6)
        os._exit(ctypes.get_errno() if got == -1 else 255)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGSYS else "let through"
    return {1: "EPERM", 38: "ENOSYS"}.get(os.WEXITSTATUS(status), "let through")
found = {n: [classify(n, a) for a in (-1, 0)] for n in NUMBERS}
os.write(1, json.dumps(found).encode())
"""
)
UNFILTERED = {"x86_64": (335, 336)}
"""uretprobe and uprobe: the kernel asks no filter about them (since 6.14), because they are the way
back from its own probes. It kills whoever calls them from anywhere else."""
SWEPT = (*range(601), 999, 4095, 65_535, 0x3FFF_FFFF)


def sweep(person: Person, numbers: tuple[int, ...]) -> dict[int, list[str]]:
    answer = person.run(SWEEP.replace("NUMBERS", repr(numbers)), timeout_s=90)
    assert answer.stdout.startswith(MARKER), answer
    found = json.loads(answer.stdout.removeprefix(MARKER))
    return {int(number): verdicts for number, verdicts in found.items()}


def test_every_number_is_answered_as_the_table_says(person: Person) -> None:
    column = MACHINES[os.uname().machine].column
    allowed = {numbers[column]: name for name, numbers in ALLOWED.items()}
    gated = {numbers[column]: name for name, numbers in GATED.items()}
    kernel = tuple(int(part) for part in os.uname().release.split(".")[:2])
    wrong = {}
    for number, verdicts in sweep(person, SWEPT).items():
        if number in gated:
            continue  # their arguments decide: see tests/sandbox/test_seccomp.py and above
        if number in allowed:
            # A kernel that does not have it yet says so itself.
            too_new = number > 434 and kernel < (6, 7) and set(verdicts) == {"ENOSYS"}
            # With some arguments the call itself says EPERM (a mode) or ENOSYS (a futex).
            is_right = too_new or "let through" in verdicts
        elif number in UNFILTERED.get(os.uname().machine, ()):
            is_right = "let through" in verdicts or set(verdicts) <= {"EPERM", "ENOSYS"}
        else:
            is_right = set(verdicts) == {"EPERM" if number <= NEWEST else "ENOSYS"}
        if not is_right:
            wrong[number] = (allowed.get(number, "not listed"), verdicts)
    assert wrong == {}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the other ABI of x86_64")
def test_every_number_of_the_other_abi_is_deadly(person: Person) -> None:
    numbers = tuple(0x40000000 + number for number in (*range(0, 600, 7), 512, 520, 547))
    assert {tuple(verdicts) for verdicts in sweep(person, numbers).values()} == {
        ("killed", "killed")
    }


INT_80 = (
    MARK
    + """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
# mov eax, 20 (getpid of 32 bit); int 0x80; ret. First without the int, to see that code runs.
for machine_code in (b"\\xb8\\x14\\0\\0\\0\\xc3", b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3"):
    code.seek(0)
    code.write(machine_code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(code))
    got = ctypes.CFUNCTYPE(ctypes.c_int)(place)()
    os.write(1, f"{got == 20} {got == os.getpid()}\\n".encode())
"""
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the gate of 32-bit x86")
def test_the_gate_of_32_bit_programs_is_deadly(person: Person) -> None:
    outside = subprocess.run([sys.executable, "-c", INT_80], capture_output=True, check=False)
    if outside.returncode:
        pytest.skip("this kernel has no 32-bit calls")
    assert outside.stdout.splitlines()[2] == b"False True"
    answer = person.run(INT_80)
    assert answer.stdout == f"{MARKER}\nTrue False\n", answer
    assert (answer.returncode, answer.stopped_by) == (-signal.SIGSYS, "killed")


def test_calls_with_arguments_at_random_leave_the_server_standing(
    person: Person, canaries: Canaries
) -> None:
    code = (
        MARK
        + """
import ctypes, random, signal
libc = ctypes.CDLL(None)
random.seed(SEED)
space = ctypes.create_string_buffer(1 << 16)
some = [0, 1, 2, 3, -1, 1 << 12, 1 << 31, 1 << 63, ctypes.addressof(space), os.getpid()]
never = {1, 20, 18, 296, 328}  # writing would only fill the output
for _ in range(60):
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        for _ in range(20):
            number = random.randrange(460)
            if number not in never:
                args = [ctypes.c_ulong(random.choice(some) % (1 << 64)) for _ in range(6)]
                libc.syscall(ctypes.c_long(number), *args)
        os._exit(0)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass
"""
    )
    for seed in range(3):
        # A call that waits for ever is let wait for as long as this.
        answer = person.run(code.replace("SEED", str(seed)), timeout_s=8)
        assert MARKER in answer.stdout
    assert person.run("print(1)").stdout == "1\n"
