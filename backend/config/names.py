"""Names that look like settings and are none: a slip that would otherwise be silently ignored."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from dotenv import dotenv_values

from backend.errors import SettingsError

_PREFIXES = ("PYTHON_CODE_", "PYTHON_CODER_")
READ_ELSEWHERE = frozenset({"PYTHON_CODER_CONFIG", "PYTHON_CODER_ENV_FILE", "PYTHON_CODER_CORPORA"})
"""Variables of the environment that say where things are, and are not settings."""


def refuse_unknown(known: Iterable[str], dotenv: Path | None, config: Path | None) -> None:
    """Refuse a name that begins like a setting's, or any in our own file, and is not ``known``.

    Args:
        known: every name that is read, in capitals.
        dotenv: the ``.env`` in force; it may hold other programs' variables too.
        config: the YAML file in force, which is ours alone.

    Raises:
        SettingsError: names the name, where it stands, and what may have been meant.
    """
    names = sorted(known)
    for name, place in _found(dotenv, config):
        if name.upper() in names:
            continue
        near = difflib.get_close_matches(name.upper(), names, n=1)
        raise SettingsError(
            f"{name} in {place} is not a setting.",
            f"Did you mean {near[0]}?" if near else "Remove it; .env.example has every setting.",
        )


def _found(dotenv: Path | None, config: Path | None) -> Iterator[tuple[str, str]]:
    for name in sorted(set(os.environ) - READ_ELSEWHERE):
        if name.startswith(_PREFIXES):
            yield name, "the environment"
    if dotenv is not None:
        for name in dotenv_values(dotenv, encoding="utf-8"):
            if name.upper().startswith(_PREFIXES):
                yield name, str(dotenv)
    if config is not None:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            yield from ((str(name), str(config)) for name in content)
