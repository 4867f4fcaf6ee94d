from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backend.errors import NotFound, RequestError
from backend.store.blobs import BlobStore
from backend.store.database import Database, owned_by
from backend.store.file_names import output_name, safe_name, working_names
from backend.store.file_records import StoredFile
from backend.store.files import FileStore
from backend.store.runs import RunStore
from backend.store.tables import RunRow
from backend.types import ArtifactRef

ON_BOTH_DATABASES = True


async def add(
    files: FileStore,
    name: str = "a.csv",
    content: bytes = b"x\n1\n",
    owner: str = "local",
    purpose: str = "assistants",
) -> StoredFile:
    async with files.receive(max_bytes=1000) as incoming:
        await incoming.write(content)
        return await files.keep(
            incoming, owner=owner, filename=name, purpose=purpose, media_type="text/csv"
        )


async def test_an_upload_is_a_file_with_its_bytes(files: FileStore) -> None:
    file = await add(files, "수치.csv")
    assert await files.get(file.id, owner="local") == file
    assert (file.filename, file.size, file.purpose) == ("수치.csv", 4, "assistants")
    assert files.path(file).read_bytes() == b"x\n1\n"


async def test_one_owner_never_sees_what_is_anothers(files: FileStore) -> None:
    file = await add(files, owner="alice")
    assert (await files.list(owner="bob")).files == []
    with pytest.raises(NotFound):
        await files.get(file.id, owner="bob")
    with pytest.raises(NotFound):
        await files.delete(file.id, owner="bob")
    with pytest.raises(NotFound):
        await files.list(owner="bob", after=file.id)
    assert (await files.list(owner="alice")).files == [file]


async def test_deleting_removes_bytes_that_no_other_file_has(files: FileStore) -> None:
    mine = await add(files, "a.csv", owner="alice")
    same = await add(files, "b.csv", owner="bob")
    await files.delete(mine.id, owner="alice")
    assert files.path(same).is_file()
    place = files.path(same)
    await files.delete(same.id, owner="bob")
    assert not place.exists()


async def begin_run(database: Database, status: str, *, began: float, seen: float) -> str:
    """A run of somebody else's that stands so, begun and last worked on so many seconds ago."""
    run_id = await RunStore(database).begin(owner="x", kind="ask", key="k", request="q", model="m")
    now = time.time()
    await change_runs(database, status=status, created_at=now - began, updated_at=now - seen)
    return run_id


