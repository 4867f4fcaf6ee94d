"""Installs what programs lack, once for all programs, where the operator allows it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.config.install_list import normalised, read_install_list
from backend.config.settings import Settings
from backend.sandbox.endings import see_through
from backend.sandbox.packages.gathering import gather
from backend.sandbox.packages.names import (
    distributions_for,
    import_names,
    imported_by,
    is_import_name,
    modules_of,
)
from backend.sandbox.packages.overlay import Conflict, Overlay, distributions_in, tree_size
from backend.sandbox.packages.pip import Pip, PipFailed
from backend.sandbox.removal import remove_tree
from backend.sandbox.walls.interpreter import Interpreter

INSTALL_SECONDS = 300.0
"""For all packages of one call, with the waiting for others who install."""
MAX_BYTES = 2 << 30
"""Of all packages that are installed together."""
_BETWEEN_TRIES_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What came of an installation. That a package was not installed is no exception."""

    names: tuple[str, ...] = ()
    """Import names, of those asked for, that programs can import now."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Import name -> why it was not installed, and what to do, in words for whoever asked."""
    distributions: Mapping[str, str] = field(default_factory=dict)
    """What was installed, with what that needed: normalised name -> version."""
    duration_s: float = 0.0


class PackageInstaller:
    """Knows what programs can import, and adds to it what is on the operator's list.

    Wheels only, fetched by pip of the programs' own interpreter from wherever that is configured
    to; nothing of a package runs but in the sandbox, where it is read-only. What the interpreter
    has itself is never replaced, nor hidden.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        overlay: Overlay | None,
        listed: Mapping[str, str],
        *,
        timeout_s: float = INSTALL_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._interpreter = interpreter
        self._overlay = overlay
        self._listed = listed
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._pip = Pip(executable=interpreter.executable, max_bytes=max_bytes)

    @classmethod
    def opened(cls, settings: Settings, interpreter: Interpreter) -> PackageInstaller:
        """The one that the settings ask for; blocks.

        Raises:
            SandboxUnavailable: packages may be installed, and their folder cannot be used.
        """
        listed = read_install_list(settings.install_list)
        if not settings.allow_install:
            return cls(interpreter, None, listed)
        return cls(interpreter, Overlay.opened(settings.data_dir, interpreter), listed)

    @property
    def folder(self) -> Path | None:
        """What programs are to be shown; None where nothing may be installed."""
        return self._overlay.shown if self._overlay is not None else None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of packages that the programs' interpreter has itself."""
        return self._interpreter.packages

    def overlay_names(self) -> frozenset[str]:
        """Import names of what has been installed; reads a folder."""
        return self._overlay.names() if self._overlay is not None else frozenset()

    def installable(self) -> frozenset[str]:
        """Import names of what is on the list, and of what has been installed; reads a folder."""
        if self._overlay is None:
            return frozenset()
        return modules_of(self._listed.keys()) | self.overlay_names()

    def available(self) -> frozenset[str]:
        """Import names of everything outside of the standard library that programs have."""
        return import_names(self._interpreter.packages) | self.overlay_names()

    def missing(self, code: str, known_modules: Collection[str] = ()) -> tuple[str, ...]:
        """Import names that a program needs and that are not there; blocks for milliseconds.

        Args:
            code: the program; it is parsed, never run.
            known_modules: import names that lie beside the program.
        """
        return tuple(sorted(imported_by(code) - self.available() - set(known_modules)))

    async def install(self, wanted: Iterable[str]) -> Installed:
        """Install what brings these modules, unless it is there; others wait meanwhile.

        Cancelling ends pip, and shows nothing of what it was at.

        Args:
            wanted: import names, such as ``PIL``; of ``a.b`` the first part.
        """
        began = time.monotonic()
        tops = dict.fromkeys(name.partition(".")[0] or name for name in wanted)
        available = await asyncio.to_thread(self.available)
        work = _Work(names=[name for name in tops if name in available])
        for name in tops:
            if name not in available:
                self._sort(name, work)
        if work.waiting and self._overlay is not None:
            await self._install_all(self._overlay, work)
        return Installed(
            names=tuple(work.names),
            refused=work.refused,
            distributions=work.distributions,
            duration_s=time.monotonic() - began,
        )

    def _sort(self, name: str, work: _Work) -> None:
        """Put a name among what is to be installed, or say why it is not."""
        if not is_import_name(name):
            work.refused[name] = f"{name[:80]!r} is no name of a module."
            return
        if name in sys.stdlib_module_names:
            work.refused[name] = f"{name} belongs to Python itself and cannot be installed."
            return
        candidates = distributions_for(name)
        found = next((each for each in candidates if normalised(each) in self._listed), None)
        if self._overlay is None:
            work.refused[name] = (
                f"{name} is not installed, and nothing may be. Whoever runs this machine can set "
                f"PYTHON_CODE_ALLOW_INSTALL=true and put {candidates[0]} on PYTHON_CODE_INSTALL_LIST."
            )
        elif found is None:
            work.refused[name] = (
                f"{name} is not installed, and {candidates[0]} is not among what may be. Whoever "
                f"runs this machine can add {candidates[0]} to PYTHON_CODE_INSTALL_LIST."
            )
        else:
            work.waiting[name] = normalised(found)

    async def _install_all(self, overlay: Overlay, work: _Work) -> None:
        try:
            async with asyncio.timeout(self._timeout_s), _alone(overlay):
                await asyncio.to_thread(overlay.sweep)
                for name, distribution in list(work.waiting.items()):
                    await self._install_one(overlay, name, distribution, work)
                    del work.waiting[name]
        except TimeoutError:
            for name, distribution in work.waiting.items():
                work.refused[name] = (
                    f"{distribution} was not installed within {self._timeout_s:g} seconds. See that "
                    "the package index is fast enough, then ask again."
                )

    async def _install_one(
        self, overlay: Overlay, name: str, distribution: str, work: _Work
    ) -> None:
        if name in await asyncio.to_thread(overlay.names):
            work.names.append(name)  # someone else was at it
            return
        try:
            work.distributions.update(await self._add(overlay, name, distribution))
            work.names.append(name)
        except PipFailed as error:
            work.refused[name] = f"{distribution} was not installed. {error}"
        except OSError as error:
            why = error.strerror or str(error)
            work.refused[name] = (
                f"{distribution} was not installed: {why}. See that PYTHON_CODER_DATA_DIR can be "
                "written to and has room."
            )

    async def _add(self, overlay: Overlay, name: str, distribution: str) -> Mapping[str, str]:
        """Fetch, look at, show. Returns what is new."""
        staging = overlay.new_staging()
        try:
            present = await asyncio.to_thread(self._present, overlay)
            if distribution in present:
                raise PipFailed(f"Version {present[distribution]} is there, without {name!r}.")
            specifiers = self._listed[distribution]
            gathered = await gather(self._pip, distribution, specifiers, present, staging)
            await see_through(asyncio.to_thread(self._show, overlay, name, staging, gathered.parts))
            return gathered.versions
        finally:
            await see_through(asyncio.to_thread(remove_tree, staging))

    def _present(self, overlay: Overlay) -> Mapping[str, str]:
        # The interpreter's own come first on the path, and so they do here.
        return {**overlay.distributions(), **distributions_in(self._interpreter.packages)}

    def _show(self, overlay: Overlay, name: str, staging: Path, parts: list[Path]) -> None:
        if name not in import_names(parts):
            raise PipFailed(f"It has no module {name!r}.")
        if overlay.size() + sum(map(tree_size, parts)) > self._max_bytes:
            raise PipFailed(f"Packages may have {self._max_bytes >> 20} MiB together.")
        try:
            overlay.publish(staging, parts)
        except Conflict as error:
            raise PipFailed(f"It would change {error} of a package that is installed.") from error


@dataclass(kw_only=True)
class _Work:
    """One call's names, as they are sorted."""

    names: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    """Import name -> normalised name of the distribution to install."""
    refused: dict[str, str] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def _alone(overlay: Overlay) -> AsyncIterator[None]:
    """Wait until nobody else installs, in this process or another one."""
    # The kernel wakes only threads, and one that waits for this cannot be cancelled.
    while (lock := overlay.try_lock()) is None:  # noqa: ASYNC110
        await asyncio.sleep(_BETWEEN_TRIES_SECONDS)
    try:
        yield
    finally:
        os.close(lock)
