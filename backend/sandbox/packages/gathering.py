"""A package with all that it needs and that is not there yet: fetched, nothing of it run.

pip itself would build what a package's metadata names by address, and so run its code here. So it
installs without dependencies, and what these are is read from its reports.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from backend.config.install_list import normalised
from backend.sandbox.packages.overlay import clean
from backend.sandbox.packages.pip import Pip, PipFailed

_MAX_DISTRIBUTIONS = 100
_MAX_ATTEMPTS = 5
"""Each knows a bound more than the one before it."""


class _TooWide(Exception):
    """A version was chosen that something which came later does not go together with."""


@dataclass(kw_only=True)
class _Found:
    """What an attempt has fetched so far."""

    parts: list[Path] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    requirements: dict[str, list[Requirement]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What is to be shown to programs."""

    parts: list[Path]
    """Folders of packages, cleaned."""
    versions: Mapping[str, str]
    """Normalised names of all that is new -> version."""


async def gather(
    pip: Pip, name: str, specifiers: str, present: Mapping[str, str], staging: Path
) -> Gathered:
    """Fetch a distribution and what it needs; what is present stays as it is.

    Args:
        pip: what fetches.
        name: normalised name of the distribution.
        specifiers: which of its versions are allowed, '' for any.
        present: normalised names of what programs can import already -> version.
        staging: where to put it all.

    Raises:
        PipFailed: it cannot be had, or not beside what is present.
    """
    bounds: dict[str, SpecifierSet] = defaultdict(SpecifierSet, {name: SpecifierSet(specifiers)})
    for attempt in range(_MAX_ATTEMPTS):
        try:
            folder = await asyncio.to_thread(_made, staging / f"attempt-{attempt}")
            return await _attempt(pip, name, bounds, present, folder)
        except _TooWide:
            continue
    raise PipFailed("No versions of what it needs were found that go together.")


async def _attempt(
    pip: Pip,
    name: str,
    bounds: dict[str, SpecifierSet],
    present: Mapping[str, str],
    staging: Path,
) -> Gathered:
    found = _Found()
    waiting = [name]
    while waiting:
        if len(found.versions) + len(waiting) > _MAX_DISTRIBUTIONS:
            raise PipFailed(f"It needs more than {_MAX_DISTRIBUTIONS} packages that are not there.")
        target = staging / str(len(found.parts))
        report = await pip.install([f"{each}{bounds[each]}" for each in waiting], target, staging)
        await asyncio.to_thread(clean, target)
        found.parts.append(target)
        found.environment.update(report.environment)
        for package in report.packages:
            _note(found, package)
        waiting = _lacking(found, name, bounds, present)
    return Gathered(parts=found.parts, versions=found.versions)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _note(found: _Found, package: Mapping[str, Any]) -> None:
    name = normalised(str(package.get("name", "")))
    found.versions[name] = str(package.get("version", ""))
    try:
        needs = [Requirement(str(text)) for text in package.get("requires_dist") or ()]
    except InvalidRequirement as error:
        raise PipFailed(f"The metadata of {name} cannot be read: {error}.") from error
    found.requirements[name] = needs


def _lacking(
    found: _Found, root: str, bounds: dict[str, SpecifierSet], present: Mapping[str, str]
) -> list[str]:
    """What is needed and neither present nor fetched; the bounds of everything are kept up."""
    lacking: dict[str, None] = {}
    for by, need in _needs(found, root):
        name = normalised(need.name)
        if need.url:
            raise PipFailed(f"{by} needs {name} from an address of its own, which is refused.")
        if any(clause.operator == "===" for clause in need.specifier):
            # It may hold any text at all, and is to be read by pip.
            raise PipFailed(f"{by} needs {name} by a version that is none, which is refused.")
        if name in present:
            _require_fit(by, need, present[name])
            continue
        bounds[name] &= need.specifier
        if name not in found.versions:
            lacking[name] = None
        elif not need.specifier.contains(found.versions[name], prereleases=True):
            raise _TooWide
    return list(lacking)


def _needs(found: _Found, root: str) -> Iterator[tuple[str, Requirement]]:
    """Every requirement that counts here, extras included, with the name of who has it."""
    seen: set[tuple[str, str]] = set()
    waiting = [(root, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in found.requirements:
            continue
        seen.add((name, extra))
        for need in found.requirements[name]:
            if need.marker is None or need.marker.evaluate({**found.environment, "extra": extra}):
                yield name, need
                waiting += [(normalised(need.name), each) for each in ("", *need.extras)]


def _require_fit(by: str, need: Requirement, version: str) -> None:
    if not need.specifier.contains(version, prereleases=True):
        raise PipFailed(
            f"{by} needs {need.name}{need.specifier}, and programs have {need.name} {version}, "
            "which stays as it is. Allow another version of it in PYTHON_CODE_INSTALL_LIST, or "
            "change the programs' environment yourself."
        )
