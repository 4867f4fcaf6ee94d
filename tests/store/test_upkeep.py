"""What is over goes, and nothing else: files, runs, steps, and bytes that nothing refers to."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backend.api.janitor import PERIOD_S, Janitor
from backend.config.settings import load_settings
from backend.errors import NotFound
from backend.store.blobs import BlobStore
from backend.store.container_expiry import SHOWN_S
from backend.store.containers import ContainerStore
from backend.store.database import Database, owned_by
from backend.store.file_records import StoredFile
from backend.store.files import FileStore
from backend.store.responses import ResponseStore
from backend.store.run_events import append_events
from backend.store.runs import RunStore
from backend.store.session_records import ChatTurn
from backend.store.sessions import SessionStore
from backend.store.tables import ContainerRow, FileRow, RunRow
from backend.store.upkeep import ORPHAN_S, Upkeep
from backend.tools.coder.checkpoints import open_checkpointer

ON_BOTH_DATABASES = True

LONG_AGO = 2 * ORPHAN_S


@pytest.fixture
async def janitor(
    database: Database, files: FileStore, blobs: BlobStore, tmp_path: Path
) -> AsyncIterator[Janitor]:
    upkeep = Upkeep(database=database, files=files, blobs=blobs)
    async with open_checkpointer(load_settings()) as checkpointer:
        mark = tmp_path / "data" / "janitor"
        yield Janitor(upkeep=upkeep, checkpointer=checkpointer, mark=mark, keep_days=30)


async def keep(files: FileStore, content: bytes, expires_in: float | None = None) -> StoredFile:
    async with files.receive(max_bytes=1000) as incoming:
        await incoming.write(content)
        return await files.keep(
            incoming,
            owner="me",
            filename="a.csv",
            purpose="assistants",
            media_type="text/csv",
            expires_at=None if expires_in is None else time.time() + expires_in,
        )


async def put(blobs: BlobStore, content: bytes, *, age_s: float = LONG_AGO) -> str:
    sha256 = await blobs.put(content)
    grow_old(blobs.path(sha256), age_s)
    return sha256


def grow_old(path: Path, age_s: float = LONG_AGO) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


def is_kept(blobs: BlobStore, sha256: str) -> bool:
    try:
        return blobs.path(sha256).is_file()
    except NotFound:
        return False


async def begin(database: Database, *, days_ago: float = 0.0, **more: Any) -> str:
    given = {"kind": "task", "key": "k", "request": "Do it", "model": "m", **more}
    run_id = await RunStore(database).begin(owner="me", **given)
    await age(database, run_id, days_ago)
    return run_id


async def end(database: Database, run_id: str, sha256: str, *, days_ago: float = 0.0) -> None:
    made = {"name": "a.png", "media_type": "image/png", "size": 3, "sha256": sha256}
    result = {"success": True, "artifacts": [made]}
    await RunStore(database).finish(run_id, result, owner="me")
    await age(database, run_id, days_ago)


async def age(database: Database, run_id: str, days: float) -> None:
    then = time.time() - days * 86_400
    async with database.transaction() as session:
        mine = (owned_by(RunRow, "me"), RunRow.id == run_id)
        await session.execute(update(RunRow).where(*mine).values(created_at=then, updated_at=then))
        ended = update(RunRow).where(*mine, RunRow.finished_at.is_not(None))
        await session.execute(ended.values(finished_at=then))


async def test_nobody_finds_a_file_that_has_expired_and_its_bytes_go(
    janitor: Janitor, files: FileStore, blobs: BlobStore
) -> None:
    over = await keep(files, b"over", -1)
    shared = await keep(files, b"shared", -1)
    later = await keep(files, b"later", 60)
    ever = await keep(files, b"shared")
    for gone in (over, shared):
        with pytest.raises(NotFound):
            await files.get(gone.id, owner="me")
        with pytest.raises(NotFound):
            await files.delete(gone.id, owner="me")
    assert (await files.list(owner="me")).files == [ever, later]
    await janitor.clean()
    assert await files.get(later.id, owner="me") == later
    assert [is_kept(blobs, each.sha256) for each in (over, shared, later)] == [False, True, True]


async def test_containers_go_a_day_after_they_expired_unless_something_needs_them(
    janitor: Janitor, database: Database, files: FileStore, blobs: BlobStore
) -> None:
    containers, inside = ContainerStore(database), {}
    names = ("over", "long", "young", "talked-about", "under-way", "used-by-a-run")
    for name in names:
        minutes = 2 * 24 * 60 if name == "long" else 20
        await containers.create(owner="me", name=name, session_id=name, expires_after_min=minutes)
        given = {"filename": "a.csv", "purpose": "user_data", "media_type": "text/csv"}
        inside[name] = await files.add(name.encode(), owner="me", session_id=name, **given)
    uploaded = await keep(files, b"over")
    await SessionStore(database).append(
        "talked-about", [ChatTurn(role="user", content="?")], owner="me"
    )
    await begin(database, session_id="under-way")
    used = await begin(database, session_id="used-by-a-run")
    await end(database, used, inside["used-by-a-run"].sha256)
    unused_for = update(ContainerRow).where(owned_by(ContainerRow, "me"))
    async with database.transaction() as session:
        old = unused_for.where(ContainerRow.name != "young")
        await session.execute(old.values(last_active_at=time.time() - SHOWN_S - 1300))
    await janitor.clean()
    left = await containers.list(owner="me", order="asc")
    kept = ["long", "young", "talked-about", "under-way"]
    assert [each.name for each in left.containers] == kept
    assert {each.id for each in (await files.list(owner="me")).files} == {
        uploaded.id,
        *(inside[name].id for name in kept),
    }
    assert is_kept(blobs, uploaded.sha256)
    assert is_kept(blobs, inside["used-by-a-run"].sha256)


async def test_files_of_questions_that_came_to_nothing_go_after_a_day(
    janitor: Janitor, database: Database, files: FileStore, blobs: BlobStore
) -> None:
    await SessionStore(database).append("talk", [ChatTurn(role="user", content="?")], owner="me")
    await SessionStore(database).append("yours", [ChatTurn(role="user", content="?")], owner="you")
    await end(database, await begin(database, session_id="run"), "0" * 64)
    await ContainerStore(database).create(owner="me", name="c", session_id="container")
    await ResponseStore(database).add(
        {"id": "resp-1", "created_at": 1},
        owner="me",
        session_id="response",
        previous=None,
        input=[],
    )
    inside = {"filename": "a.csv", "media_type": "text/csv", "owner": "me"}
    sessions = ("talk", "run", "container", "response", "nothing", "yours", None)
    for name in sessions:
        content = str(name).encode()
        await files.add(content, purpose="user_data", session_id=name, **inside)
    made = await files.add(b"made", purpose="assistants_output", session_id="program", **inside)
    old = update(FileRow).where(owned_by(FileRow, "me")).values(created_at=time.time() - 90_000)
    async with database.transaction() as session:
        await session.execute(old)
    young = await files.add(b"young", purpose="user_data", session_id="coming", **inside)
    before = (await files.list(owner="me")).files
    await janitor.clean()
    after = (await files.list(owner="me")).files
    assert {made.id, young.id} < {each.id for each in after}
    gone = [each for each in before if each not in after]
    assert sorted(str(each.session_id) for each in gone) == ["nothing", "yours"]
    assert not any(is_kept(blobs, each.sha256) for each in gone)
    assert all(is_kept(blobs, each.sha256) for each in after)


async def test_bytes_that_nothing_refers_to_are_swept_once_they_are_old(
    janitor: Janitor, database: Database, files: FileStore, blobs: BlobStore
) -> None:
    file = await keep(files, b"a file's")
    grow_old(files.path(file))
    made, given = await put(blobs, b"a run's"), await put(blobs, b"what a run was given")
    spec = {"files": {"a.csv": {"sha256": given, "size": 1}}}
    await end(database, await begin(database, spec=spec), made)
    orphan, young = await put(blobs, b"nobody's"), await put(blobs, b"coming", age_s=1)
    again = await put(blobs, b"wanted again")
    assert await blobs.put(b"wanted again") == again
    unfinished = blobs.folder / "incoming" / "cancelled"
    unfinished.write_bytes(b"half")
    grow_old(unfinished)
    assert await janitor.upkeep.sweep() == 2
    assert not unfinished.exists()
    wanted = (file.sha256, made, given, orphan, young, again)
    assert [is_kept(blobs, each) for each in wanted] == [True, True, True, False, True, True]


async def test_what_a_run_that_can_go_on_may_have_made_is_not_swept(
    janitor: Janitor, database: Database, blobs: BlobStore
) -> None:
    run_id = await begin(database, days_ago=1)
    made = await put(blobs, b"before it was interrupted")
    assert await janitor.upkeep.sweep() == 0
    await end(database, run_id, "0" * 64)
    assert await janitor.upkeep.sweep() == 1
    assert not is_kept(blobs, made)


async def test_old_runs_go_with_what_they_made_and_saved_ones_stay(
    janitor: Janitor, database: Database, blobs: BlobStore
) -> None:
    runs = RunStore(database)
    ids = {name: await begin(database) for name in ("old", "saved", "new", "waits", "killed")}
    # Before the one began that is not over: that may have written the same.
    digests = {name: await put(blobs, name.encode(), age_s=32 * 86_400) for name in ids}
    for name in ("old", "saved", "new"):
        await end(database, ids[name], digests[name], days_ago=1 if name == "new" else 31)
    async with database.transaction() as session:
        await append_events(session, ids["old"], "me", [("run.completed", {})])
    await runs.save(ids["saved"], "mine", owner="me")
    for name in ("waits", "killed"):
        await age(database, ids[name], 31)
    async with database.transaction() as session:
        killed = (owned_by(RunRow, "me"), RunRow.id == ids["killed"])
        await session.execute(update(RunRow).where(*killed).values(status="interrupted"))
    await janitor.clean()
    kept = {run.id for run in (await runs.page(owner="me")).runs}
    assert kept == {ids["saved"], ids["new"], ids["waits"]}
    assert await runs.events.read(ids["old"], owner="me") == []
    assert [is_kept(blobs, digests[name]) for name in ("old", "saved", "new")] == [
        False,
        True,
        True,
    ]


async def test_the_steps_of_runs_that_are_over_go(janitor: Janitor, database: Database) -> None:
    over, goes_on = await begin(database), await begin(database)
    await end(database, over, "0" * 64)
    threads = (over, f"{over}/0", goes_on, f"{goes_on}/0", "run-unknown")
    for thread in threads:
        config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        checkpoint: Any = {"v": 4, "id": "1", "ts": "", "channel_values": {}}
        checkpoint |= {"channel_versions": {}, "versions_seen": {}}
        await janitor.checkpointer.aput(config, checkpoint, {"step": 1}, {"calls": 1})
    await janitor.clean()
    assert sorted(await janitor.checkpointer.athreads()) == [goes_on, f"{goes_on}/0"]  # type: ignore[attr-defined]


async def test_of_several_servers_one_cleans(janitor: Janitor) -> None:
    assert await janitor.clean_if_due()
    assert not await janitor.clean_if_due(), "it was done a moment ago"
    grow_old(janitor.mark, PERIOD_S)
    assert await janitor.clean_if_due()
