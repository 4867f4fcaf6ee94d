from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, update

from backend.errors import NotFound, RequestError
from backend.store.database import Database, owned_by
from backend.store.files import FileStore
from backend.store.processes import presence_of, this_process
from backend.store.run_rows import STALE_S
from backend.store.runs import RunStore
from backend.store.tables import RunRow
from tests.store.conftest import ON_BOTH

RESULT: dict[str, Any] = {
    "success": True,
    "code": "print(1)",
    "output": "1\n",
    "usage": {"calls": 2},
    "timings": {"total_s": 0.5},
    "isolation": {"executor": "local", "tier": "A", "walls": []},
}
IN_A_PROCESS = """\
import asyncio, sys
from backend.config.settings import load_settings
from backend.store.database import open_database
from backend.store.runs import RunStore

async def main():
    async with open_database(load_settings()) as database:
        runs = RunStore(database)
        {body}

asyncio.run(main())
"""
BEGIN = """\
print(await runs.begin(owner="me", kind="task", key="k", request="Do it", model="m"), flush=True)
        if sys.argv[1:] == ["stay"]:
            sys.stdin.read()
"""
CLAIM = """\
print("ready", flush=True)
        sys.stdin.read()
        print(await runs.interrupted.claim(sys.argv[1], owner="me"), flush=True)
"""


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


ASKED: dict[str, Any] = {"kind": "task", "key": "k", "request": "Do it", "model": "scripted"}


async def begin(runs: RunStore, owner: str = "me", **more: Any) -> str:
    return await runs.begin(owner=owner, **{**ASKED, **more})


def start(body: str, *args: str) -> subprocess.Popen[str]:
    program = IN_A_PROCESS.format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", program, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def begin_elsewhere(end: Callable[[subprocess.Popen[str]], None]) -> str:
    """Begin a run in a process of its own, which then ends as told."""
    with start(BEGIN, "stay") as process:
        run_id = await asyncio.to_thread(first_line, process)
        end(process)
        await asyncio.to_thread(process.wait)
    return run_id


@ON_BOTH
async def test_a_run_is_recorded_from_its_beginning_to_its_result(runs: RunStore) -> None:
    spec = {"context": "c", "files": {"a.csv": {"sha256": "0" * 64, "size": 3}}}
    run_id = await begin(runs, spec=spec, session_id="s", request="평균?")
    begun = await runs.get(run_id, owner="me")
    assert (begun.status, begun.result, begun.finished_at) == ("running", None, None)
    assert (begun.request, begun.spec, begun.session_id) == ("평균?", spec, "s")
    await runs.finish(run_id, RESULT, owner="me")
    ended = await runs.get(run_id, owner="me")
    assert (ended.status, ended.code, ended.result) == ("completed", "print(1)", RESULT)
    assert (ended.usage, ended.timings) == ({"calls": 2}, {"total_s": 0.5})
    assert ended.isolation == RESULT["isolation"]
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.created_at


@pytest.mark.parametrize(
    ("result", "status", "recorded"),
    [
        pytest.param({"success": False}, None, "failed", id="without success"),
        pytest.param(None, "cancelled", "cancelled", id="cancelled"),
        pytest.param(None, None, "failed", id="no result"),
    ],
)
async def test_how_a_run_ended(runs: RunStore, result: Any, status: Any, recorded: str) -> None:
    run_id = await begin(runs)
    await runs.finish(run_id, result, owner="me", status=status)
    assert (await runs.get(run_id, owner="me")).status == recorded
    assert await runs.find_completed(owner="me", key="k") is None


async def test_the_program_of_an_answer_is_its_last_one(runs: RunStore) -> None:
    run_id = await begin(runs, kind="ask")
    uses = [{"code": "print(1)"}, {"code": "print(2)"}, {"code": ""}]
    await runs.finish(run_id, {"success": True, "python_coder_results": uses}, owner="me")
    assert (await runs.get(run_id, owner="me")).code == "print(2)"


