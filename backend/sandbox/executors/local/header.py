"""What the inside is told about a run: checked, plain, and marshalled."""

from __future__ import annotations

import ast
import marshal
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from backend.config.settings import Settings
from backend.errors import RequestError, SandboxUnavailable, TooLarge
from backend.foreign_code import quiet_compiler
from backend.sandbox.executors.local.claims import (
    CHARTS_BYTES,
    HTML_BYTES,
    OUTPUTS_BRACKETS,
    OUTPUTS_BYTES,
)
from backend.sandbox.executors.local.variables import as_environment, check_name, encode
from backend.sandbox.walls.anywalls import AnyWalls
from backend.sandbox.walls.limits import INODES, MIB, VALUE_BYTES, Limits, standing_rlimits
from backend.sandbox.walls.seccomp import build_filter
from backend.sandbox.workspace import check_names
from backend.types import ExecutionRequest, FigureFormat

_MAX_CODE_CHARS = 16 * MIB
_MARSHAL_VERSION = 4
"""Understood by every Python that can be asked for."""
_FORMATS: tuple[FigureFormat, ...] = get_args(FigureFormat)
_AT_ONCE = (str, int, float, bool, type(None))
_AT_ONCE_CHARS = 64 * 1024
_AT_ONCE_BYTES = 32 * 1024
"""Of a program: more may not fit into its line, and the keeper has to know of it when it is ended
while it is being sent."""
_MOST_ASKED = 60
"""Outputs, and checks; each check has this many characters at most:"""
_CHECK_CHARS = 1000
_SHELLS = ("/bin/bash", "/usr/bin/bash")


def check_request(request: ExecutionRequest) -> None:
    """Refuse what no run could serve.

    Raises:
        RequestError: the language, code, a file name, an argument or a figure format.
        TooLarge: code beyond what may be passed in.
        SandboxUnavailable: bash is asked for and not installed.
    """
    if request.language not in ("python", "bash"):
        raise RequestError(
            f"The language {request.language!r} is not known.",
            "Use one of: python, bash.",
            param="language",
        )
    if request.language == "bash" and not _shell():
        raise SandboxUnavailable("bash is not installed.", "Install it, or send Python.")
    if not isinstance(request.code, str):
        raise RequestError("The code is not text.", "Send it as a string.", param="code")
    if len(request.code) > _MAX_CODE_CHARS:
        raise TooLarge(
            f"The code has {len(request.code)} characters.",
            f"Send at most {_MAX_CODE_CHARS}; put data into files.",
            param="code",
        )
    check_names(request.files)
    for argument in request.argv:
        _check_argument(argument)
    _check_formats(request.figure_formats)
    _check_asked(request)


def zygote_setup(
    settings: Settings, walls: AnyWalls, modules: Sequence[str], *, has_cgroup: bool
) -> dict[str, Any]:
    """What is the same for every run: plain values, as the zygote reads them."""
    return {
        "modules": list(modules),
        "filter": build_filter(
            allow_network=settings.allow_network, has_namespaces=walls.has_namespaces
        ),
        "allow_network": settings.allow_network,
        "disk_bytes": settings.max_disk_mb * MIB,
        "shared_bytes": settings.max_memory_mb * MIB,
        "inodes": INODES,
        "shields": walls.shields,
        "has_cgroup": has_cgroup,
        "processes": settings.max_processes,
        "rlimits": standing_rlimits(settings, has_namespaces=walls.has_namespaces),
        **walls.setup,
        # More threads than processors are slower, and each reserves buffers.
        "threads": min(os.cpu_count() or 1, 4),
    }


@dataclass(frozen=True, kw_only=True)
class Header:
    """A request, marshalled for those who read it."""

    keeper: bytes
    program: bytes
    """For the program's process itself; empty when the keeper passes it on."""
    keeper_first: bool
    """The keeper has something to do before the program begins: place inputs, fit shared memory; or
    there is time for it to be told."""


