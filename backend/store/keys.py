"""API keys: who may use a server that others can reach, and whose everything is that they make.

A key is ``pc-ID-SECRET``. Its secret has 256 random bits, of which only the SHA-256 is kept: nobody
can try that many, so a slow hash would make requests slower and no key safer. Keys are an admin's
matter, so the statements here are about all owners. Requests ask what is known of them (``known_keys.py``).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from backend.config.settings import Settings
from backend.errors import NotFound, PythonCoderError, RequestError
from backend.store.audit import AuditTrail, KeyChange
from backend.store.database import Database
from backend.store.key_records import (
    Key,
    Role,
    check_name,
    check_owner,
    digest_of,
    key_of,
    of_all,
    on_record,
)
from backend.store.known_keys import KnownKeys
from backend.store.tables import KeyRow

Refusal = Literal["wrong", "expired", "revoked"]
"""Why a key opens nothing; the last two are only said of one whose secret is right."""

USE_S = 60.0
"""To within how many seconds the last use of a key is kept."""

_KEY = re.compile(r"pc-([0-9a-f]{16})-([0-9a-f]{64})", re.ASCII)
_NOBODY: Final = hashlib.sha256(b"").hexdigest()


class KeyStore:
    """The keys of a database; see ``open_keys``."""

    def __init__(self, database: Database, data_dir: Path, trail: AuditTrail | None = None) -> None:
        """Say where they are, and where changes of them are put on record."""
        self._database = database
        self._trail = trail
        self._known = KnownKeys(database, data_dir)
        self._used: dict[str, float] = {}
        self._unwritten: dict[str, float] = {}
        self._writer: asyncio.Task[None] | None = None

    async def create(
        self,
        *,
        name: str,
        role: Role = "user",
        owner: str | None = None,
        expires_at: float | None = None,
        requests_per_minute: int | None = None,
        max_parallel: int | None = None,
    ) -> tuple[Key, str]:
        """Make a key; what opens is returned this once and nowhere kept.

        Args:
            name: tells it from others; of keys that are not revoked, one has it.
            role: an admin manages keys and reads metrics, and sees nobody else's data either.
            owner: whose data it opens; None: a new owner.
            expires_at: Unix time in seconds; None: it stays good until it is revoked.
            requests_per_minute: see ``Key``.
            max_parallel: see ``Key``.

        Raises:
            RequestError: the name or owner cannot be used, the name is another key's, or the time
                is over already.
            StoreUnavailable: it cannot be kept or put on record; there is no key then.
        """
        check_name(name)
        if owner is not None:
            check_owner(owner)
        if expires_at is not None and expires_at <= time.time():
            raise RequestError(
                "The key would have expired already.", "Give a time to come.", param="expires_at"
            )
        part, secret = secrets.token_hex(8), secrets.token_hex(32)
        row = KeyRow(
            id=f"key-{part}",
            owner=owner or f"owner-{secrets.token_hex(8)}",
            created_at=time.time(),
            name=name,
            digest=digest_of(secret),
            role=role,
            expires_at=expires_at,
            revoked_at=None,
            last_used_at=None,
            requests_per_minute=requests_per_minute,
            max_parallel=max_parallel,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                await self._put_on_record("created", [row])
        except IntegrityError:
            raise RequestError(
                f"There is a key named {name!r} already.",
                "Choose another name, or revoke that one.",
                param="name",
            ) from None
        await asyncio.to_thread(self._known.tell)
        return key_of(row), f"pc-{part}-{secret}"

    async def list(self) -> list[Key]:
        """All keys, oldest first, revoked ones too."""
        async with self._database.transaction() as session:
            rows = (await session.scalars(of_all(select(KeyRow).order_by(KeyRow.position)))).all()
        return [key_of(row) for row in rows]

    async def revoke(self, reference: str) -> Key:
        """Make a key open nothing any more; one that was revoked before stays as it is.

        Args:
            reference: its id, or the name of one that is not revoked.

        Raises:
            NotFound: there is none.
        """
        is_meant = (KeyRow.id == reference) | (KeyRow.name == reference)
        async with self._database.transaction() as session:
            revoke = (
                update(KeyRow)
                .where(is_meant, KeyRow.revoked_at.is_(None))
                .values(revoked_at=time.time())
                .returning(KeyRow)
            )
            await self._put_on_record("revoked", (await session.scalars(of_all(revoke))).all())
            found = select(KeyRow).where(is_meant).order_by(KeyRow.position.desc()).limit(1)
            row = await session.scalar(of_all(found))
        if row is None:
            raise NotFound(
                f"There is no key {reference[:80]!r}.",
                "`python-coder keys list` names those there are.",
                param="key_id",
            )
        await asyncio.to_thread(self._known.tell)
        return key_of(row)

    async def forget_all(self) -> int:
        """Forget that there were keys; how many there were. What they made stays their owners'."""
        async with self._database.transaction() as session:
            forgotten = (await session.scalars(of_all(delete(KeyRow).returning(KeyRow)))).all()
            await self._put_on_record("forgotten", forgotten)
        await asyncio.to_thread(self._known.tell)
        return len(forgotten)

    async def _put_on_record(self, change: KeyChange, rows: Sequence[KeyRow]) -> None:
        """Within the transaction that makes the change: it is on record, or does not happen."""
        if self._trail is not None and rows:
            keys = [on_record(row) for row in rows]
            await asyncio.to_thread(self._trail.keys_changed, change, keys)

    async def any_good(self) -> bool:
        """Whether there is a key that opens something."""
        return any(key.is_good for key, _ in (await self._known.fresh()).values())

    async def are_wanted(self) -> bool:
        """Whether requests need a key: from the first one on, even when none is good any more.

        Otherwise revoking the last one would open everything to everybody.
        """
        return bool(await self._known.fresh())

    async def check(self, given: str) -> Key | Refusal:
        """The key of a request, or why it is none. Takes as long for an id that is unknown.

        Raises:
            StoreUnavailable: the database has to be asked, and cannot be.
        """
        keys = await self._known.fresh()
        parts = _KEY.fullmatch(given)
        key, digest = (keys.get(f"key-{parts[1]}") if parts else None) or (None, _NOBODY)
        is_right = hmac.compare_digest(digest_of(parts[2] if parts else given), digest)
        if key is None or not is_right:
            return "wrong"
        if key.revoked_at is not None:
            return "revoked"
        if key.has_expired:
            return "expired"
        self._note_use(key)
        return key

    async def aclose(self) -> None:
        """Keep what is known of the keys' use, and end what is still being read."""
        await self._known.aclose()
        if self._writer is not None:
            await self._writer

    def _note_use(self, key: Key) -> None:
        now = time.time()
        if now - self._used.get(key.id, key.last_used_at or 0.0) < USE_S:
            return
        self._used[key.id] = self._unwritten[key.id] = now
        if self._writer is None or self._writer.done():
            # Not awaited: a request does not wait for another writer to let go of the database.
            self._writer = asyncio.create_task(self._write_uses())

    async def _write_uses(self) -> None:
        while self._unwritten:
            key_id, used_at = self._unwritten.popitem()
            try:
                async with self._database.transaction() as session:
                    await session.execute(
                        of_all(
                            update(KeyRow).where(KeyRow.id == key_id).values(last_used_at=used_at)
                        )
                    )
            except PythonCoderError as error:
                logging.getLogger("backend.store").warning("A key's use was not kept: %s", error)


@asynccontextmanager
async def open_keys(database: Database, settings: Settings) -> AsyncIterator[KeyStore]:
    """The keys of a database; the data folder is what the processes of this machine share."""
    trail = await asyncio.to_thread(AuditTrail.of, settings)
    keys = KeyStore(database, settings.data_dir, trail)
    try:
        yield keys
    finally:
        await keys.aclose()
