"""``keys``: who may use the server over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from backend.cli.options import json_option, read_settings
from backend.cli.output import one_line, print_json, print_line
from backend.cli.signals import run_async
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.store.key_records import Key, Role
    from backend.store.keys import KeyStore

_DAY_S = 24 * 3600
_MAX_DAYS = 36_500


@click.group("keys")
def command() -> None:
    """Make, list and revoke API keys.

    From the first key on, a server asks for one with every request, and may be bound to an
    address that others reach. A running server learns of changes by itself. Each server process
    counts a key's requests for itself: with several of them, up to that many times --rate and
    --parallel are let through. Each command has --json.
    """


@asynccontextmanager
async def _open() -> AsyncIterator[KeyStore]:
    from backend.store.database import open_database
    from backend.store.keys import open_keys

    settings = read_settings()
    async with open_database(settings) as database, open_keys(database, settings) as keys:
        yield keys


@command.command("create")
@click.option("--name", required=True, metavar="NAME", help="What it is called in lists.")
@click.option(
    "--role",
    type=click.Choice(["user", "admin"]),
    default="user",
    show_default=True,
    help="Admins manage keys over HTTP and read /metrics.",
)
@click.option(
    "--owner",
    metavar="OWNER",
    help="Whose data it opens, such as another key's owner; `local`: what was made without keys.  "
    "[default: a new owner]",
)
@click.option(
    "--expires", metavar="DAYS|DATE", help="How many days it is good, or until the end of a date."
)
@click.option(
    "--rate",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Requests a minute; 0: no limit.  [default: PYTHON_CODER_RATE_LIMIT]",
)
@click.option(
    "--parallel",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="Requests at a time; 0: no limit.  [default: PYTHON_CODER_MAX_PARALLEL_REQUESTS]",
)
@json_option
def create(
    name: str,
    role: Role,
    owner: str | None,
    expires: str | None,
    rate: int | None,
    parallel: int | None,
    as_json: bool,
) -> int:
    """Make a key. What opens is printed this once, on stdout, and nowhere kept."""
    expires_at = None if expires is None else _moment(expires)

    async def work() -> tuple[Key, str, list[Key]]:
        async with _open() as keys:
            others = await keys.list()
            key, text = await keys.create(
                name=name,
                role=role,
                owner=owner,
                expires_at=expires_at,
                requests_per_minute=rate,
                max_parallel=parallel,
            )
            return key, text, others

    key, text, others = run_async(work())
    if as_json:
        print_json({"success": True, **_document(key), "key": text})
    else:
        click.echo(text)
        print_line(f"{key.name}: {key.role}, {key.id}, owner {key.owner}. It is not shown again.")
    if not others:
        print_line(
            "From now on every request needs a key. What was made before is the owner `local`'s: "
            "`--owner local` makes a key that opens it."
        )
    if role == "user" and not any(each.role == "admin" and each.is_good for each in others):
        print_line("No key is an admin's: keys are made and revoked by this command only.")
    return 0


def _moment(text: str) -> float:
    """When a key expires, by a number of days or a date, as Unix time.

    Raises:
        RequestError: it is neither.
    """
    if text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _MAX_DAYS:
        return time.time() + int(text) * _DAY_S
    try:
        day = date.fromisoformat(text)
        after = datetime.combine(day, datetime.min.time()) + timedelta(days=1)
        return after.timestamp()
    except (ValueError, OverflowError):
        raise RequestError(
            f"--expires {text[:40]!r} is neither a number of days nor a date.",
            f"Write 1 to {_MAX_DAYS}, or a date as 2030-12-31.",
        ) from None


@command.command("list")
@json_option
def list_keys(as_json: bool) -> int:
    """List keys, oldest first; never what opens."""

    async def work() -> list[Key]:
        async with _open() as keys:
            return await keys.list()

    found = run_async(work())
    if as_json:
        print_json({"keys": [_document(key) for key in found]})
        return 0
    for key in found:
        used = "never used" if key.last_used_at is None else f"used {_day(key.last_used_at)}"
        name = one_line(key.name, 40)
        click.echo(f"{key.id}  {key.role:<5}  {_state(key):<18}  {used}  {key.owner}  {name}")
    if not found:
        print_line("There are none: the server is for this machine only, and asks for no key.")
    return 0


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "good"
    return f"{'expired' if key.has_expired else 'until'} {_day(key.expires_at)}"


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))


@command.command("revoke")
@click.argument("reference", metavar="ID|NAME")
@json_option
def revoke(reference: str, as_json: bool) -> int:
    """Make a key open nothing any more, on a running server, too."""
    began_at = time.time()

    async def work() -> tuple[Key, bool]:
        async with _open() as keys:
            return await keys.revoke(reference), await keys.any_good()

    key, is_any_left = run_async(work())
    if as_json:
        print_json({"success": True, **_document(key)})
    elif key.revoked_at is not None and key.revoked_at < began_at:
        print_line(f"{key.name} ({key.id}) was revoked on {_day(key.revoked_at)} already.")
    else:
        print_line(f"Revoked: {key.name} ({key.id}). Its owner's data stay.")
    if not is_any_left:
        print_line(
            "No key is left that opens anything: make one, or `python-coder keys off` "
            "to do without."
        )
    return 0


@command.command("off")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what it means.")
@json_option
def off(yes: bool, as_json: bool) -> int:
    """Forget all keys: the server is for this machine only again, and asks for none."""
    if not yes:
        raise RequestError(
            "Without keys, everybody who reaches the server from this machine, over a proxy, too, "
            "may use it as the owner `local`; what keys' owners made is kept, out of reach.",
            "Say --yes if that is meant.",
        )

    async def work() -> int:
        async with _open() as keys:
            return await keys.forget_all()

    count = run_async(work())
    if as_json:
        print_json({"success": True, "forgotten": count})
    else:
        print_line(f"Forgotten: {count} keys.")
    return 0


def _document(key: Key) -> dict[str, Any]:
    return asdict(key)