async def test_what_was_learnt_on_the_way_is_kept_with_the_result(runs: RunStore) -> None:
    run_id = await begin(runs, spec={"context": "c"})
    learnt: dict[str, Any] = {"columns": {"a.csv": ["x"]}, "prompts": {"act": ["h1", "h2"]}}
    await runs.finish(run_id, RESULT, owner="me", **learnt)
    run = await runs.get(run_id, owner="me")
    assert run.spec == {"context": "c", "columns": {"a.csv": ["x"]}}
    assert (run.prompts, run.result) == ({"act": ["h1", "h2"]}, RESULT)


async def test_a_request_that_no_database_takes_is_recorded_all_the_same(runs: RunStore) -> None:
    run_id = await begin(runs, request="a\udc80b\0c")
    assert (await runs.get(run_id, owner="me")).request == r"a\udc80b\x00c"


async def test_one_owner_never_sees_or_changes_what_is_anothers(runs: RunStore) -> None:
    run_id = await begin(runs, owner="alice")
    await runs.finish(run_id, RESULT, owner="alice")
    refused = [
        runs.get(run_id, owner="bob"),
        runs.find(run_id, owner="bob"),
        runs.page(owner="bob", after=run_id),
        runs.finish(run_id, RESULT, owner="bob"),
        runs.save(run_id, "mine", owner="bob"),
        runs.delete(run_id, owner="bob"),
    ]
    for attempt in refused:
        with pytest.raises(NotFound):
            await attempt
    assert await runs.find_completed(owner="bob", key="k") is None
    assert (await runs.page(owner="bob")).runs == []
    assert (await runs.prune(0, owner="bob")).count == 0
    assert (await runs.get(run_id, owner="alice")).prompts == {}


async def test_a_run_is_begun_unless_an_identical_request_of_its_owner_stands_so(
    runs: RunStore,
) -> None:
    await runs.finish(await begin(runs, owner="alice"), RESULT, owner="alice")
    begun, known_as = await runs.begin_unless({"completed"}, owner="alice", **ASKED)
    assert (begun, known_as) == (None, {"completed"})
    begun, known_as = await runs.begin_unless({"running"}, owner="alice", **ASKED)
    assert begun is not None and known_as == {"completed"}
    assert (await runs.get(begun, owner="alice")).status == "running"
    begun, known_as = await runs.begin_unless({"completed", "running"}, owner="bob", **ASKED)
    assert begun is not None and known_as == frozenset()


async def test_the_newest_success_of_an_identical_request_is_found(runs: RunStore) -> None:
    for output in ("old", "new"):
        await runs.finish(await begin(runs), {**RESULT, "output": output}, owner="me")
    await runs.finish(await begin(runs), {**RESULT, "success": False}, owner="me")
    await runs.finish(await begin(runs, key="other"), {**RESULT, "output": "x"}, owner="me")
    found = await runs.find_completed(owner="me", key="k")
    assert found is not None
    assert found.result is not None
    assert found.result["output"] == "new"


async def test_runs_are_listed_page_by_page(runs: RunStore) -> None:
    ids = [await begin(runs) for _ in range(5)]
    await runs.finish(ids[1], RESULT, owner="me")
    first = await runs.page(owner="me", limit=2)
    assert [run.id for run in first.runs] == [ids[4], ids[3]]
    assert first.has_more
    rest = await runs.page(owner="me", after=ids[3], limit=3)
    assert ([run.id for run in rest.runs], rest.has_more) == ([ids[2], ids[1], ids[0]], False)
    done = await runs.page(owner="me", status="completed")
    assert [run.id for run in done.runs] == [ids[1]]


@ON_BOTH
async def test_a_run_is_found_by_the_beginning_of_its_id_or_by_its_name(
    runs: RunStore, database: Database
) -> None:
    ids = [await begin(runs) for _ in range(2)]
    async with database.transaction() as session:
        for old, new in zip(ids, ("run-abc1", "run-abd2"), strict=True):
            await session.execute(
                update(RunRow).where(owned_by(RunRow, "me"), RunRow.id == old).values(id=new)
            )
    for reference in ("run-abc1", "run-abc", "abc", "ABC"):
        assert (await runs.find(reference, owner="me")).id == "run-abc1"
    with pytest.raises(RequestError, match=r"several.*'ab'.*run-abc1, run-abd2"):
        await runs.find("ab", owner="me")
    await runs.save("run-abd2", " monthly ", owner="me")
    assert (await runs.find("monthly", owner="me")).id == "run-abd2"
    for absent in ("", "run-", "%", "a_c", "xyz"):
        with pytest.raises(NotFound):
            await runs.find(absent, owner="me")


