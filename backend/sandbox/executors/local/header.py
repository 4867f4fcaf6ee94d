"""What the inside is told about a run: checked, plain, and marshalled."""

from __future__ import annotations

import json
import keyword
import marshal
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from backend.config.settings import Settings
from backend.errors import RequestError, SandboxUnavailable, TooLarge
from backend.sandbox.walls.bubblewrap import Walls
from backend.sandbox.walls.limits import INODES, MIB, VALUE_BYTES, Limits
from backend.sandbox.walls.seccomp import build_filter
from backend.sandbox.workspace import check_names
from backend.types import ExecutionRequest

_MAX_VARIABLES_BYTES = 64 * MIB
_MAX_CODE_CHARS = 16 * MIB
_MARSHAL_VERSION = 4
"""Understood by every Python that can be asked for."""
_SHELLS = ("/bin/bash", "/usr/bin/bash")


def check_request(request: ExecutionRequest) -> None:
    """Refuse what no run could serve.

    Raises:
        RequestError: the language, code, a file name, an argument or a variable.
        TooLarge: code or variables beyond what may be passed in.
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


def zygote_setup(settings: Settings, walls: Walls, modules: Sequence[str]) -> dict[str, Any]:
    """What is the same for every run: plain values, as the zygote reads them."""
    return {
        "modules": list(modules),
        "filter": build_filter(allow_network=settings.allow_network),
        "allow_network": settings.allow_network,
        "disk_bytes": settings.max_disk_mb * MIB,
        "shared_bytes": settings.max_memory_mb * MIB,
        "inodes": INODES,
        "shields": walls.shields,
        "has_cgroup": False,
        # More threads than processors are slower, and each reserves buffers.
        "threads": min(os.cpu_count() or 1, 4),
    }


def build_header(
    request: ExecutionRequest, limits: Limits, inputs: Mapping[str, str], *, is_session: bool
) -> bytes:
    """The marshalled request, as the keeper reads it; the program's own part is marshalled in it.

    Args:
        request: a checked request.
        limits: its limits, resolved.
        inputs: name inside -> place below the staging folder.
        is_session: the process is to serve more programs after this one.

    Raises:
        RequestError: a variable that has no JSON form, or whose name is no name.
        TooLarge: variables beyond what may be passed in.
    """
    variables = {name: _plain(name, value) for name, value in request.variables.items()}
    program = {
        "code": request.code,
        "language": request.language,
        "argv": [str(argument) for argument in request.argv],
        "inputs": list(request.files),
        "variables": variables,
        "environment": _as_environment(variables),
        "shell": _shell(),
        "rlimits": limits.rlimits(),
        "value_bytes": VALUE_BYTES,
    }
    keeper = {
        "is_session": is_session,
        "inputs": list(inputs.items()),
        "limits": limits.as_header(),
        "program": marshal.dumps(program, _MARSHAL_VERSION),
    }
    return marshal.dumps(keeper, _MARSHAL_VERSION)


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


def _plain(name: str, value: Any) -> Any:
    if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
        raise RequestError(
            f"A variable cannot be named {name!r}.", "Use a Python name.", param="variables"
        )
    if name.startswith("__"):
        raise RequestError(
            f"The variable name {name!r} belongs to Python.", "Use another.", param="variables"
        )
    try:
        text = json.dumps(value)
        if len(text) > _MAX_VARIABLES_BYTES:
            raise TooLarge(
                f"The variable {name!r} is larger than {_MAX_VARIABLES_BYTES // MIB} MB.",
                "Pass it as a file.",
                param="variables",
            )
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"The variable {name!r} is a {type(value).__name__} without a JSON form: {error}.",
            "Pass text, numbers, lists and dicts of them, or a file.",
            param="variables",
        ) from None


def _as_environment(variables: Mapping[str, Any]) -> dict[str, str]:
    """Variables as a shell sees them: text as it is, everything else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in variables.items()
    }
