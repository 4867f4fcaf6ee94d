"""What values of settings look like: each function gives a value back, or says what is allowed.

They raise ``ValueError`` for values that are not allowed, as pydantic wants it.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from backend.config.install_list import read_install_list
from backend.config.stages import parse_stages
from backend.config.tool_list import read_tool_list


def _without_unit(*units: str) -> BeforeValidator:
    """Accept ``512``, ``"512"`` and ``"512 MB"``: people write the unit they were told."""

    def strip(value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            for unit in units:
                if text.lower().endswith(unit.lower()):
                    return text[: -len(unit)].strip()
            return text
        return value

    return BeforeValidator(strip)


def provider_and_model(value: str) -> str:
    """``provider:model``, neither empty."""
    provider, colon, model = value.partition(":")
    if not (colon and provider.strip() and model.strip()):
        raise ValueError("write it as provider:model, for instance ollama:qwen3:8b")
    return value


def stage_list(value: str) -> str:
    """What ``parse_stages`` can read."""
    parse_stages(value)
    return value


_URL_FORM = "write it as http://host or https://host, with a port where one is needed"


def http_url(value: str) -> str:
    """An address of the web, without a slash at its end."""
    scheme, colon, rest = value.strip().rstrip("/").partition("://")
    if scheme not in {"http", "https"} or not colon or not rest.partition("/")[0]:
        raise ValueError(_URL_FORM)
    return _with_an_authority(f"{scheme}://{rest}")


def _with_an_authority(url: str) -> str:
    """A URL whose host and port are such: what a client makes of others is no clear error."""
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and parts.port != 0
    except ValueError:
        named = False
    if not named or not all("!" <= sign <= "~" or sign.isalpha() for sign in url):
        raise ValueError(_URL_FORM)
    return url


def http_url_or_empty(value: str) -> str:
    """The same, or nothing."""
    return http_url(value) if value.strip() else value


def origins(value: str) -> tuple[str, ...]:
    """The addresses of a list with commas."""
    return tuple(each.strip() for each in value.split(",") if each.strip())


def origin_list(value: str) -> str:
    """A list of origins: addresses without a path."""
    for origin in origins(value):
        if http_url(origin).count("/") != 2:
            raise ValueError(f"{origin!r} is not an origin: {_URL_FORM}, and no path")
    return value


def ollama_host(value: str) -> str:
    """An address as Ollama itself takes it, or nothing."""
    if host := value.strip():
        http_url(host if "://" in host else f"http://{host}")
    return value


def tool_list(value: str) -> str:
    """What ``read_tool_list`` can read."""
    read_tool_list(value)
    return value


def install_list(value: str) -> str:
    """What ``read_install_list`` can read."""
    read_install_list(value)
    return value


Seconds = Annotated[float, _without_unit("seconds", "s")]
Mebibytes = Annotated[int, _without_unit("MiB", "MB", "M")]
