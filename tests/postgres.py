"""PostgreSQL for tests: a cluster of their own in a temporary folder, and a database for each.

All workers of a run share one cluster. Its keeper is a process that ends it when the last of them
is gone, however they went: each holds one end of a pipe open.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

MISSING = (
    "PostgreSQL is not installed: `apt-get install postgresql` (or your distribution's package)"
)
_USER = "tests"
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
_STARTS_S = 60
"""Seconds until a cluster answers, on a machine that has much else to do."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running PostgreSQL that takes connections through a socket in its folder."""

    folder: Path

    def url(self, database: str) -> str:
        """The URL of one of its databases, as ``DATABASE_URL`` takes it."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}"

    @contextmanager
    def database(self, encoding: str = "UTF8") -> Iterator[str]:
        """The URL of a fresh, empty database that is dropped afterwards, whoever uses it still."""
        import psycopg

        name = f"t{secrets.token_hex(8)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" ENCODING {encoding} TEMPLATE template0')
            try:
                yield self.url(name)
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this run of tests; ``database()`` makes a database in it."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip(MISSING)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with ExitStack() as stack:
        with _locked(shared):
            folder, pipe = _join(shared) or _start(shared, programs)
        stack.callback(os.close, pipe)
        yield Cluster(folder=folder)


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """``DATABASE_URL`` of a fresh, empty PostgreSQL database of this test's own."""
    with postgres.database() as url:
        yield url


def _programs() -> Path | None:
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    newest = sorted(places, key=lambda place: _version(place.parent.name), reverse=True)
    found = shutil.which("initdb")
    candidates = [*newest, *([Path(found).resolve().parent] if found else [])]
    return next((place for place in candidates if (place / "initdb").is_file()), None)


def _version(name: str) -> float:
    number = name.removeprefix("pgsql-")
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0


@contextmanager
def _locked(shared: Path) -> Iterator[None]:
    with (shared / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _join(shared: Path) -> tuple[Path, int] | None:
    """The cluster that another worker has started, unless it is gone already."""
    with suppress(OSError):
        folder = Path((shared / "postgres.folder").read_text(encoding="utf-8"))
        return folder, os.open(folder.parent / "users", os.O_WRONLY | os.O_NONBLOCK)
    return None


def _start(shared: Path, programs: Path) -> tuple[Path, int]:
    # Not below pytest's own folder: only root may enter that, and PostgreSQL never runs as root.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    home.chmod(0o711)
    folder = home / "s"
    folder.mkdir(mode=0o700)
    os.mkfifo(home / "users")
    command = [sys.executable, __file__, str(shared), str(home), str(programs)]
    keeper = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert keeper.stdout is not None
    with keeper, keeper.stdout as said:
        answer = said.readline().strip()
    if answer != "ready":
        pytest.fail(f"PostgreSQL did not start: {answer}")
    (shared / "postgres.folder").write_text(str(folder), encoding="utf-8")
    return folder, os.open(home / "users", os.O_WRONLY | os.O_NONBLOCK)


def _keep(shared: Path, home: Path, programs: Path) -> None:
    """Run a cluster until nobody holds the other end of the pipe any more."""
    users = os.open(home / "users", os.O_RDONLY | os.O_NONBLOCK)
    folder = home / "s"
    who = _unprivileged()
    identity: dict[str, object] = {}
    if who is not None:
        os.chown(folder, who.pw_uid, who.pw_gid)
        identity = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", _USER, "--auth=trust"]
    initdb += ["--no-sync", "--no-locale", "--encoding=UTF8"]
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", str(_STARTS_S)]
    options = " ".join(f"-c {name}='{value}'" for name, value in _OPTIONS.items())
    start = [*control, "-l", str(folder / "log"), "-o", f"{options} -k {folder}", "start"]
    try:
        for step in (initdb, start):
            done = subprocess.run(step, cwd=folder, capture_output=True, text=True, **identity)  # type: ignore[call-overload]
            if done.returncode:
                print(" ".join((done.stderr or done.stdout).split()), flush=True)
                return
        print("ready", flush=True)
        _wait_for_the_last(shared, users)
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, cwd=folder, capture_output=True, **identity)  # type: ignore[call-overload]
        shutil.rmtree(home, ignore_errors=True)


def _wait_for_the_last(shared: Path, users: int) -> None:
    poll = select.poll()
    poll.register(users, select.POLLIN)
    while True:
        poll.poll(_STARTS_S * 1000)  # the last has gone, or not even the first has come
        with suppress(FileNotFoundError), _locked(shared):
            try:
                os.read(users, 1)
            except BlockingIOError:
                continue
            (shared / "postgres.folder").unlink(missing_ok=True)
        return


def _unprivileged() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LookupError("there is neither a user postgres nor nobody")


if __name__ == "__main__":
    # It outlives the worker that starts it where others need it still: nobody waits for its end.
    if os.fork() == 0:
        _keep(*(Path(argument) for argument in sys.argv[1:4]))
