"""A PostgreSQL of our own for measuring: the distribution's, with its own defaults, in a folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STARTS_S = 60
_USER = "bench"


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``; None where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve().parent)
    return next((place for place in places if (place / "initdb").is_file()), None)


@contextmanager
def postgres_cluster(programs: Path) -> Iterator[str]:
    """The URL of an empty database; the cluster ends with the context.

    Raises:
        RuntimeError: it does not start.
    """
    # Its own user has to get there, and PostgreSQL never runs as root.
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    home.chmod(0o711)
    folder = home / "s"
    folder.mkdir(mode=0o700)
    identity: dict[str, Any] = {}
    if os.getuid() == 0:
        who = pwd.getpwnam("postgres")
        os.chown(folder, who.pw_uid, who.pw_gid)
        identity = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    data = folder / "data"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", str(_STARTS_S)]
    options = f"-c listen_addresses='' -k {folder}"

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **identity)
        if done.returncode:
            raise RuntimeError(" ".join((done.stderr or done.stdout).split()))

    try:
        run(
            *(str(programs / "initdb"), "-D", str(data), "-U", _USER),
            *("--auth=trust", "--no-locale", "--encoding=UTF8"),
        )
        run(*control, "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://{_USER}@/postgres?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
