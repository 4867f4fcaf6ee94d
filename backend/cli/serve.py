"""``serve``: the HTTP API."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from backend.cli.options import json_option, read_settings
from backend.cli.output import print_json, print_line

if TYPE_CHECKING:
    from backend.config.settings import Settings


@click.command("serve")
@click.option("--host", metavar="HOST", help="The address to listen on; else the setting.")
@click.option("--port", type=int, metavar="PORT", help="The port; 0 for any that is free.")
@json_option
def command(host: str | None, port: int | None, as_json: bool) -> int:
    """Answer over HTTP, as OpenAI's API does, until Ctrl-C.

    The model need not be there yet. With --json, one document with the address is printed as
    soon as requests are taken.
    """
    settings = read_settings(host=host, port=port)
    with _no_collections_at_first():
        _serve(settings, as_json=as_json)
    return 0


def _serve(settings: Settings, *, as_json: bool) -> None:
    from backend.api.logs import announce_in_log
    from backend.api.server import serve

    say = announce_in_log if settings.log_format == "json" else print_line

    def announce(url: str, wants_keys: bool) -> None:
        if as_json:
            about = {"url": url, "model": settings.model, "wants_keys": wants_keys}
            print_json({"success": True, **about})
        say(f"python-coder listens on {url}/v1 ({for_whom(settings, wants_keys=wants_keys)})")
        say(f"Model: {settings.model}. Ctrl-C ends it.")

    serve(settings, announce=announce)


@contextmanager
def _no_collections_at_first() -> Iterator[None]:
    """Until the server has started: what it imports stays, and would be looked through six times."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def for_whom(settings: Settings, *, wants_keys: bool) -> str:
    """Who may use the server, as it says when it starts."""
    from backend.api.guard import is_loopback

    if wants_keys:
        return "for whoever has an API key"
    public = settings.public_base_url
    if public and not is_loopback(urlsplit(public).hostname or ""):
        return (
            f"WITHOUT API keys: whoever gets through to {public} may run programs here; "
            "`python-coder keys create --name NAME` ends that"
        )
    return "this machine only, because there are no API keys"
