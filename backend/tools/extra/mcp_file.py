"""The file that ``PYTHON_CODER_MCP`` names: which MCP servers there are, and how they are reached."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import SettingsError

Transport = Literal["http", "sse"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
_FORM = 'Write it as {"mcpServers": {"NAME": {"command": "...", "args": []}}}, or with "url".'


@dataclass(frozen=True, kw_only=True)
class ProgramServer:
    """A server that we start: it listens on its standard input."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside the few variables that every server gets; ours, with their secrets, stay with us."""
    cwd: Path | None = None
    """Where it is started; None: where we were."""

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return self.command


@dataclass(frozen=True, kw_only=True)
class UrlServer:
    """A server that somebody else runs."""

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    transport: Transport = "http"

    @property
    def place(self) -> str:
        """Where it is, for a person: without what may be a secret in it."""
        bare = self.url.partition("?")[0].partition("#")[0]
        scheme, _, rest = bare.partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


Server = ProgramServer | UrlServer


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    disabled: bool = False


class ProgramEntry(_Entry):
    """A server that is started, as the file has it."""

    command: Annotated[str, Field(min_length=1)]
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    transport: Literal["stdio"] = "stdio"
    type: Literal["stdio"] = "stdio"


class UrlEntry(_Entry):
    """A server that is running already, as the file has it."""

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]")]
    headers: dict[str, str] = {}
    transport: Literal["http", "streamable-http", "streamable_http", "sse"] | None = None
    type: Literal["http", "streamable-http", "streamable_http", "sse"] | None = None


def read_servers(path: Path) -> list[Server]:
    """The servers a file names, those that are ``disabled`` left out.

    ``${NAME}`` and ``${NAME:-default}`` in its texts stand for variables of the environment.

    Raises:
        SettingsError: the file cannot be read or has not the form it should have; names the file,
            the place in it and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        whole = json.loads(text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _refusal(path, place, f"this is no JSON: {error.msg}", _FORM) from None
    except OSError as error:
        raise SettingsError(
            f"PYTHON_CODER_MCP is {str(path)!r}, which cannot be read: {error.strerror}.",
            "Name a JSON file with MCP servers, or unset it.",
        ) from None
    except ValueError as error:
        raise _refusal(path, "the file", str(error), _FORM) from None
    servers = whole.get("mcpServers") if isinstance(whole, dict) else None
    if not isinstance(servers, dict):
        raise _refusal(path, "mcpServers", "there has to be an object of this name", _FORM)
    read = (_read_entry(path, name, entry) for name, entry in servers.items())
    return [server for server in read if server is not None]


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} is there twice in one object")
    return whole


def _refusal(path: Path, place: str, what: str, allowed: str) -> SettingsError:
    return SettingsError(f"PYTHON_CODER_MCP names {str(path)!r}; {place}: {what}.", allowed)


def _read_entry(path: Path, name: str, entry: Any) -> Server | None:
    place = f"mcpServers.{name}"
    if not isinstance(entry, dict) or ("command" in entry) == ("url" in entry):
        raise _refusal(path, place, 'a server has either "command" or "url"', _FORM)
    model: type[ProgramEntry] | type[UrlEntry]
    model = ProgramEntry if "command" in entry else UrlEntry
    try:
        read = model.model_validate(_expanded(entry))
    except _Unset as error:
        missing = f"the variable {error} is not set"
        raise _refusal(path, place, missing, "Set it, or write ${NAME:-default}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([place, *(str(part) for part in fault["loc"])])
        allowed = f"Allowed there: {', '.join(sorted(model.model_fields))}."
        raise _refusal(path, where, fault["msg"], allowed) from None
    if read.disabled:
        return None
    if isinstance(read, UrlEntry):
        asked = read.transport or read.type
        transport: Transport = "sse" if asked == "sse" else "http"
        return UrlServer(name=name, url=read.url, headers=read.headers, transport=transport)
    # Relative to the file, so that it does not matter where we are started.
    cwd = None if read.cwd is None else path.absolute().parent / Path(read.cwd).expanduser()
    return ProgramServer(
        name=name, command=read.command, args=tuple(read.args), env=read.env, cwd=cwd
    )


class _Unset(Exception):
    """A variable of the environment has no value, and the file gives no default."""


def _expanded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _expanded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(found: re.Match[str]) -> str:
    name, default = found.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise _Unset(name)
    return value