def build_header(
    request: ExecutionRequest, limits: Limits, inputs: Mapping[str, str], *, is_session: bool
) -> Header:
    """The marshalled request.

    Args:
        request: a checked request.
        limits: its limits, resolved.
        inputs: name inside -> place below the staging folder.
        is_session: the process is to serve more programs after this one.

    Raises:
        RequestError: a variable that cannot be taken along, or whose name is no name.
        TooLarge: variables beyond what may be passed in.
    """
    for_bash = request.language == "bash"
    program = {
        "code": request.code,
        "language": request.language,
        "argv": [str(argument) for argument in request.argv],
        "inputs": list(request.files),
        "variables": {} if for_bash else encode(request.variables),
        "environment": as_environment(request.variables) if for_bash else {},
        "figure_formats": [str(each) for each in request.figure_formats],
        "shell": _shell() if for_bash else "",
        "rlimits": limits.rlimits(),
        "value_bytes": VALUE_BYTES,
        "html_bytes": HTML_BYTES,
        "charts_bytes": CHARTS_BYTES,
    }
    if request.outputs or request.checks:
        program["asked"] = {
            "outputs": list(request.outputs),
            "checks": list(request.checks),
            "bytes": OUTPUTS_BYTES,
            "brackets": OUTPUTS_BRACKETS,
        }
    if request.describe_names and not for_bash:
        program["describe_names"] = True
    marshalled = marshal.dumps(program, _MARSHAL_VERSION)
    keeper: dict[str, Any] = {
        "is_session": is_session,
        "language": request.language,
        "inputs": list(inputs.items()),
        "limits": limits.as_header(),
    }
    if is_session:
        keeper["program"] = marshalled
    return Header(
        keeper=marshal.dumps(keeper, _MARSHAL_VERSION),
        program=b"" if is_session else marshalled,
        keeper_first=bool(inputs)
        or request.memory_mb is not None
        or len(marshalled) > _AT_ONCE_BYTES,
    )


def session_header(limits: Limits, token: bytes) -> bytes:
    """What makes a child a session, as its keeper reads it; programs follow with ``build_header``.

    Args:
        limits: those of the session as a whole; each program has its own within them.
        token: nobody else knows it; after it the line belongs to another process.
    """
    rlimits = limits.rlimits()
    # Held against a process, however many programs it has run: the keeper counts for each.
    del rlimits["RLIMIT_CPU"]
    program = {
        "language": "session",
        "inputs": [],
        "argv": [],
        "rlimits": rlimits,
        "charts_bytes": CHARTS_BYTES,
        "token": token,
    }
    keeper = {
        "is_session": True,
        "token": token,
        "limits": limits.as_header(),
        "program": marshal.dumps(program, _MARSHAL_VERSION),
    }
    return marshal.dumps(keeper, _MARSHAL_VERSION)


def is_heavy(request: ExecutionRequest) -> bool:
    """Whether building its header may take long enough to keep others waiting: use a thread."""
    return any(
        type(value) not in _AT_ONCE or (isinstance(value, str) and len(value) > _AT_ONCE_CHARS)
        for value in request.variables.values()
    )


def _shell() -> str:
    return next((shell for shell in _SHELLS if shutil.which(shell)), "")


def _check_argument(argument: object) -> None:
    text = argument if isinstance(argument, str) else ""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if not isinstance(argument, str) or "\0" in text:
        raise RequestError(
            f"The argument {argument!r} cannot be passed to a program.",
            "Give text without a NUL character.",
            param="argv",
        )


def _check_asked(request: ExecutionRequest) -> None:
    for param in ("outputs", "checks"):
        asked = getattr(request, param)
        if not isinstance(asked, list | tuple) or len(asked) > _MOST_ASKED:
            raise RequestError(
                f"{param} is not a list of at most {_MOST_ASKED}.", "Ask for fewer.", param=param
            )
        if asked and request.language != "python":
            raise RequestError(
                f"A {request.language} program has no {param}.", "Leave them out.", param=param
            )
    for name in request.outputs:
        check_name(name, "outputs")
    for check in request.checks:
        _check_expression(check)


def _check_expression(text: object) -> None:
    try:
        if not isinstance(text, str) or len(text) > _CHECK_CHARS:
            raise ValueError(f"is no text of at most {_CHECK_CHARS} characters")
        text.encode()
        with quiet_compiler():
            ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise RequestError(
            f"The check {text!r:.200} is no Python expression: {reason}.",
            "Give an expression over the program's names.",
            param="checks",
        ) from None


def _check_formats(formats: object) -> None:
    if not isinstance(formats, list | tuple) or not formats:
        raise RequestError(
            f"The figure formats are {formats!r}.",
            f"Give a list of one or more of: {', '.join(_FORMATS)}.",
            param="figure_formats",
        )
    for each in formats:
        if each not in _FORMATS:
            raise RequestError(
                f"Figures cannot be handed out as {each!r}.",
                f"Use any of: {', '.join(_FORMATS)}.",
                param="figure_formats",
            )