async def change_runs(database: Database, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(update(RunRow).where(owned_by(RunRow, "x")).values(**values))


@pytest.mark.parametrize("status", ["running", "waiting", "interrupted", "queued"])
async def test_bytes_that_an_unfinished_run_wrote_as_well_stay_until_it_is_over(
    files: FileStore, database: Database, blobs: BlobStore, status: str
) -> None:
    mine = await add(files, owner="alice")
    run_id = await begin_run(database, status, began=60, seen=0)
    made: ArtifactRef = {"name": "t.csv", "media_type": "text/csv", "size": 4, "sha256": ""}
    made["sha256"] = await blobs.put(files.path(mine).read_bytes())
    await files.delete(mine.id, owner="alice")
    theirs = await files.add_artifact(made, owner="x")
    assert files.path(theirs).read_bytes() == b"x\n1\n"
    await change_runs(database, status="running")  # it is gone on with
    await RunStore(database).finish(run_id, {"success": True}, owner="x")
    await files.delete(theirs.id, owner="x")
    assert list(blobs.folder.glob("??/*")) == []


async def test_deleting_removes_what_no_unfinished_run_can_have_written(
    files: FileStore, database: Database
) -> None:
    before, after = await add(files, content=b"before"), await add(files, content=b"after")
    an_hour_ago = time.time() - 3600
    os.utime(files.path(before), (an_hour_ago, an_hour_ago))
    await begin_run(database, "running", began=60, seen=60)
    place = files.path(before)
    await files.delete(before.id, owner="local")
    assert not place.exists(), "it was there long before the run began"
    await begin_run(database, "waiting", began=60, seen=30)
    place = files.path(after)
    await files.delete(after.id, owner="local")
    assert not place.exists(), "it came while the run stood still"


async def test_others_add_files_while_many_are_forgotten(
    files: FileStore, database: Database, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.store.files._AT_A_TIME", 3)
    begun = asyncio.Event()

    class Told(BlobStore):
        async def discard(self, *given: Any, **more: Any) -> int:
            begun.set()
            return await super().discard(*given, **more)

    digests = [await blobs.put(bytes([number])) for number in range(12)]
    forgetting = asyncio.create_task(FileStore(database, Told(blobs.folder)).forget_bytes(digests))
    await begun.wait()
    await add(files, content=b"theirs")  # as another process would
    assert blobs.path(digests[-1]).exists(), "all were forgotten before anybody could add a file"
    await forgetting
    assert not any((blobs.folder / each[:2] / each).exists() for each in digests)


async def test_parallel_adding_and_deleting_of_the_same_bytes_loses_none(
    files: FileStore, database: Database, blobs: BlobStore
) -> None:
    stores = [files, FileStore(database, BlobStore(blobs.folder))]  # as of two processes

    async def add_and_drop(number: int) -> StoredFile:
        store = stores[number % 2]
        dropped = await add(store, f"{number}.csv")
        await stores[number % 3 % 2].delete(dropped.id, owner="local")
        return await add(store, f"{number}-kept.csv")

    kept = await asyncio.gather(*(add_and_drop(number) for number in range(12)))
    assert all(files.path(file).is_file() for file in kept)


async def test_the_same_file_sent_again_is_the_same_file(files: FileStore) -> None:
    async def again(content: bytes, name: str = "in.csv") -> StoredFile:
        return await files.add(
            content, owner="local", filename=name, purpose="user_data", media_type="text/csv"
        )

    first = await again(b"1")
    assert await again(b"1") == first
    assert (await again(b"2")).id != first.id
    assert (await again(b"1", "other.csv")).id != first.id


async def test_a_file_goes_with_its_conversation_only(files: FileStore) -> None:
    async def send(session_id: str | None) -> StoredFile:
        given = {"filename": "in.csv", "purpose": "user_data", "media_type": "text/csv"}
        return await files.add(b"1", owner="local", session_id=session_id, **given)

    sent = [await send(session_id) for session_id in ("a", "b", None, "a")]
    assert [file.session_id for file in sent] == ["a", "b", None, "a"]
    assert (sent[3], len({file.id for file in sent})) == (sent[0], 3)


async def test_what_a_program_wrote_becomes_a_file(files: FileStore, blobs: BlobStore) -> None:
    sha256 = await blobs.put(b"png")
    file = await files.add_artifact(
        {"name": "out/plot.png", "media_type": "image/png", "size": 3, "sha256": sha256},
        owner="local",
    )
    assert (file.filename, file.purpose, file.size) == ("plot.png", "assistants_output", 3)
    odd = await files.add_artifact(
        {"name": "-", "media_type": "image/png", "size": 3, "sha256": sha256}, owner="local"
    )
    assert odd.filename == "output"
    with pytest.raises(NotFound):
        await files.add_artifact(
            {"name": "x", "media_type": "a/b", "size": 1, "sha256": "0" * 64}, owner="local"
        )


@pytest.mark.parametrize(("order", "step"), [("asc", 1), ("desc", -1)])
async def test_pages_show_every_file_once_in_order(files: FileStore, order: str, step: int) -> None:
    added = [(await add(files, f"{number}.csv")).id for number in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = await files.list(owner="local", after=after, limit=2, order=order)  # type: ignore[arg-type]
        seen += [file.id for file in page.files]
        if not page.has_more:
            break
        after = seen[-1]
    assert seen == added[::step]


async def test_a_list_can_be_narrowed_to_a_purpose(files: FileStore) -> None:
    await add(files, purpose="assistants")
    wanted = await add(files, purpose="user_data")
    assert (await files.list(owner="local", purpose="user_data")).files == [wanted]


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("data.csv", "data.csv"),
        ("매출 2024.xlsx", "매출 2024.xlsx"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\a.csv", "a.csv"),
        ("/abs/path/b.json", "b.json"),
        ("a\x00b\n.csv", "a_b_.csv"),
        ("..hidden.csv", "hidden.csv"),
        ("-rf.csv", "rf.csv"),
        ("exe\u202evsc.csv", "exe_vsc.csv"),
        ('quo"te.csv', "quo_te.csv"),
        ("tar.gz.csv", "tar.gz.csv"),
        ("가" * 100 + ".csv", "가" * 65 + ".csv"),
    ],
    ids=lambda value: value[:12].encode("unicode_escape").decode(),
)
def test_names_lose_what_is_dangerous_only(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_an_escaped_name_of_a_program_s_file_stays_one_name() -> None:
    assert output_name("a\\nb.txt") == "a_nb.txt"
    assert output_name("out/\\u202egpj.exe.html") == "_u202egpj.exe.html"
    assert output_name("-") == "output"


@pytest.mark.parametrize("given", ["", "/", "..", " ", ".csv/..", "\\"], ids=repr)
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(RequestError):
        safe_name(given)


def file(number: int, name: str) -> StoredFile:
    return StoredFile(
        id=f"file-{number}",
        filename=name,
        purpose="assistants",
        media_type="text/csv",
        size=1,
        sha256="0" * 64,
        created_at=0.0,
    )


def test_two_files_with_one_name_both_have_a_place() -> None:
    placed = working_names(
        [file(1, "a.csv"), file(2, "a.csv"), file(1, "a.csv"), file(3, "a.csv"), file(4, "file_2")]
    )
    assert {name: kept.id for name, kept in placed.items()} == {
        "a.csv": "file-1",
        "file_2/a.csv": "file-2",
        "file_3/a.csv": "file-3",
        "file_2/file_2": "file-4",
    }


def test_many_files_with_one_name_are_placed_as_soon_as_a_few() -> None:
    """Somebody who sends thousands under one name is not to occupy the server for minutes."""
    many = [file(number, "a.csv") for number in range(20_000)]
    placed = working_names([*many, file(20_001, "file_20000"), file(20_002, "file_20001")])
    assert list(placed)[:2] == ["a.csv", "file_2/a.csv"]
    assert list(placed)[-3:] == ["file_20000/a.csv", "file_2/file_20000", "file_20001"]
    assert len(placed) == 20_002


async def test_nothing_unfinished_stays(files: FileStore, tmp_path: Path) -> None:
    async with files.receive(max_bytes=100) as incoming:
        await incoming.write(b"half")
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []
