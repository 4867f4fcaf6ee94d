"""What goes to stdout and stderr: one JSON document, plain lines, nothing that steers a terminal."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any, TextIO

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""


def use_utf8() -> None:
    """Let no character that a program or model prints end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def clean(text: str) -> str:
    """A text of a model's or a program's without what would steer the terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def for_terminal(text: str, stream: TextIO) -> str:
    """What a program printed: whole for a pipe or file, ``clean`` for a terminal."""
    return clean(text) if stream.isatty() else text


def one_line(text: str, limit: int = 0) -> str:
    """A text as one line; ``limit`` characters at most, where it is not 0."""
    line = " ".join(clean(text).split())
    return line if not limit or len(line) <= limit else line[: limit - 1] + "…"


def headline(text: str) -> str:
    """What to tell of an error in one line: the first one, and what it announces by a colon."""
    first, *rest = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    return f"{first} {rest[0].removeprefix('- ')}" if first.endswith(":") and rest else first


def print_line(text: str) -> None:
    """One line to whoever watches: stderr."""
    print(one_line(text), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """The one JSON document of a command with ``--json``."""
    # Escaped to ASCII: valid whatever the terminal's encoding, lone surrogates included.
    print(json.dumps(document, indent=2, default=str), flush=True)


def error_document(message: str, *, status: int, kind: str | None = None) -> dict[str, Any]:
    """What ``--json`` prints when a command could not do its work at all."""
    return {
        "success": False,
        "error": one_line(message),
        "error_kind": kind,
        "exit_status": status,
    }


def fail(message: str, *, status: int, as_json: bool, kind: str | None = None) -> int:
    """Tell of a failure and return its exit status."""
    if as_json:
        print_json(error_document(message, status=status, kind=kind))
    print_line(f"Error: {message}")
    return status


def size_text(size: int) -> str:
    """Bytes as people read them."""
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1_000_000:.1f} MB"
