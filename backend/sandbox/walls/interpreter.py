"""Which folders the interpreter and its packages need, so that nothing else has to be shown."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.sandbox.walls.interpreter_facts import Facts, facts
from backend.sandbox.walls.interpreter_inquiry import ask

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
    version: tuple[int, int]
    """Major and minor."""
    abi: str
    """What names the extension modules that it can load."""
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


def find_interpreter(
    executable: Path | None, *, allow_network: bool = False, timeout_s: float = 20
) -> Interpreter:
    """The interpreter for programs, with the packages it can import; blocks.

    Everything appears inside under its own path, so that absolute paths in scripts, libraries and
    ``pyvenv.cfg`` hold. Of a prefix only what Python reads is shown: it may be someone's home.
    Packages installed as a link to their sources elsewhere are not shown.

    Args:
        executable: a Python or a virtual environment's folder, which is asked in a process of its
            own; None is the one that runs us.
        allow_network: show the files by which names and certificates are looked up, too.
        timeout_s: seconds it may take to answer.

    Raises:
        SandboxUnavailable: programs cannot run with it; names the setting and what to do.
    """
    known = facts() if executable is None else ask(executable, timeout_s=timeout_s)
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
    packages = _package_folders(known)
    for path in (*_prefix_parts(known), *packages):
        _add(found, path)
    for path in _executables(known):
        _add_chain(found, links, path)
    for library in known.libraries:
        _add_library(found, links, library)
    return Interpreter(
        executable=known.executable,
        version=known.version,
        abi=known.abi,
        binds=tuple((source, target) for target, source in sorted(found.items())),
        links=tuple((target, place) for place, target in links.items()),
        packages=packages,
        added_packages=tuple(path for path in packages if path not in known.site_packages),
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


def _add_library(found: dict[str, str], links: dict[str, str], library: str) -> None:
    """Show a library and, beside it, the links by which its users ask for it."""
    if _is_in_packages(library) or _is_covered(found, library) or not os.path.isfile(library):
        return
    found[library] = library
    folder, name = os.path.split(library)
    pattern = f"{glob.escape(name.partition('.so')[0])}.so*"
    for path in sorted(glob.glob(pattern, root_dir=folder)):
        beside = os.path.join(folder, path)
        if os.path.islink(beside) and os.path.realpath(beside) == library:
            _add_chain(found, links, beside)


def _prefix_parts(known: Facts) -> list[str]:
    parts = []
    bases = {known.base_prefix, known.base_exec_prefix}
    for prefix in sorted({*bases, *map(os.path.realpath, bases)} - {"/"}):
        if os.path.isdir(os.path.join(prefix, "conda-meta")):
            parts.append(prefix)  # a folder of Python's own; libraries have their data in it
        parts += [os.path.join(prefix, part) for part in _PREFIX_PARTS]
    if known.prefix != known.base_prefix:
        parts += [os.path.join(known.prefix, part) for part in _VENV_PARTS]
    return [*parts, *known.standard_library]


def _executables(known: Facts) -> list[str]:
    """The interpreter, and the names beside it by which programs start it."""
    folders = {os.path.dirname(known.executable), os.path.join(known.base_prefix, "bin")}
    beside = [path for folder in sorted(folders) for path in Path(folder).glob("python*")]
    named = [str(path) for path in sorted(beside) if _NAME.fullmatch(path.name) and path.is_file()]
    return [known.executable, *named]


def _package_folders(known: Facts) -> tuple[str, ...]:
    return tuple(
        path
        for path in known.path
        if os.path.basename(path) in _PACKAGE_FOLDERS and os.path.isdir(path)
    )


def _is_in_packages(path: str) -> bool:
    return any(f"/{folder}/" in path for folder in _PACKAGE_FOLDERS)
