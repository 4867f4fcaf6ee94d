from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

import backend.store.keys
import backend.store.known_keys
from backend.config.settings import load_settings
from backend.errors import NotFound, RequestError, StoreUnavailable
from backend.store.database import Database, open_database
from backend.store.key_records import Key
from backend.store.keys import KeyStore, open_keys
from backend.store.ownership import of_any_owner
from backend.store.tables import KeyRow


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with open_database(load_settings(database_url=url)) as opened:
        yield opened


@pytest.fixture
def keys(database: Database, tmp_path: Path) -> KeyStore:
    return KeyStore(database, tmp_path / "data")


def altered(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


async def test_a_key_opens_and_only_its_digest_is_kept(keys: KeyStore, database: Database) -> None:
    key, text = await keys.create(name="laptop", role="admin", requests_per_minute=7)
    assert await keys.check(text) == key
    assert (key.name, key.role, key.requests_per_minute) == ("laptop", "admin", 7)
    secret = text.rpartition("-")[2]
    assert len(secret) * 4 >= 256
    async with database.transaction() as session:
        row = (await session.scalars(of_any_owner(select(KeyRow), "a test"))).one()
    kept = [str(getattr(row, column.name)) for column in KeyRow.__table__.columns]
    assert hashlib.sha256(secret.encode()).hexdigest() in kept
    assert not [value for value in kept if secret in value]


async def test_only_the_whole_key_opens(keys: KeyStore) -> None:
    key, text = await keys.create(name="a")
    other, _ = await keys.create(name="b")
    swapped = text.replace(key.id[4:], other.id[4:])
    unknown = text.replace(key.id[4:], "0" * 16)
    made_up = (altered(text), swapped, unknown, text.upper(), f" {text}", text[3:], "", "é", key.id)
    for wrong in made_up:
        assert await keys.check(wrong) == "wrong"


async def test_who_has_no_key_does_not_learn_that_there_was_one(keys: KeyStore) -> None:
    _, text = await keys.create(name="a")
    soon = time.time() + 0.05
    _, short = await keys.create(name="b", expires_at=soon)
    await keys.revoke("a")
    while time.time() <= soon:
        pass
    assert (await keys.check(text), await keys.check(short)) == ("revoked", "expired")
    assert (await keys.check(altered(text)), await keys.check(altered(short))) == ("wrong", "wrong")


async def test_each_key_has_an_owner_of_its_own_unless_one_is_named(keys: KeyStore) -> None:
    first, _ = await keys.create(name="a")
    second, _ = await keys.create(name="b")
    again, _ = await keys.create(name="c", owner=first.owner)
    assert first.owner != second.owner
    assert again.owner == first.owner


async def test_a_name_means_one_key_that_opens(keys: KeyStore) -> None:
    old, _ = await keys.create(name="phone")
    with pytest.raises(RequestError, match="'phone'"):
        await keys.create(name="phone")
    assert (await keys.revoke("phone")).id == old.id
    new, text = await keys.create(name="phone")
    assert (await keys.revoke("phone")).id == new.id
    assert await keys.check(text) == "revoked"
    first_end = [key.revoked_at for key in await keys.list() if key.id == old.id]
    assert (await keys.revoke(old.id)).revoked_at == first_end[0]
    with pytest.raises(NotFound):
        await keys.revoke("tablet")


async def test_two_who_want_a_name_at_once_do_not_both_get_it(keys: KeyStore) -> None:
    made = await asyncio.gather(
        *(keys.create(name="same") for _ in range(8)), return_exceptions=True
    )
    assert len([each for each in made if isinstance(each, tuple)]) == 1
    assert {type(each) for each in made} == {tuple, RequestError}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": "a\nb"},
        {"name": " a"},
        {"name": "key-0123456789abcdef"},
        {"name": "a", "owner": "../b"},
        {"name": "a", "owner": ""},
        {"name": "a", "owner": "x" * 65},
        {"name": "a", "expires_at": 1.0},
    ],
    ids=str,
)
async def test_what_cannot_be_a_key_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    async with open_database(load_settings()) as database:
        keys = KeyStore(database, tmp_path / "data")
        with pytest.raises(RequestError):
            await keys.create(**wrong)  # type: ignore[arg-type]
        assert await keys.list() == []
        assert not await keys.are_wanted()


async def test_keys_are_wanted_from_the_first_one_on(keys: KeyStore) -> None:
    assert not await keys.are_wanted()
    await keys.create(name="a")
    assert (await keys.are_wanted(), await keys.any_good()) == (True, True)
    await keys.revoke("a")
    assert (await keys.are_wanted(), await keys.any_good()) == (True, False)
    assert await keys.forget_all() == 1
    assert not await keys.are_wanted()


async def test_a_change_on_this_machine_counts_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.store.known_keys, "FRESH_S", 1e9)
    server, command = (KeyStore(database, tmp_path / "data") for _ in range(2))
    assert not await server.are_wanted()
    key, text = await command.create(name="a")
    assert await server.check(text) == key
    await command.revoke("a")
    assert await server.check(text) == "revoked"
    await command.forget_all()
    assert not await server.are_wanted()


async def test_a_change_elsewhere_counts_when_what_is_known_is_old(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = KeyStore(database, tmp_path / "here"), KeyStore(database, tmp_path / "there")
    monkeypatch.setattr(backend.store.known_keys, "FRESH_S", 1e9)
    key, text = await there.create(name="a")
    assert await here.check(text) == key
    await there.revoke("a")
    assert await here.check(text) == key
    monkeypatch.setattr(backend.store.known_keys, "FRESH_S", 0.0)
    assert await here.check(text) == "revoked"


async def test_many_requests_at_once_ask_the_database_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyStore(database, tmp_path / "data")
    _, text = await keys.create(name="a")
    asked = 0
    transaction = database.transaction

    def counted() -> object:
        nonlocal asked
        asked += 1
        return transaction()

    monkeypatch.setattr(backend.store.known_keys, "FRESH_S", 1e9)
    monkeypatch.setattr(backend.store.keys, "USE_S", 1e12)
    monkeypatch.setattr(database, "transaction", counted)
    found = await asyncio.gather(*(keys.check(text) for _ in range(100)))
    assert all(isinstance(each, Key) for each in found)
    await asyncio.gather(*(keys.check(altered(text)) for _ in range(100)))
    assert asked == 1


async def test_all_who_wait_hear_that_keys_cannot_be_read(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyStore(database, tmp_path / "data")
    key, text = await keys.create(name="a")
    asked = 0

    def broken() -> object:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("The database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(database, "transaction", broken)
        failed = await asyncio.gather(*(keys.check(text) for _ in range(9)), return_exceptions=True)
    assert {type(each) for each in failed} == {StoreUnavailable}
    assert asked == 1
    assert await keys.check(text) == key


async def test_one_who_leaves_does_not_take_the_others_answer_along(
    database: Database, tmp_path: Path
) -> None:
    keys = KeyStore(database, tmp_path / "data")
    key, text = await keys.create(name="a")
    first, second = (asyncio.create_task(keys.check(text)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == key


async def test_the_last_use_is_kept_once_a_minute(database: Database, tmp_path: Path) -> None:
    async with open_keys(database, load_settings()) as keys:
        _, text = await keys.create(name="a")
        await keys.check(text)
    [key] = await keys.list()
    assert key.last_used_at is not None
    assert key.created_at <= key.last_used_at <= time.time()
    async with open_keys(database, load_settings()) as keys:
        await keys.check(text)
    assert [key] == await keys.list()
