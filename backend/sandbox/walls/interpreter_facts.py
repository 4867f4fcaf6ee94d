"""What a Python says of itself; our own in this process, another one in a process of its own.

Another Python (3.10 or newer) is given the source of this module: it imports the standard library
only, and that by name.
"""

from __future__ import annotations

import importlib
import json
import site
import sys
import sysconfig
from contextlib import suppress
from dataclasses import asdict, dataclass

_LIBRARY_USERS = ("bz2", "ctypes", "lzma", "sqlite3", "ssl", "zlib")
"""Modules whose shared libraries may lie anywhere, and are seen once they are loaded."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Where a Python has its parts, as it would say itself."""

    implementation: str
    version: tuple[int, int]
    abi: str
    """What names the extension modules that it can load."""
    executable: str
    prefix: str
    base_prefix: str
    base_exec_prefix: str
    standard_library: tuple[str, ...]
    path: tuple[str, ...]
    """``sys.path``."""
    site_packages: tuple[str, ...]
    """Folders of packages that it looks into by itself."""
    libraries: tuple[str, ...]
    """Shared libraries it has loaded."""


def facts() -> Facts:
    """The facts of the Python that runs this."""
    return Facts(
        implementation=sys.implementation.name,
        version=sys.version_info[:2],
        abi=str(sysconfig.get_config_var("SOABI") or ""),
        executable=sys.executable,
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        base_exec_prefix=sys.base_exec_prefix,
        standard_library=(sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")),
        path=tuple(sys.path),
        site_packages=tuple(site.getsitepackages()),
        libraries=_libraries(),
    )


def as_json() -> str:
    """The same, of a Python that was started for this alone; one line."""
    for name in _LIBRARY_USERS:
        with suppress(ImportError):
            importlib.import_module(name)
    return json.dumps(asdict(facts()))


def _libraries() -> tuple[str, ...]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    return tuple(sorted(path for path in paths if ".so" in path.rpartition("/")[2]))
