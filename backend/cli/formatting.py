"""How a result is told on stdout: ``--format``, ``--with`` and ``--without``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from backend.tools.coder.formats import Form
    from backend.tools.coder.report import Section

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Telling:
    """In what form, and how much of it."""

    form: Form
    sections: Sequence[Section]


def format_options(command: F) -> F:
    """``--format``, ``--with`` and ``--without``."""
    form = "Tell all of it in this form, not only the words of the answer."
    more = "Tell this as well: steps, history, verification, timings, usage, isolation, or all."
    less = "Leave this out: answer, code, files, or what --with names."
    command = click.option("--without", metavar="SECTIONS", multiple=True, help=less)(command)
    command = click.option("--with", "with_", metavar="SECTIONS", multiple=True, help=more)(command)
    forms = click.Choice(["markdown", "json", "plain"])
    return click.option("--format", "form", type=forms, help=form)(command)


def read_telling(
    form: Form | None, with_: Sequence[str], without: Sequence[str], *, as_json: bool
) -> Telling | None:
    """What the options say; None when none of them was given.

    Raises:
        RequestError: there is no such section.
        click.UsageError: ``--json`` together with another form or with sections.
    """
    if not (form or with_ or without):
        return None
    if as_json:
        raise click.UsageError(
            "--json tells everything: leave it out, or --format, --with and --without.",
            click.get_current_context(),
        )
    from backend.tools.coder.formats import choose_sections

    sections = choose_sections(with_=_split(with_), without=_split(without))
    return Telling(form=form or "markdown", sections=sections)


def _split(given: Sequence[str]) -> list[str]:
    return [name.strip() for entry in given for name in entry.split(",") if name.strip()]


def tell(result: Mapping[str, Any], telling: Telling) -> None:
    """A result on stdout."""
    from backend.tools.coder.formats import format_result

    sys.stdout.write(format_result(result, telling.form, telling.sections))
    sys.stdout.flush()
