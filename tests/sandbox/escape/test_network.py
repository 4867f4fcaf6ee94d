"""The network: other machines, and what listens on this one."""

from __future__ import annotations

import os
import socket

import pytest

from backend.config.settings import Settings
from backend.sandbox import ExecutionRequest, Executor, open_executor
from tests.sandbox.conftest import MARK, refused
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import CALLS, REACHED, Attack, contained, reaches
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

REFUSED = "EPERM"
ANYTHING = ".*"
"""Depends on the kernel's modules or on rights that the test may not have."""

ATTACKS = (
    Attack(
        id="sockets that are no unix sockets",
        code=CALLS
        + """
import socket as s
attempt("unix", lambda: s.socket(s.AF_UNIX))
attempt("unix pair", lambda: s.socketpair())
attempt("tcp", lambda: s.socket(s.AF_INET))
attempt("tcp 6", lambda: s.socket(s.AF_INET6))
attempt("udp", lambda: s.socket(s.AF_INET, s.SOCK_DGRAM))
attempt("udp 6", lambda: s.socket(s.AF_INET6, s.SOCK_DGRAM))
attempt("netlink", lambda: s.socket(s.AF_NETLINK, s.SOCK_RAW, 0))
attempt("netlink to the kernel's log", lambda: s.socket(s.AF_NETLINK, s.SOCK_RAW, 15))
attempt("ping", lambda: s.socket(s.AF_INET, s.SOCK_DGRAM, s.IPPROTO_ICMP))
attempt("raw", lambda: s.socket(s.AF_INET, s.SOCK_RAW, s.IPPROTO_ICMP))
attempt("packet", lambda: s.socket(s.AF_PACKET, s.SOCK_RAW))
attempt("kernel crypto", lambda: s.socket(38, s.SOCK_SEQPACKET))
attempt("vsock", lambda: s.socket(40, s.SOCK_STREAM))
attempt("xdp", lambda: s.socket(44, s.SOCK_RAW))
attempt("bluetooth", lambda: s.socket(31, s.SOCK_RAW))
attempt("rxrpc", lambda: s.socket(33, s.SOCK_DGRAM))
attempt("tipc", lambda: s.socket(30, s.SOCK_STREAM))
attempt("pair that is no unix pair", lambda: s.socketpair(s.AF_INET))
attempt("high bits", lambda: call(41, 198, 1 << 32 | 2, 1, 0))
def one_of_them():
    for family in range(2, 64):
        for kind in range(1, 11):
            try:
                s.socket(family, kind)
                return family, kind
            except PermissionError:
                pass
    raise PermissionError(errno.EPERM, "all refused")
attempt("any family and type", one_of_them)
""",
        inside={
            "unix": REACHED,
            "unix pair": REACHED,
            **dict.fromkeys(
                ["tcp", "tcp 6", "udp", "udp 6", "netlink", "netlink to the kernel's log"], REFUSED
            ),
            **dict.fromkeys(
                ["ping", "raw", "packet", "kernel crypto", "vsock", "xdp", "bluetooth"], REFUSED
            ),
            **dict.fromkeys(
                ["rxrpc", "tipc", "pair that is no unix pair", "high bits", "any family and type"],
                REFUSED,
            ),
        },
        outside={
            **dict.fromkeys(["unix", "unix pair", "tcp", "udp", "netlink"], REACHED),
            **dict.fromkeys(["tcp 6", "udp 6", "netlink to the kernel's log"], ANYTHING),
            **dict.fromkeys(
                ["ping", "raw", "packet", "kernel crypto", "vsock", "xdp", "bluetooth"], ANYTHING
            ),
            **dict.fromkeys(["rxrpc", "tipc", "pair that is no unix pair"], ANYTHING),
            **dict.fromkeys(["high bits", "any family and type"], REACHED),
        },
    ),
    Attack(
        id="services of the host",
        code="""
import socket, subprocess, urllib.request
def shell():
    line = "exec 3<>/dev/tcp/127.0.0.1/@PORT4@"
    if subprocess.run(["bash", "-c", line], capture_output=True).returncode:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
def page():
    return urllib.request.urlopen("http://127.0.0.1:@PORT4@", timeout=1).status
def datagram():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", @UDP@))
def unix(address):
    return lambda: socket.socket(socket.AF_UNIX).connect(address)
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", @PORT4@), 2))
attempt("udp", datagram)
attempt("by a shell", shell)
attempt("a page", page)
attempt("abstract", unix("\\0@ABSTRACT@"))
attempt("path", unix("@PATH@"))
attempt("path through the root", unix("/proc/self/root@PATH@"))
os.chdir("/tmp")
own = socket.socket(socket.AF_UNIX)
own.bind("\\0" + os.urandom(8).hex())
own.listen()
attempt("its own", unix(own.getsockname()))
""",
        inside={
            "tcp": REFUSED,
            "udp": REFUSED,
            "by a shell": "ECONNREFUSED",
            "a page": "URLError",
            "abstract": "ECONNREFUSED|EPERM",
            "path": "ENOENT|EACCES",
            "path through the root": "ENOENT|EACCES",
            "its own": REACHED,
        },
        outside={
            **dict.fromkeys(["tcp", "udp", "by a shell", "abstract", "path"], REACHED),
            "path through the root": REACHED,
            "a page": "TimeoutError|URLError",  # reached, and given no page
            "its own": REACHED,
        },
    ),
    Attack(
        id="names",
        code="""
import socket
attempt("of the world", lambda: socket.getaddrinfo("example.org", 80))
attempt("of a service", lambda: socket.gethostbyname_ex("example.org"))
attempt("backwards", lambda: socket.gethostbyaddr("8.8.8.8"))
attempt("of this machine", lambda: [n for n in [socket.gethostname()] if n != "sandbox"][0])
""",
        inside={
            "of the world": "gaierror",
            "of a service": "gaierror",
            "backwards": "gaierror|herror|ENOENT",
            "of this machine": "IndexError",
        },
        outside={
            **dict.fromkeys(["of the world", "of a service", "backwards"], ANYTHING),
            "of this machine": REACHED,
        },
    ),
    Attack(
        id="what the kernel tells of the network",
        code="""
import socket
def listed(file, word):
    def look():
        if word not in open(file).read():
            raise FileNotFoundError(errno.ENOENT, "not listed")
    return look
own = socket.socket(socket.AF_UNIX)
own.bind("\\0own-socket")
own.listen()
attempt("unix sockets", listed("/proc/net/unix", "@ABSTRACT@"))
attempt("tcp sockets", listed("/proc/net/tcp", f":{@PORT4@:04X}"))
attempt("through the keeper", listed("/proc/1/net/unix", "@ABSTRACT@"))
attempt("its own", listed("/proc/self/net/unix", "own-socket"))
attempt("interfaces", lambda: [n for _, n in socket.if_nameindex() if n != "lo"][0])
""",
        inside={
            "unix sockets": "ENOENT",
            "tcp sockets": "ENOENT",
            "through the keeper": "ENOENT|EACCES|EINVAL",
            "its own": f"{REACHED}|ENOENT",
            "interfaces": "EPERM|IndexError",
        },
        outside={
            "unix sockets": REACHED,
            "tcp sockets": REACHED,
            "through the keeper": ANYTHING,
            "its own": REACHED,
            "interfaces": ANYTHING,
        },
    ),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_is_contained(person: Person, attack: Attack, canaries: Canaries, check: bool) -> None:
    contained(person, attack, canaries, check=check)
    assert canaries.visits() == []


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_without_the_walls_it_succeeds(attack: Attack, canaries: Canaries) -> None:
    reaches(attack, canaries)
    visits = canaries.visits()
    if attack.id == "services of the host":
        assert {"ipv4", "udp", "abstract", "path"} <= set(visits)


def test_a_listener_on_ipv6_is_not_reached(person: Person, canaries: Canaries) -> None:
    attack = Attack(
        id="ipv6",
        code="import socket\n"
        'attempt("tcp 6", lambda: socket.create_connection(("::1", @PORT6@), 2))',
        inside={"tcp 6": REFUSED},
        outside={"tcp 6": REACHED},
    )
    contained(person, attack, canaries, check=False)
    assert canaries.visits() == []
    if canaries.fill("@PORT6@") == "0":
        pytest.skip("this machine has no IPv6 to show the way with")
    reaches(attack, canaries)
    assert canaries.visits() == ["ipv6"]


async def test_with_the_network_allowed_an_abstract_socket_still_is_not(
    settings: Settings, executor: Executor
) -> None:
    assert executor.isolation
    if not any(wall in executor.isolation.walls for wall in ("landlock abi 6", "landlock abi 7")):
        pytest.skip("needs a kernel with Landlock ABI 6 (Linux 6.12)")
    name = f"\0canary-net-{os.getpid()}"
    lenient = settings.model_copy(update={"allow_network": True})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        async with open_executor("local", lenient) as opened:
            code = MARK + f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
            refused(await opened.run(ExecutionRequest(code=code)), "PermissionError")
