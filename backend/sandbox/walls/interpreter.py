"""Which folders the interpreter and its packages need, so that nothing else has to be shown."""

from __future__ import annotations

import os
import site
import sys
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
_VENV_PARTS = ("bin", "lib", "lib64", "pyvenv.cfg")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


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


def this_interpreter(*, allow_network: bool = False) -> Interpreter:
    """The interpreter that runs us, with the packages it can import.

    Everything appears inside under its own path, so that absolute paths in scripts, libraries and
    ``pyvenv.cfg`` hold.
    """
    found: dict[str, str] = {}
    links = []
    for path in _SYSTEM:
        if os.path.islink(path):
            links.append((os.readlink(path), path))
        elif os.path.isdir(path):
            found[path] = path
    for path in _SYSTEM_FILES + (_NETWORK_FILES if allow_network else ()):
        if os.path.exists(path):
            found[path] = os.path.realpath(path)
    packages = _package_folders()
    for path in (*_interpreter_folders(), *packages):
        _add(found, path)
    for library in _mapped_libraries():
        _add(found, library)
    return Interpreter(
        executable=sys.executable,
        binds=tuple((source, target) for target, source in sorted(found.items())),
        links=tuple(links),
        packages=packages,
        added_packages=tuple(set(packages).difference(site.getsitepackages())),
    )


def _add(found: dict[str, str], path: str) -> None:
    """Bind a path unless a folder above it is bound already."""
    above = Path(path).parents
    if os.path.exists(path) and not any(str(folder) in found for folder in above):
        found[path] = os.path.realpath(path)


def _interpreter_folders() -> list[str]:
    folders = [sys.base_prefix, os.path.realpath(sys.base_prefix)]
    # A virtual environment's python is a link, often to a link: every stop has to exist.
    stop = sys.executable
    while os.path.islink(stop):
        stop = os.path.normpath(os.path.join(os.path.dirname(stop), os.readlink(stop)))
        if os.path.dirname(stop) != os.path.dirname(sys.executable):
            folders.append(os.path.dirname(os.path.dirname(stop)))
    if sys.prefix != sys.base_prefix:
        folders += [os.path.join(sys.prefix, part) for part in _VENV_PARTS]
    return [folder for folder in folders if folder != "/"]


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
