"""A backup holds everything as it was at one moment, and goes back into an empty place, whole."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.config.settings import Settings, load_settings
from backend.errors import RequestError
from backend.store.audit import AuditTrail, trail_folder
from backend.store.backup import write_backup
from backend.store.blobs import BlobStore
from backend.store.change_lock import ChangeLock
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.ownership import of_any_owner
from backend.store.restoring import read_backup
from backend.store.runs import RunStore
from backend.store.session_records import ChatTurn
from backend.store.sessions import SessionStore
from backend.store.tables import FileRow, MessageRow
from backend.store.upkeep import Upkeep
from backend.tools.coder.checkpoints import open_checkpointer
from backend.types import ExecutionRequest
from tests.postgres import Cluster

Place = Callable[[str, str], Settings]
WORDS = "평균 \0 \ud800 ü"


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    def make(name: str, kind: str) -> Settings:
        url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
        return load_settings(data_dir=tmp_path / name, database_url=url)

    return make


def files_of(database: Database, settings: Settings) -> FileStore:
    return FileStore(database, BlobStore.of(settings))


async def fill(settings: Settings) -> None:
    async with open_database(settings) as database:
        files, sessions, runs = (
            files_of(database, settings),
            SessionStore(database),
            RunStore(database),
        )
        for owner in ("me", "you"):
            given = {"filename": "a.csv", "purpose": "user_data", "media_type": "text/csv"}
            await files.add(b"same", owner=owner, **given)
            await sessions.append("s", [ChatTurn(role="user", content=WORDS)], owner=owner)
        run_id = await runs.begin(owner="me", kind="ask", key="k", request="q", model="m")
        await runs.finish(run_id, {"success": True, "output": WORDS}, owner="me")
    (settings.data_dir / "link-secret").write_text("ab" * 32)


async def what_is_there(settings: Settings) -> dict[str, Any]:
    async with open_database(settings) as database:
        files, sessions, runs = (
            files_of(database, settings),
            SessionStore(database),
            RunStore(database),
        )
        told: dict[str, Any] = {"secret": (settings.data_dir / "link-secret").read_text()}
        for owner in ("me", "you"):
            kept = (await files.list(owner=owner)).files
            told[f"{owner}: files"] = [(file, files.path(file).read_bytes()) for file in kept]
            told[f"{owner}: words"] = (await sessions.messages("s", owner=owner)).messages
        [run] = (await runs.page(owner="me")).runs
        told["run"] = await runs.get(run.id, owner="me")
    return told


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        ("sqlite", "b.tar", "sqlite"),
        ("sqlite", "b.tar.gz", "postgresql"),
        ("postgresql", "b.tgz", "sqlite"),
    ],
)
async def test_what_was_kept_is_there_again(
    place: Place, tmp_path: Path, kind: str, name: str, other: str
) -> None:
    before, after = place("before", kind), place("after", other)
    await fill(before)
    expected = await what_is_there(before)
    written = write_backup(before, tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert [path for path in before.data_dir.iterdir() if path.name.startswith("backup-")] == []
    async with open_database(after):
        pass
    assert read_backup(after, tmp_path / name) == written
    assert await what_is_there(after) == expected
    assert written.rows["messages"] == 2
    assert (written.files, written.bytes) == (1, 4)
    async with open_database(after) as database:  # new rows stand behind the old ones
        await SessionStore(database).append(
            "s", [ChatTurn(role="user", content="more")], owner="me"
        )


async def test_the_steps_of_unfinished_runs_go_from_one_postgresql_to_another(
    postgres: Cluster, tmp_path: Path
) -> None:
    with postgres.database() as first, postgres.database() as second:
        before = load_settings(data_dir=tmp_path / "before", database_url=first)
        after = load_settings(data_dir=tmp_path / "after", database_url=second)
        thread: Any = {"configurable": {"thread_id": "run-1", "checkpoint_ns": ""}}
        values: Any = {"text": WORDS, "items": ["x", b"bytes"]}
        steps: Any = {"v": 4, "id": "1", "ts": "", "channel_values": values, "versions_seen": {}}
        steps["channel_versions"] = dict.fromkeys(values, "1")
        async with open_database(before), open_checkpointer(before) as checkpointer:
            await checkpointer.aput(thread, steps, {}, steps["channel_versions"])
            expected = await checkpointer.aget_tuple(thread)
        write_backup(before, tmp_path / "b.tar")
        async with open_database(after), open_checkpointer(after) as checkpointer:
            read_backup(after, tmp_path / "b.tar")
            assert await checkpointer.aget_tuple(thread) == expected
            assert expected is not None
            with pytest.raises(RequestError, match="steps of runs"):
                read_backup(after, tmp_path / "b.tar")


async def test_nothing_is_overwritten(place: Place, tmp_path: Path) -> None:
    full, empty = place("full", "sqlite"), place("empty", "sqlite")
    await fill(full)
    write_backup(full, tmp_path / "b.tar")
    with pytest.raises(RequestError, match="already"):
        write_backup(full, tmp_path / "b.tar")
    expected = await what_is_there(full)
    with pytest.raises(RequestError, match="not empty"):
        read_backup(full, tmp_path / "b.tar")
    assert await what_is_there(full) == expected
    await fill(empty)
    for path in (*empty.data_dir.glob("blobs/??/*"), empty.data_dir / "link-secret"):
        path.unlink()
    with pytest.raises(RequestError, match=r"2 rows in '"):
        read_backup(empty, tmp_path / "b.tar")


async def test_the_audit_trail_comes_back_and_none_is_overwritten(
    place: Place, tmp_path: Path
) -> None:
    before = place("before", "sqlite")
    await fill(before)
    trail = AuditTrail(trail_folder(before), days=0)
    old, today = b'{"record":"began","id":"1"}\n', datetime.now(UTC).date()
    trail.began(ExecutionRequest(code="print(1)"), "passed")
    (trail_folder(before) / "2020-01-02.jsonl").write_bytes(old)
    (trail_folder(before) / "20200103.jsonl").write_bytes(b"nobody's")
    assert write_backup(before, tmp_path / "b.tar").days == 2
    kept = (trail_folder(before) / f"{today}.jsonl").read_bytes()
    for name, already, comes_back in (
        ("empty", None, True),
        ("has more", kept + b"more\n", True),
        ("has less", kept[:-10], False),
        ("has another", b"x" * len(kept), False),
    ):
        after = place(name, "sqlite")
        day, other = (trail_folder(after) / f"{each}.jsonl" for each in (today, "2020-01-02"))
        if already is not None:
            day.parent.mkdir(parents=True)
            day.write_bytes(already)
        async with open_database(after):
            pass
        if comes_back:
            assert read_backup(after, tmp_path / "b.tar").days == 2
            assert (day.read_bytes(), other.read_bytes()) == (already or kept, old)
            assert {stat.S_IMODE(each.stat().st_mode) for each in (other,)} == {0o600}
        else:
            with pytest.raises(RequestError, match=r"has .* already"):
                read_backup(after, tmp_path / "b.tar")
            assert (day.read_bytes(), other.exists()) == (already, False)
            assert list(after.data_dir.glob("blobs/??/*")) == []


async def test_it_is_whole_though_others_write_and_remove_meanwhile(
    place: Place, tmp_path: Path
) -> None:
    before, after = place("before", "sqlite"), place("after", "sqlite")
    async with open_database(before) as database:
        files, sessions = files_of(database, before), SessionStore(database)

        async def live(owner: str) -> None:
            for number in range(12):
                given = {"filename": "a.csv", "purpose": "user_data", "media_type": "text/csv"}
                file = await files.add(f"{owner} {number}".encode(), owner=owner, **given)
                pair = [ChatTurn(role="user", content="?"), ChatTurn(role="assistant", content="!")]
                await sessions.append("s", pair, owner=owner)
                if number % 3:
                    await files.delete(file.id, owner=owner)

        lives = asyncio.gather(*(live(f"owner-{number}") for number in range(4)))
        taken = 0
        while not lives.done():
            await asyncio.to_thread(write_backup, before, tmp_path / f"{taken}.tar")
            taken += 1
        await lives
    async with open_database(after) as database:
        await asyncio.to_thread(read_backup, after, tmp_path / f"{taken - 1}.tar")
        async with database.transaction() as session:
            everything = of_any_owner(select(FileRow.sha256), "a test")
            digests = (await session.scalars(everything)).all()
            turns = await session.scalar(
                of_any_owner(select(func.count(MessageRow.position)), "a test")
            )
    assert digests
    assert all(BlobStore.of(after).path(each).is_file() for each in digests)
    assert turns
    assert turns % 2 == 0


async def test_nothing_is_swept_while_a_backup_is_being_begun(place: Place, tmp_path: Path) -> None:
    settings = place("swept", "sqlite")
    async with open_database(settings) as database:
        files = files_of(database, settings)
        blobs = BlobStore.of(settings)
        path = blobs.path(await blobs.put(b"nobody's"))
        os.utime(path, (1, 1))
        upkeep = Upkeep(database=database, files=files, blobs=blobs)
        # As a backup does while it takes hold of everything.
        async with ChangeLock(blobs.folder / "lock").adding():
            sweeping = asyncio.create_task(upkeep.sweep())
            done, _ = await asyncio.wait([sweeping], timeout=0.3)
            assert (done, path.is_file()) == (set(), True)
        assert await sweeping == 1
        assert not path.exists()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_end(content: bytes) -> bytes:
    return rebuilt(content, lambda name, part: None if name == "end.json" else (name, part))


def without_a_row(content: bytes) -> bytes:
    return rebuilt(content, lambda name, part: (name, b"" if "messages" in name else part))


def with_other_bytes(content: bytes) -> bytes:
    return rebuilt(content, lambda name, part: (name, b"evil" if "blobs" in name else part))


def with_a_path(content: bytes) -> bytes:
    return rebuilt(content, lambda name, part: (name.replace("files/", "../../"), part))


def of_a_newer_version(content: bytes) -> bytes:
    newer = b'{"format": 1, "version": "9999"}'
    return rebuilt(content, lambda name, part: (name, newer if name == "manifest.json" else part))


def rebuilt(content: bytes, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> bytes:
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        for entry in old:
            file = old.extractfile(entry)
            assert file is not None
            changed = change(entry.name, file.read())
            if changed is not None:
                made = tarfile.TarInfo(changed[0])
                made.size = len(changed[1])
                new.addfile(made, io.BytesIO(changed[1]))
    return out.getvalue()


def without_contents(content: bytes) -> bytes:
    """As of the version before there was the table."""

    def change(name: str, part: bytes) -> tuple[str, bytes] | None:
        if name == "end.json":
            end = json.loads(part)
            del end["rows"]["run_contents"]
            part = json.dumps(end).encode()
        return None if "run_contents" in name else (name, part.replace(b'"0003"', b'"0002"'))

    return rebuilt(content, change)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
async def test_bytes_of_restored_runs_are_in_use(place: Place, tmp_path: Path, old: bool) -> None:
    before, after = place("before", "sqlite"), place("after", "sqlite")
    async with open_database(before) as database:
        sha256 = await BlobStore.of(before).put(b"a table")
        made = {"name": "t.csv", "media_type": "text/csv", "size": 7, "sha256": sha256}
        run_id = await RunStore(database).begin(owner="x", kind="ask", key="", request="", model="")
        await RunStore(database).finish(run_id, {"artifacts": [made]}, owner="x")
    write_backup(before, tmp_path / "b.tar")
    content = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "c.tar").write_bytes(without_contents(content) if old else content)
    async with open_database(after) as database:
        await asyncio.to_thread(read_backup, after, tmp_path / "c.tar")
        files = files_of(database, after)
        await files.forget_bytes([sha256])
        assert await BlobStore.of(after).get(sha256) == b"a table"
        assert (await RunStore(database).delete(run_id, owner="x")).unused == {sha256}


async def test_what_is_no_whole_backup_changes_nothing(place: Place, tmp_path: Path) -> None:
    before, after = place("before", "sqlite"), place("after", "sqlite")
    await fill(before)
    await BlobStore.of(before).put(os.urandom(100_000))  # half of the backup ends within it
    write_backup(before, tmp_path / "b.tar")
    content = (tmp_path / "b.tar").read_bytes()
    changes: list[Callable[[bytes], bytes]] = [cut, without_end, without_a_row, with_other_bytes]
    changes += [with_a_path, of_a_newer_version, lambda _: b"no tar", lambda _: b""]
    changes += [lambda all_of_it: cut(gzip.compress(all_of_it))]
    bad = tmp_path / "bad.tar"
    async with open_database(after) as database:
        for change in changes:
            bad.write_bytes(change(content))
            with pytest.raises(RequestError, match="backup"):
                await asyncio.to_thread(read_backup, after, bad)
        with pytest.raises(RequestError, match="no file"):
            await asyncio.to_thread(read_backup, after, tmp_path / "absent.tar")
        assert (await files_of(database, after).list(owner="me")).files == []
        assert list(after.data_dir.glob("blobs/??/*")) == []
        assert not (after.data_dir / "link-secret").exists()
        # What failed stands in nobody's way.
        await asyncio.to_thread(read_backup, after, tmp_path / "b.tar")
