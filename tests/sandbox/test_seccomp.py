"""The filter, run by a small interpreter of classic BPF: every number, on both architectures."""

from __future__ import annotations

import struct

import pytest

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.seccomp import MACHINES, build_filter
from backend.sandbox.walls.syscalls import ALLOWED, GATED

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARCHITECTURES = sorted(MACHINES)


def verdict(program: bytes, number: int, *args: int, audit: int) -> int:
    """What the kernel would answer to a call (semantics: Documentation/networking/filter.rst)."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *(*args, *[0] * (6 - len(args))))
    code = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        operation, if_true, if_false, value = code[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif operation == 0x06:
            return value
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            position += if_true if holds else if_false


def ask(machine: str, call: str | int, *args: int, network: bool = False) -> int:
    here = MACHINES[machine]
    number = {**ALLOWED, **GATED}[call][here.column] if isinstance(call, str) else call
    assert number is not None
    program = build_filter(machine=machine, allow_network=network)
    return verdict(program, number, *args, audit=here.audit)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    here = MACHINES[machine]
    program = build_filter(machine=machine)
    listed = {numbers[here.column] for numbers in ALLOWED.values()}
    gated = {numbers[here.column] for numbers in GATED.values()}
    for number in set(range(1000)) - gated:
        expected = ALLOW if number in listed else EPERM if number <= 456 else ENOSYS
        assert verdict(program, number, audit=here.audit) == expected, number


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("call", "args", "answer"),
    [
        pytest.param("clone", (0x00000011,), ALLOW, id="fork"),
        pytest.param("clone", (0x003D0F00,), ALLOW, id="thread"),
        pytest.param("clone", (0x10000011,), EPERM, id="user namespace"),
        pytest.param("clone", (0x00020011,), EPERM, id="mount namespace"),
        pytest.param("clone", (0x40000011,), EPERM, id="network namespace"),
        pytest.param("clone3", (0,), ENOSYS, id="clone3"),
        pytest.param("memfd_create", (0,), ENOSYS, id="memory file"),
        pytest.param("socket", (1,), ALLOW, id="unix socket"),
        pytest.param("socket", (2,), EPERM, id="inet socket"),
        pytest.param("socket", (1 << 32 | 2,), EPERM, id="inet socket, high bits"),
        pytest.param("socket", (38,), EPERM, id="kernel crypto"),
        pytest.param("socketpair", (1,), ALLOW, id="unix pair"),
        pytest.param("socketpair", (2,), EPERM, id="inet pair"),
        pytest.param("ioctl", (0, 0x5401), ALLOW, id="TCGETS"),
        pytest.param("ioctl", (0, 0x5412), EPERM, id="TIOCSTI"),
        pytest.param("ioctl", (0, 0x541C), EPERM, id="TIOCLINUX"),
        pytest.param("ioctl", (0, 1 << 32 | 0x5412), EPERM, id="TIOCSTI, high bits"),
        pytest.param("fcntl", (0, 1031), ALLOW, id="size of a pipe"),
        pytest.param("fcntl", (0, 1024), EPERM, id="lease"),
        pytest.param("fcntl", (0, 1026), EPERM, id="told of reading"),
        pytest.param("prlimit64", (0, 7), ALLOW, id="own limits"),
        pytest.param("prlimit64", (1, 7), EPERM, id="another's limits"),
        pytest.param("sched_setaffinity", (0,), ALLOW, id="own processors"),
        pytest.param("sched_setaffinity", (7,), ALLOW, id="a thread's processors"),
        pytest.param("sched_setaffinity", (1,), EPERM, id="the keeper's processors"),
        pytest.param("sched_setscheduler", (1, 5), EPERM, id="the keeper's turns"),
        pytest.param("sched_setattr", (1 << 32 | 1,), EPERM, id="the keeper's turns, high bits"),
        pytest.param("setpriority", (0, 0, 5), ALLOW, id="own priority"),
        pytest.param("setpriority", (0, 1, 19), EPERM, id="the keeper's priority"),
        pytest.param("setpriority", (1, 0, 19), EPERM, id="a group's priority"),
        pytest.param("setpriority", (2, 0, 19), EPERM, id="a user's priority"),
        pytest.param("prctl", (15,), ALLOW, id="name"),
        pytest.param("prctl", (35,), EPERM, id="PR_SET_MM"),
    ],
)
def test_some_calls_depend_on_their_arguments(
    machine: str, call: str, args: tuple[int, ...], answer: int
) -> None:
    assert ask(machine, call, *args) == answer


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_an_allowed_network_opens_internet_sockets_only(machine: str) -> None:
    answers = {family: ask(machine, "socket", family, network=True) for family in range(50)}
    assert {family for family, answer in answers.items() if answer == ALLOW} == {1, 2, 10, 16}
    assert ask(machine, "socketpair", 2, network=True) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_foreign_architecture_is_killed(machine: str) -> None:
    program = build_filter(machine=machine)
    for audit in (0x40000003, 0x40000028, *(m.audit for m in MACHINES.values())):
        answer = verdict(program, 0, audit=audit)
        assert (answer == KILL) is (audit != MACHINES[machine].audit)


def test_x32_is_killed() -> None:
    assert ask("x86_64", 0x40000000 + 39) == KILL


@pytest.mark.parametrize(
    "name", ["ptrace", "mount", "bpf", "keyctl", "unshare", "setns", "execvefoo"]
)
def test_what_is_dangerous_is_on_no_list(name: str) -> None:
    assert name not in ALLOWED
    assert name not in GATED


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="riscv64"):
        build_filter(machine="riscv64")
