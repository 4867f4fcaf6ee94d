"""Which folders the interpreter and its packages need, so that nothing else has to be shown."""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/mime.types",
)
_NETWORK_FILES = (
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
)
_PREFIX_PARTS = ("lib", "lib64")
_VENV_PARTS = ("bin", "lib", "lib64", "pyvenv.cfg")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_NAME = re.compile(r"python[\d.]*")
_MAX_LINKS = 40
"""On the way to one file; the kernel follows no more either."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An interpreter with everything it reads."""

    executable: str
    binds: tuple[tuple[str, str], ...]
    """(path outside, path inside), read-only."""
    links: tuple[tuple[str, str], ...]
    """(target, path inside) of symbolic links in the root."""
    packages: tuple[str, ...]
    """Folders of packages, for ``sys.path``."""
    added_packages: tuple[str, ...]
    """Those among them that the interpreter does not look into by itself, for ``PYTHONPATH``."""

    @property
    def places(self) -> tuple[str, ...]:
        """Every path inside at which something of it is to be seen."""
        return (*(target for _, target in self.binds), *(place for _, place in self.links))


def this_interpreter(*, allow_network: bool = False) -> Interpreter:
    """The interpreter that runs us, with the packages it can import.

    Everything appears inside under its own path, so that absolute paths in scripts, libraries and
    ``pyvenv.cfg`` hold. Of a prefix only what Python reads is shown: it may be someone's home.
    """
    found: dict[str, str] = {}
    links = {}
    for path in _SYSTEM:
        if os.path.islink(path):
            links[path] = os.readlink(path)
        elif os.path.isdir(path):
            found[path] = path
    for path in _SYSTEM_FILES + (_NETWORK_FILES if allow_network else ()):
        if os.path.exists(path):
            found[path] = os.path.realpath(path)
    packages = _package_folders()
    for path in (*_prefix_parts(), *packages):
        _add(found, path)
    for path in _executables():
        _add_chain(found, links, path)
    for library in _mapped_libraries():
        _add(found, library)
    return Interpreter(
        executable=sys.executable,
        binds=tuple((source, target) for target, source in sorted(found.items())),
        links=tuple((target, place) for place, target in links.items()),
        packages=packages,
        added_packages=tuple(set(packages).difference(site.getsitepackages())),
    )


def _add(found: dict[str, str], path: str) -> None:
    """Bind a path unless a folder above it is bound already."""
    if os.path.exists(path) and not _is_covered(found, path):
        found[path] = os.path.realpath(path)


def _is_covered(found: Mapping[str, str], path: str) -> bool:
    return any(str(folder) in found for folder in Path(path).parents)


def _add_chain(found: dict[str, str], links: dict[str, str], path: str) -> None:
    """Show a file with every link that leads to it, and with nothing that lies beside them."""
    place, steps, hops = "/", path.split("/"), 0
    while steps and hops <= _MAX_LINKS:
        step = os.path.normpath(os.path.join(place, steps.pop(0)))
        is_shown = step in found or any(bound.startswith(f"{step}/") for bound in found)
        if is_shown or not os.path.islink(step):
            place = step
            continue
        target = os.readlink(step)
        if not _is_covered(found, step):
            links[step] = target
        hops += 1
        steps = [*target.split("/"), *steps]
        place = "/" if target.startswith("/") else place
    _add(found, place)


def _prefix_parts() -> list[str]:
    parts = []
    bases = {sys.base_prefix, sys.base_exec_prefix}
    for prefix in sorted({*bases, *map(os.path.realpath, bases)} - {"/"}):
        if os.path.isdir(os.path.join(prefix, "conda-meta")):
            parts.append(prefix)  # a folder of Python's own; libraries have their data in it
        parts += [os.path.join(prefix, part) for part in _PREFIX_PARTS]
    if sys.prefix != sys.base_prefix:
        parts += [os.path.join(sys.prefix, part) for part in _VENV_PARTS]
    return [*parts, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]


def _executables() -> list[str]:
    """The interpreter, and the names beside it by which programs start it."""
    folders = {os.path.dirname(sys.executable), os.path.join(sys.base_prefix, "bin")}
    beside = [path for folder in sorted(folders) for path in Path(folder).glob("python*")]
    named = [str(path) for path in sorted(beside) if _NAME.fullmatch(path.name) and path.is_file()]
    return [sys.executable, *named]


def _package_folders() -> tuple[str, ...]:
    return tuple(
        path
        for path in sys.path
        if os.path.basename(path) in _PACKAGE_FOLDERS and os.path.isdir(path)
    )


def _mapped_libraries() -> list[str]:
    """Shared libraries this process has loaded, wherever they lie: among them libpython."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")}
    return sorted(
        path
        for path in paths
        if ".so" in os.path.basename(path) and not _is_in_packages(path) and os.path.isfile(path)
    )


def _is_in_packages(path: str) -> bool:
    return any(f"/{folder}/" in path for folder in _PACKAGE_FOLDERS)