async def test_a_name_is_given_once(runs: RunStore) -> None:
    first, second = [await begin(runs) for _ in range(2)]
    await runs.save(first, "monthly", owner="me")
    with pytest.raises(RequestError, match="Another run is saved as 'monthly'"):
        await runs.save(second, "monthly", owner="me")
    await runs.save(await begin(runs, owner="you"), "monthly", owner="you")
    saved = await runs.page(owner="me", saved=True)
    assert [run.name for run in saved.runs] == ["monthly"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "run-1", "\x1b[2J"])
async def test_what_cannot_be_a_name(runs: RunStore, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name"):
        await runs.save(await begin(runs), name, owner="me")


@ON_BOTH
async def test_pruning_keeps_the_newest_the_saved_and_the_running(runs: RunStore) -> None:
    running = await begin(runs)
    saved, *others = [await begin(runs) for _ in range(5)]
    for run_id in (saved, *others):
        await runs.finish(run_id, RESULT, owner="me")
    await runs.save(saved, "mine", owner="me")
    assert (await runs.prune(2, owner="me")).count == 2
    left = [run.id for run in (await runs.page(owner="me", order="asc")).runs]
    assert left == [running, saved, *others[2:]]
    assert (await runs.prune(0, owner="me")).count == 2


async def test_a_deleted_run_is_gone(runs: RunStore) -> None:
    run_id = await begin(runs)
    await runs.delete(run_id, owner="me")
    with pytest.raises(NotFound, match="runs list"):
        await runs.get(run_id, owner="me")


@ON_BOTH
async def test_bytes_are_unused_once_no_run_and_no_file_refers_to_them(
    runs: RunStore, files: FileStore
) -> None:
    mine, shared, uploaded = "1" * 64, "2" * 64, await files_digest(files)
    made = [{"name": "f", "sha256": digest} for digest in (mine, shared, uploaded)]
    use = {"success": True, "artifacts": made[:1]}
    first, second = await begin(runs), await begin(runs, owner="you")
    await runs.finish(
        first, {"success": True, "artifacts": made, "python_coder_results": [use]}, owner="me"
    )
    await runs.finish(second, {"success": True, "artifacts": made[1:]}, owner="you")
    assert (await runs.delete(first, owner="me")).unused == {mine}
    assert (await runs.prune(0, owner="you")).unused == {shared}


@ON_BOTH
async def test_bytes_of_a_run_that_waits_are_used_until_it_is_left(runs: RunStore) -> None:
    made = {"artifacts": [{"name": "f", "sha256": "1" * 64}]}
    waits, over = await begin(runs), await begin(runs, owner="you")
    await runs.waiting.wait(waits, made, owner="me", pending={"digest": "d", "code": ""})
    await runs.finish(over, made, owner="you")
    assert (await runs.delete(over, owner="you")).unused == set()
    await runs.waiting.leave(waits, {"success": False}, owner="me")
    over = await begin(runs, owner="you")
    await runs.finish(over, made, owner="you")
    assert (await runs.delete(over, owner="you")).unused == {"1" * 64}


@ON_BOTH
async def test_forgetting_a_run_reads_no_result_but_its_own(
    runs: RunStore, database: Database
) -> None:
    mine, others = await begin(runs), await begin(runs, owner="you")
    await runs.finish(mine, {"artifacts": [{"name": "f", "sha256": "1" * 64}]}, owner="me")
    await runs.finish(others, {"artifacts": [{"name": "f", "sha256": "2" * 64}]}, owner="you")
    asked: list[str] = []
    engine = database._engine.sync_engine

    def note(_connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        asked.append(words)

    event.listen(engine, "before_cursor_execute", note)
    await runs.delete(mine, owner="me")
    event.remove(engine, "before_cursor_execute", note)
    assert any("DELETE FROM runs" in words for words in asked)
    assert not [words for words in asked if "SELECT" in words and "result" in words]


async def files_digest(files: FileStore) -> str:
    given = {"filename": "a.txt", "purpose": "assistants", "media_type": "text/plain"}
    return (await files.add(b"uploaded", owner="anybody", **given)).sha256


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda process: process.send_signal(signal.SIGKILL), id="killed"),
        pytest.param(lambda process: process.stdin.close(), id="left without a word"),
    ],
)
async def test_a_run_whose_process_is_gone_is_interrupted_and_claimed_once(
    runs: RunStore, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    run_id = await begin_elsewhere(end)
    found = await runs.interrupted.find(owner="me", key="k")
    assert found is not None
    assert (found.id, found.status) == (run_id, "interrupted")
    assert await runs.interrupted.claim(run_id, owner="you") is False
    assert [await runs.interrupted.claim(run_id, owner="me") for _ in range(2)] == [True, False]
    assert (await runs.get(run_id, owner="me")).status == "running"
    assert await runs.interrupted.find(owner="me", key="k") is None, "it is ours now, and we live"


async def test_of_several_processes_one_claims_it(runs: RunStore) -> None:
    run_id = await begin_elsewhere(lambda process: process.kill())
    assert await runs.interrupted.mark(owner="me") == 1
    rivals = [start(CLAIM, run_id) for _ in range(4)]
    for rival in rivals:
        assert await asyncio.to_thread(first_line, rival) == "ready"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.close()
    said = [await asyncio.to_thread(first_line, rival) for rival in rivals]
    for rival in rivals:
        rival.wait()
        assert rival.stdout is not None
        rival.stdout.close()
    assert sorted(said) == ["False", "False", "False", "True"]


async def test_a_run_of_a_process_that_lives_is_nobody_elses(runs: RunStore) -> None:
    await begin(runs)
    with start(BEGIN, "stay") as process:
        await asyncio.to_thread(first_line, process)
        assert await runs.interrupted.mark(owner="me") == 0
        assert await runs.interrupted.find(owner="me", key="k") is None
        process.kill()


async def test_a_run_on_another_machine_counts_as_interrupted_after_long_silence(
    runs: RunStore, database: Database
) -> None:
    await begin(runs)
    await _set(database, process="elsewhere boot 1 2 3")
    assert await runs.interrupted.mark(owner="me") == 0
    await _set(database, updated_at=RunRow.updated_at - STALE_S - 1)
    assert await runs.interrupted.mark(owner="me") == 1


async def _set(database: Database, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(update(RunRow).where(owned_by(RunRow, "me")).values(**values))


def test_a_process_is_known_by_more_than_its_number() -> None:
    here = this_process()
    host, boot, namespace, pid, ticks = here.split(" ")
    assert (presence_of(here), pid) == ("alive", str(os.getpid()))
    assert presence_of(f"{host} {boot} {namespace} {pid} {int(ticks) - 1}") == "gone"
    assert presence_of(f"{host} another-boot {namespace} {pid} {ticks}") == "gone"
    assert presence_of(f"{host} {boot} 1 {pid} {ticks}") == "unknown"
    assert presence_of(f"elsewhere {boot} {namespace} {pid} {ticks}") == "unknown"
    assert presence_of(f"{host} {pid}") == "unknown", "as another version names it"


def test_a_process_that_nobody_has_waited_for_is_gone() -> None:
    name = "from backend.store.processes import this_process; print(this_process())"
    with subprocess.Popen([sys.executable, "-c", name], stdout=subprocess.PIPE, text=True) as child:
        said = first_line(child)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert presence_of(said) == "gone"


@ON_BOTH
async def test_several_write_at_once(runs: RunStore) -> None:
    async def work(number: int) -> None:
        run_id = await begin(runs, key=str(number))
        await runs.finish(run_id, {**RESULT, "output": str(number)}, owner="me")

    writers = [start(BEGIN) for _ in range(3)]
    await asyncio.gather(*(work(number) for number in range(20)))
    for writer in writers:
        out, _ = await asyncio.to_thread(writer.communicate)
        assert out.startswith("run-")
    page = await runs.page(owner="me")
    assert len(page.runs) == 23
    done = await runs.find_completed(owner="me", key="7")
    assert done is not None
    assert json.loads(json.dumps(done.result))["output"] == "7"
