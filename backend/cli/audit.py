"""``audit``: which programs ran here, for whom, and what became of them; which keys were changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from backend.cli.options import json_option, read_settings
from backend.cli.output import clean, one_line, print_json, print_line

if TYPE_CHECKING:
    from backend.store.audit_reading import Entry

_OUTCOMES = [
    *("success", "failed", "stopped", "refused", "cancelled", "error", "running", "unknown"),
    *("created", "revoked", "forgotten"),
]
_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
_WORDS_CHARS = 60
_OWNER_CHARS = 64
"""As many as an owner's name may have: it is copied into ``--owner``."""


@click.command("audit")
@click.option(
    "--since", type=click.DateTime(_FORMS), metavar="D", help="From this day or moment on."
)
@click.option(
    "--until", type=click.DateTime(_FORMS), metavar="D", help="Up to this moment; a day is whole."
)
@click.option("--owner", default="", metavar="O", help="Only this owner's.")
@click.option("--run", default="", metavar="ID", help="Only a run's; the id's beginning will do.")
@click.option("--session", default="", metavar="ID", help="Only a session's.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only those that ended so.")
@click.option("--keys", "only_keys", is_flag=True, help="Only changes of API keys.")
@click.option("--code", "with_code", is_flag=True, help="Show the programs, too.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many."
)
@json_option
def command(
    since: datetime | None,
    until: datetime | None,
    owner: str,
    run: str,
    session: str,
    outcome: str | None,
    only_keys: bool,
    with_code: bool,
    limit: int,
    as_json: bool,
) -> int:
    """Show which programs ran here, the newest last: when, for whom, what became of them.

    Among them stand the API keys that were made, revoked or forgotten, and by whom.

    Days and moments are those of this machine's clock, as 2026-11-22 or 2026-11-22T14:30. It can be
    asked while the server runs.
    """
    from backend.store.audit import trail_folder
    from backend.store.audit_reading import Wanted, read_trail

    settings = read_settings()
    folder = trail_folder(settings)
    wanted = Wanted(
        since=None if since is None else since.astimezone(UTC),
        until=None if until is None else _end_of(until).astimezone(UTC),
        owner=owner,
        run=run,
        session=session,
        outcome=outcome or "",
        only_keys=only_keys,
    )
    entries = read_trail(folder, wanted, limit=limit)
    if as_json:
        about_keys = [each for each in entries if each.is_about_a_key]
        programs = [each for each in entries if not each.is_about_a_key]
        print_json(
            {
                "programs": [_document(each, with_code=with_code) for each in programs],
                "keys": [each.as_dict() for each in about_keys],
            }
        )
        return 0
    for entry in entries:
        click.echo(_line(entry))
        if with_code and not entry.is_about_a_key:
            click.echo(_indented(str(entry.began.get("code", ""))))
    if not entries:
        off = "" if settings.audit else " PYTHON_CODER_AUDIT is off."
        is_any = wanted != Wanted() and bool(read_trail(folder, Wanted(), limit=1))
        none = "none that fit" if is_any else "none"
        print_line(f"There are {none} on record in {folder}.{off}")
    elif len(entries) == limit:
        print_line(f"These are the newest {limit}; there may be more: --limit N shows them.")
    return 0


def _end_of(moment: datetime) -> datetime:
    """A day counts with all of its hours."""
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return moment + timedelta(days=1) if is_day else moment


def _document(entry: Entry, *, with_code: bool) -> dict[str, Any]:
    document = entry.as_dict()
    if not with_code:
        document.pop("code", None)
    return document


def _line(entry: Entry) -> str:
    began, ended = entry.began, entry.ended or {}
    at = datetime.fromisoformat(str(began["at"])).astimezone()
    who = one_line(str(began.get("owner") or began.get("user") or "-"), _OWNER_CHARS)
    how = str(ended.get("stopped_by") or entry.outcome)
    took = f"{ended['seconds']:8.2f} s" if "seconds" in ended else f"{'-':>10}"
    where = one_line(str(began.get("run_id") or began.get("source") or "-"), 40)
    if entry.is_about_a_key:
        words = one_line(_about(began.get("key", {})))
    else:
        words = one_line(str(began.get("code", "")), _WORDS_CHARS)
    return f"{at:%Y-%m-%d %H:%M:%S}  {who:<12} {how:<10} {took}  {where}  {words}"


def _about(key: Mapping[str, Any]) -> str:
    return f"{key.get('role')} key {key.get('id')} {key.get('name')!r}, owner {key.get('owner')}"


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in clean(code).splitlines())
