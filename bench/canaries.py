"""Whatever a program could touch outside, watched: files and sockets."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.sandbox.walls.interpreter import find_interpreter

_SMALL = 4096
"""Bytes up to which a file's content is compared and not only its size and times."""
_PORTS = (0, 0, 5389, 8080, 8888)
"""Two of any, and those that the harmful programs ask for themselves; a taken one is left out."""
_ANSWER = b"exit\n"
_NOISE = ("__pycache__",)
"""Python itself writes there, ours outside included."""

Mark = tuple[int, ...] | tuple[str, ...]


def plant(folder: Path) -> None:
    """Put files into a folder that a harmful program would like to read, change or remove."""
    for name in ("id_rsa", "passwd", "notes/data.csv", "notes/deep/keep.txt", ".bashrc", "run.sh"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"canary {name}\n", encoding="utf-8")
        path.chmod(0o666)  # only walls keep anyone from it


def system_places() -> list[Path]:
    """What the system and the user would miss, and what is bound into the sandbox."""
    home = Path.home()
    named = ("/etc", "/var/spool/cron", "/boot", "/usr/local")
    homes = (home / each for each in (".ssh", ".bashrc", ".profile", ".config"))
    bound = (Path(outside) for outside, _ in find_interpreter(None).binds)
    places = {place.resolve() for place in (*map(Path, named), *homes, *bound) if place.exists()}
    return sorted(
        place for place in places if not any(parent in places for parent in place.parents)
    )


def snapshot(places: Iterable[Path]) -> dict[str, Mark]:
    """Path -> what would change if anyone touched it; for small files also their content."""
    return {path: mark for place in places for path, mark in _walk(str(place))}


def _walk(place: str) -> Iterable[tuple[str, Mark]]:
    pending = [place]
    while pending:
        path = pending.pop()
        try:
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode):
                names = os.listdir(path)
                pending += [os.path.join(path, each) for each in names if each not in _NOISE]
                # Its times change with anything in it, __pycache__ included.
                yield path, (found.st_mode, found.st_uid, found.st_gid)
                continue
            yield path, _mark(path, found)
        except OSError:
            continue  # gone meanwhile: it is missing in one of the two, and so is told


def _mark(path: str, found: os.stat_result) -> Mark:
    about = (found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _SMALL:
        return about
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return (*map(str, about), digest)


def differences(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> list[str]:
    """Paths that were added, removed or changed."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


@dataclass(kw_only=True)
class Visits:
    """Who came to our listeners."""

    ports: tuple[int, ...] = ()
    count: int = 0


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, visits: Visits) -> None:
        self._visits = visits

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._visits.count += 1


@asynccontextmanager
async def listeners() -> AsyncIterator[Visits]:
    """Listen on loopback, TCP and UDP; TCP visitors are told to leave."""
    visits = Visits()
    loop = asyncio.get_running_loop()

    async def welcome(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.count += 1
        writer.write(_ANSWER)
        writer.close()

    async with AsyncExitStack() as stack:
        for wanted in _PORTS:
            try:
                server = await asyncio.start_server(welcome, "127.0.0.1", wanted)
            except OSError:
                continue
            await stack.enter_async_context(server)
            port: int = server.sockets[0].getsockname()[1]
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Udp(visits), local_addr=("127.0.0.1", port)
            )
            stack.callback(transport.close)
            visits.ports = (*visits.ports, port)
        yield visits


async def prove_listeners(visits: Visits) -> bool:
    """Visit each once, as a control: a listener that counts nothing proves nothing."""
    before = visits.count
    for port in visits.ports:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"canary", ("127.0.0.1", port))
    await asyncio.sleep(0.2)
    is_proved = visits.count == before + 2 * len(visits.ports)
    visits.count = before
    return is_proved


def summary(changes: Mapping[str, list[str]]) -> list[str]:
    """A line for each kind of thing that was watched."""
    return [
        f"{len(found)} {what}" + "".join(f"\n    {each}" for each in found[:20])
        for what, found in changes.items()
    ]
