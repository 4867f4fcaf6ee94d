"""Options that several commands share, and the settings they are read with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from backend.errors import RequestError, TooLarge

if TYPE_CHECKING:
    from backend.config.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """``--json``."""
    text = "Print exactly one JSON document on stdout, and no progress."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def quiet_option(command: F) -> F:
    """``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress.")(command)


def files_option(command: F) -> F:
    """``-f FILE``, any number of times."""
    text = "An input file; once for each. It lies read-only in the program's working directory."
    return click.option(
        "-f", "--file", "files", multiple=True, metavar="FILE", type=click.Path(), help=text
    )(command)


def output_options(command: F) -> F:
    """``-o DIR``, ``--output DIR`` and ``--overwrite``."""
    return _folder_options(command, "-o", "--output")


def folder_options(command: F) -> F:
    """``-o DIR`` and ``--overwrite``, where ``--output`` means something else."""
    return _folder_options(command, "-o")


def _folder_options(command: F, *names: str) -> F:
    folder = "Write the plots and files that were made into this folder."
    replace = "Replace files of the same name in DIR, instead of choosing a free name."
    command = click.option("--overwrite", is_flag=True, help=replace)(command)
    return click.option(
        *names, "folder", metavar="DIR", type=click.Path(path_type=Path), help=folder
    )(command)


def approve_option(command: F) -> F:
    """``--approve MODE``."""
    text = (
        "About which programs to ask before they run; without a terminal they wait for "
        "`runs approve`.  [default: PYTHON_CODER_APPROVE]"
    )
    return click.option("--approve", type=click.Choice(["off", "risky", "always"]), help=text)(
        command
    )


def notebook_option(command: F) -> F:
    """``--notebook FILE``."""
    text = "Write a notebook with the programs and what they printed and drew."
    return click.option("--notebook", metavar="FILE", type=click.Path(path_type=Path), help=text)(
        command
    )


def model_options(command: F) -> F:
    """``-m MODEL`` and ``--no-cache``."""
    anew = "Ask anew, even if the same was answered before."
    named = "provider:model, or a name of Ollama's."
    command = click.option("-m", "--model", metavar="MODEL", help=named)(command)
    return click.option("--no-cache", is_flag=True, help=anew)(command)


def language_option(command: F) -> F:
    """``--language``."""
    text = "What the program is written in; without it, bash for .sh and Python for all else."
    return click.option("--language", type=click.Choice(["python", "bash"]), help=text)(command)


def read_settings(**overrides: Any) -> Settings:
    """The settings, with the command's own options where they were given.

    Raises:
        SettingsError: a value is not allowed.
    """
    from backend.config.settings import load_settings

    return load_settings(**{key: value for key, value in overrides.items() if value is not None})


def read_model_settings(model: str | None) -> tuple[Settings, str | None]:
    """The settings with the model of ``-m``, and its name where a request has to name it.

    Raises:
        SettingsError: a value is not allowed.
    """
    if model is not None and names_provider(model):
        return read_settings(model=model), None
    return read_settings(), model


def names_provider(model: str) -> bool:
    """Whether it is ``provider:model``; ``qwen3:8b`` is a name and a tag of Ollama's."""
    from backend.llm.models import PROVIDERS

    provider, colon, name = model.partition(":")
    return bool(colon and name) and provider in PROVIDERS


def read_text(name: str, *, max_bytes: int, what: str) -> str:
    """A file's text, or stdin's for ``-``.

    Args:
        name: the path, or ``-``.
        max_bytes: more is refused, and not read.
        what: what it is, for messages: "program", "question".

    Raises:
        RequestError: it cannot be read, or is not UTF-8.
        TooLarge: it has more bytes than are allowed.
    """
    shown = f"the {what} on stdin" if name == "-" else repr(name)
    try:
        if name == "-":
            raw = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with open(name, "rb") as file:
                raw = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise RequestError(f"The file {shown} does not exist.", "Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(f"{shown} cannot be read: {reason}.", "Check the path.") from None
    if len(raw) > max_bytes:
        raise TooLarge(
            f"{shown} has more than the {max_bytes:,} bytes that a {what} may have.",
            "Shorten it, and give data as a file with -f.",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is {raw[error.start]:#04x}"
        raise RequestError(f"{shown} is not UTF-8 text: {where}.", "Save it as UTF-8.") from None
