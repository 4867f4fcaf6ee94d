"""Prompts are files, ``backend/prompts/NAME.md``, and are rendered strictly.

A variable that a template misses, or one that it does not use, is a mistake in the program and
raised as such: a prompt with a hole in it would be answered all the same, only worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2 import meta

from backend.prompts.fences import fenced
from backend.types import Stage

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The most tokens a stage's prompt may have, as ``estimate_tokens`` counts them."""

    rules: int
    """Of the template alone: what every call of the stage pays for."""
    whole: int
    """Of the prompt with the longest values it is ever given, with the default context."""


CEILINGS: Mapping[Stage, Ceiling] = {
    "plan": Ceiling(rules=250, whole=12_288),
    "act": Ceiling(rules=250, whole=12_288),
    "generate": Ceiling(rules=300, whole=12_288),
    "review": Ceiling(rules=350, whole=12_288),
    "repair": Ceiling(rules=300, whole=12_288),
    "diagnose": Ceiling(rules=250, whole=12_288),
    "tests": Ceiling(rules=300, whole=12_288),
    "assess": Ceiling(rules=200, whole=12_288),
    "answer": Ceiling(rules=250, whole=12_288),
    "chat": Ceiling(rules=60, whole=60),
}
"""12,288 is what the default context of 16,384 leaves beside a reply of 4,096; what would be longer
is cut (``llm.fitting``)."""


def render(name: str, /, **values: object) -> str:
    """Fill in a prompt's template (Jinja2). Values are put in as they are, never rendered.

    Args:
        name: the file's name without ``.md``.
        **values: every variable that the template names, and no other.

    Raises:
        LookupError: there is no such prompt.
        TypeError: a variable is missing, or one is not used; names it.
    """
    return render_from(_FOLDER, name, values)


def variables(name: str) -> frozenset[str]:
    """What a prompt's template names.

    Raises:
        LookupError: there is no such prompt.
    """
    return _load(_FOLDER, name)[1]


def render_from(folder: Path, name: str, values: dict[str, object]) -> str:
    """``render``, for templates of another folder."""
    template, named = _load(folder, name)
    missing = named - values.keys()
    unused = values.keys() - named
    if missing or unused:
        faults = [
            f"{what} {', '.join(sorted(names))}"
            for what, names in (("misses", missing), ("does not use", unused))
            if names
        ]
        raise TypeError(f"Prompt {name!r} {' and '.join(faults)}.")
    return template.render(values)


@lru_cache(maxsize=128)
def _load(folder: Path, name: str) -> tuple[jinja2.Template, frozenset[str]]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fenced"] = fenced
    file = f"{name}.md"
    try:
        template = environment.get_template(file)
    except jinja2.TemplateNotFound:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.md")))
        raise LookupError(f"There is no prompt {name!r}; there are {known or 'none'}.") from None
    return template, frozenset(_variables(environment, file))


def _variables(environment: jinja2.Environment, file: str) -> set[str]:
    loader = environment.loader
    assert loader is not None
    tree = environment.parse(loader.get_source(environment, file)[0])
    names = set(meta.find_undeclared_variables(tree))
    for included in meta.find_referenced_templates(tree):
        if included is not None:
            names |= _variables(environment, included)
    return names
