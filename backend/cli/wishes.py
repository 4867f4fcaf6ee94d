"""How a task is to be worked on, as the options of ``code`` say it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from backend.cli.options import read_text
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.tools.coder.task import Options
    from backend.types import Language

F = TypeVar("F", bound=Callable[..., Any])

_MAX_TEXT_BYTES = 4 * 2**20
"""Of a program, tests, a schema or a context: text that someone wrote; what is longer is data."""
_BLAMED = {
    "outputs": "--output",
    "constraints": "--constraint",
    "schema": "--schema",
    "tests": "--tests",
}
"""Field of ``Options`` -> the option, each read with those before it: they may refer to them."""


def wish_options(command: F) -> F:
    """``--context`` and what becomes ``Options``."""
    number = "Instead of the setting."
    for option in reversed(
        (
            _option("--context", "TEXT|@FILE", "What else there is to know.", default=""),
            click.option(
                "--language",
                type=click.Choice(["python", "bash"]),
                help="What to write; without it, told from the request.",
            ),
            _option("--code", "FILE", "A program to work on.", default=""),
            click.option(
                "--focus",
                type=click.Choice(["fix", "optimise", "robustness"]),
                help="What to improve in the program of --code.",
            ),
            _option(
                "--output",
                "NAME=TYPE",
                "A variable the program has to leave behind, such as total=float; once for each.",
                name="outputs",
                multiple=True,
            ),
            _option(
                "--constraint",
                "TEXT",
                "What must hold: an expression over the outputs is checked, words are told to the "
                "model; once for each.",
                name="constraints",
                multiple=True,
            ),
            _option("--schema", "FILE|TEXT", "What the output looks like, or its JSON Schema.", default=""),
            _option("--tests", "FILE", "pytest functions that the program has to pass.", default=""),
            click.option("--write-tests", is_flag=True, help="Let the model write tests as well."),
            click.option("--skip-tests", is_flag=True, help="Neither write nor run any."),
            _option("--max-iterations", "N", f"Rewrites before a run. {number}", type=int),
            _option("--max-retries", "N", f"Repairs after failed runs. {number}", type=int),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _option(
    flag: str, metavar: str, text: str, *, name: str | None = None, **more: Any
) -> Callable[[F], F]:
    names = [flag, *([name] if name else [])]
    return click.option(*names, metavar=metavar, help=text, **more)


def read_context(given: str) -> str:
    """The context, from the file of ``@FILE``.

    Raises:
        RequestError: the file cannot be read.
    """
    if not given.startswith("@"):
        return given
    return read_text(given[1:], max_bytes=_MAX_TEXT_BYTES, what="context")


def read_options(
    *,
    code: str,
    outputs: Sequence[str],
    schema: str,
    tests: str,
    language: Language | None,
    **more: Any,
) -> Options:
    """The options, their files read.

    Raises:
        RequestError: names the option, its value and what is allowed.
    """
    from backend.tools.coder.task import Options

    program = read_text(code, max_bytes=_MAX_TEXT_BYTES, what="program") if code else ""
    if code and not program.strip():
        raise RequestError(f"The program {code!r} is empty.", "Write something into it.")
    if language is None and code.lower().endswith((".sh", ".bash")):
        language = "bash"
    values: dict[str, Any] = {
        "outputs": _declared(outputs),
        "constraints": tuple(more.pop("constraints")),
        "schema": _schema(schema),
        "tests": read_text(tests, max_bytes=_MAX_TEXT_BYTES, what="tests") if tests else "",
    }
    known: dict[str, Any] = {}
    for name, option in _BLAMED.items():
        known[name] = values[name]
        try:
            Options(**known)
        except ValueError as error:
            raise RequestError(f"{option}: {error}") from None
    try:
        return Options(**values, code=program, language=language, **more)
    except RequestError as error:
        option = f"--{error.param.replace('_', '-')}: " if error.param else ""
        raise RequestError(option + error.what, error.remedy, param=error.param) from None


def _declared(entries: Sequence[str]) -> dict[str, str]:
    declared: dict[str, str] = {}
    for entry in entries:
        name, equals, wanted = entry.partition("=")
        if not (equals and name.strip() and wanted.strip()):
            raise RequestError(
                f"--output: {entry[:80]!r} declares no output.",
                "Write --output NAME=TYPE; the folder for files is -o DIR.",
            )
        if name.strip() in declared:
            raise RequestError(
                f"--output: {name.strip()!r} is declared twice.", "Leave out one of the two."
            )
        declared[name.strip()] = wanted.strip()
    return declared


def _schema(given: str) -> str:
    """A schema from its file, where there is one or a file is meant; else as it is."""
    meant = given.endswith(".json") and not given.lstrip().startswith("{")
    if not (meant or os.path.isfile(given)):
        return given
    return read_text(given, max_bytes=_MAX_TEXT_BYTES, what="schema")
