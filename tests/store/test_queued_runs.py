"""The queue of runs in the background: taken by one, fairly, given back, ended, answered once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import update

from backend.errors import NotFound, RunTaken
from backend.store.database import Database, owned_by
from backend.store.processes import this_process
from backend.store.run_records import Run
from backend.store.run_rows import LOST_S
from backend.store.runs import RunStore
from backend.store.tables import RunRow
from tests.store.conftest import ON_BOTH

DEAD = this_process().rpartition(" ")[0].rpartition(" ")[0] + " 4194304 1"
ELSEWHERE = "another-machine boot 1 1 1"


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


async def add(runs: RunStore, run_id: str, owner: str = "me", session_id: str | None = None) -> Run:
    run, is_new = await runs.queued.add(
        run_id, owner=owner, request="Do it", model="m", spec={"job": {}}, session_id=session_id
    )
    assert is_new
    return run


async def take(runs: RunStore, **busy: int) -> Run | None:
    return await runs.queued.take(busy=busy, last={})


async def change(database: Database, run_id: str, owner: str = "me", **values: Any) -> None:
    async with database.transaction() as session:
        this = (owned_by(RunRow, owner), RunRow.id == run_id)
        await session.execute(update(RunRow).where(*this).values(**values))


async def kinds(runs: RunStore, run_id: str) -> list[str]:
    return [event.kind for event in await runs.events.read(run_id, owner="me")]


async def test_the_same_id_is_the_same_run_and_nobody_elses(runs: RunStore) -> None:
    first = await add(runs, "run-1")
    assert (first.status, first.background, first.key) == ("queued", True, "")
    again, is_new = await runs.queued.add(
        "run-1", owner="me", request="Other", model="m", spec={}, session_id=None
    )
    assert (again.request, is_new) == ("Do it", False)
    with pytest.raises(NotFound):
        await runs.queued.add(
            "run-1", owner="you", request="Mine", model="m", spec={}, session_id=None
        )
    assert await kinds(runs, "run-1") == ["run.queued"]


async def test_owners_are_served_in_turn_and_an_owners_runs_in_their_order(runs: RunStore) -> None:
    for run_id, owner in (("run-1", "ann"), ("run-2", "ann"), ("run-3", "ben"), ("run-4", "cid")):
        await add(runs, run_id, owner)
    taken = [await take(runs), await take(runs, ann=1), await take(runs, ann=1, ben=1)]
    assert [run.id for run in taken if run] == ["run-1", "run-3", "run-4"]
    last = await take(runs, ann=1)
    assert last is not None
    assert (last.id, last.status, last.process) == ("run-2", "running", this_process())
    assert await take(runs) is None


@ON_BOTH
async def test_of_a_session_one_is_taken_at_a_time_whoever_looks(
    runs: RunStore, database: Database
) -> None:
    for run_id, owner in (("run-1", "ann"), ("run-2", "ann"), ("run-3", "ben")):
        await add(runs, run_id, owner, "s")
    assert (
        await runs.queued.take(busy={}, last={}, without_sessions={("ann", "s"), ("ben", "s")})
        is None
    )
    taken = [await take(runs) for _ in range(3)]
    assert [run and run.id for run in taken] == ["run-1", "run-3", None], "of each owner's session"
    await change(database, "run-1", owner="ann", process=ELSEWHERE)
    assert await take(runs) is None
    await runs.queued.hand_back("run-3", owner="ben")
    await change(database, "run-1", owner="ann", status="cancelled")
    left = [await take(runs), await take(runs)]
    assert {run.id for run in left if run} == {"run-2", "run-3"}


async def test_who_was_served_longest_ago_comes_first(runs: RunStore) -> None:
    await add(runs, "run-1", "ann")
    await add(runs, "run-2", "ben")
    run = await runs.queued.take(busy={}, last={"ann": 2.0, "ben": 1.0})
    assert run is not None
    assert run.id == "run-2"


async def test_what_is_not_to_be_taken_stays_and_keeps_nobody_else_from_it(runs: RunStore) -> None:
    await add(runs, "run-1")
    await add(runs, "run-2")
    run = await runs.queued.take(busy={}, last={}, without={"run-1"})
    assert run is not None
    assert run.id == "run-2"
    assert await runs.queued.take(busy={}, last={}, without={"run-1"}) is None
    assert await take(runs) is not None


async def test_of_many_that_take_at_once_each_gets_another_one(runs: RunStore) -> None:
    for number in range(4):
        await add(runs, f"run-{number}")
    found = await asyncio.gather(*(take(runs) for _ in range(12)))
    ids = [run.id for run in found if run]
    assert len(ids) == len(set(ids))
    while (run := await take(runs)) is not None:
        ids.append(run.id)
    assert sorted(ids) == [f"run-{number}" for number in range(4)]


@pytest.mark.parametrize(("key", "status"), [("", "queued"), ("k", "interrupted")])
async def test_what_is_handed_back_is_taken_again(runs: RunStore, key: str, status: str) -> None:
    await add(runs, "run-1")
    run = await take(runs)
    assert run is not None
    if key:
        await runs.queued.begin(run, owner="me", key=key, model="m", spec={"options": {}})
    await runs.queued.hand_back("run-1", owner="me")
    left = await runs.get("run-1", owner="me")
    assert (left.status, "job" in left.spec, left.key) == (status, True, key)
    assert await take(runs) is not None
    await runs.finish("run-1", {"success": True}, owner="me")
    await runs.queued.hand_back("run-1", owner="me")
    assert (await runs.get("run-1", owner="me")).status == "completed", "it is over"


@pytest.mark.parametrize(
    ("process", "quiet_s", "here", "expected"),
    [
        (DEAD, 0.0, [], "interrupted"),
        (this_process(), 60.0, [], "interrupted"),
        (this_process(), 60.0, ["run-1"], "running"),
        (this_process(), 0.0, [], "running"),
        (ELSEWHERE, LOST_S - 60, [], "running"),
        (ELSEWHERE, LOST_S + 60, [], "interrupted"),
    ],
    ids=["dead", "lost here", "under way here", "begun just now", "gave a sign", "gave none"],
)
async def test_what_nobody_works_on_is_taken_again(
    runs: RunStore, database: Database, process: str, quiet_s: float, here: Any, expected: str
) -> None:
    await add(runs, "run-1")
    await take(runs)
    await change(database, "run-1", process=process, updated_at=RunRow.updated_at - quiet_s)
    await runs.queued.interrupt_abandoned(here, quiet_s=10)
    assert (await runs.get("run-1", owner="me")).status == expected
    if process == ELSEWHERE and expected == "running":
        since = RunRow.updated_at - LOST_S
        await change(database, "run-1", process=this_process(), updated_at=since)
        await runs.queued.touch(["run-1"])
        await change(database, "run-1", process=ELSEWHERE)
        assert await runs.queued.interrupt_abandoned([], quiet_s=10) == 0


ENDS: dict[str, Callable[[RunStore, Run], Awaitable[None]]] = {
    "begin": lambda runs, run: runs.queued.begin(run, owner="me", key="k", model="m", spec={}),
    "wait": lambda runs, run: runs.waiting.wait(run.id, {}, owner="me", pending={"code": ""}),
    "finish": lambda runs, run: runs.finish(run.id, {"success": True}, owner="me"),
    "learn": lambda runs, run: runs.finish(run.id, {}, owner="me", columns={"a.csv": ["x"]}),
}


@ON_BOTH
@pytest.mark.parametrize("end", ENDS)
async def test_a_run_that_another_process_took_is_its_own(
    runs: RunStore, database: Database, end: str
) -> None:
    await add(runs, "run-1")
    run = await take(runs)
    assert run is not None
    await change(database, "run-1", process=ELSEWHERE)
    sign = (await runs.get("run-1", owner="me")).updated_at
    assert await runs.queued.touch(["run-1"]) == ["run-1"]
    with pytest.raises(RunTaken):
        await ENDS[end](runs, run)
    now = await runs.get("run-1", owner="me")
    assert (now.status, now.process, now.updated_at) == ("running", ELSEWHERE, sign)
    assert (now.key, now.spec, now.result) == (run.key, run.spec, None)


async def test_what_was_given_up_for_lost_and_not_taken_is_recorded_all_the_same(
    runs: RunStore, database: Database
) -> None:
    await add(runs, "run-1")
    await take(runs)
    await change(database, "run-1", status="interrupted")
    assert await runs.queued.touch(["run-1"]) == []
    await runs.finish("run-1", {"success": True}, owner="me")
    with pytest.raises(RunTaken, match="it is completed"):
        await runs.finish("run-1", {"success": False}, owner="me")


@pytest.mark.parametrize(
    "left", [{"process": DEAD}, {"updated_at": time.time() - 3700}], ids=["died", "forgot it"]
)
async def test_what_somebody_waited_for_is_marked_and_not_taken(
    runs: RunStore, database: Database, left: dict[str, Any]
) -> None:
    run_id = await runs.begin(owner="me", kind="ask", key="k", request="Do it", model="m")
    assert await runs.queued.interrupt_abandoned([], quiet_s=0) == 0
    await change(database, run_id, **left)
    assert await runs.queued.interrupt_abandoned([run_id], quiet_s=0) == ("process" in left)
    await runs.queued.interrupt_abandoned([], quiet_s=0)
    assert (await runs.get(run_id, owner="me")).status == "interrupted"
    assert await take(runs) is None


async def test_an_answer_goes_out_once(runs: RunStore, database: Database) -> None:
    await add(runs, "run-1")
    await take(runs)
    assert await runs.queued.respond("run-1", {"choices": []}, owner="me") is False
    assert not await runs.queued.is_over("run-1", owner="me")
    await runs.finish("run-1", {"success": True}, owner="me")
    (due,) = await runs.queued.unanswered()
    await change(database, "run-1", process=DEAD)
    due = await runs.get("run-1", owner="me")
    adopted = await asyncio.gather(*(runs.queued.adopt(due) for _ in range(3)))
    assert sorted(adopted) == [False, False, True]
    responses = [runs.queued.respond("run-1", {"n": n}, owner="me") for n in range(3)]
    assert sorted(await asyncio.gather(*responses)) == [False, False, True]
    assert await runs.queued.unanswered() == []
    assert await runs.queued.is_over("run-1", owner="me")
    assert await kinds(runs, "run-1") == ["run.queued", "run.completed"]


async def test_a_cancel_reaches_whoever_works_on_it(runs: RunStore) -> None:
    await add(runs, "run-1")
    await add(runs, "run-2")
    assert await runs.queued.ask_to_cancel("run-1", owner="me") is False
    assert await runs.queued.cancel("run-1", owner="me", why="Because.")
    assert await kinds(runs, "run-1") == ["run.queued", "run.cancelled"]
    assert not await runs.queued.cancel("run-1", owner="me", why="Again.")
    await take(runs)
    assert not await runs.queued.cancel("run-2", owner="me", why="Because.")
    assert await runs.queued.ask_to_cancel("run-2", owner="you") is False
    assert await runs.queued.ask_to_cancel("run-2", owner="me")
    assert await runs.queued.to_cancel(["run-1", "run-2", "run-3"]) == ["run-2"]
    assert (await runs.get("run-2", owner="me")).cancel_requested


@ON_BOTH
async def test_whoever_adds_events_at_the_same_time_they_are_numbered_without_gaps(
    runs: RunStore,
) -> None:
    await add(runs, "run-1")
    await asyncio.gather(
        *(runs.events.add("run-1", [("step", {}), ("step", {})], owner="me") for _ in range(8)),
        runs.queued.cancel("run-1", owner="me", why="Because."),
        *(runs.events.add("run-1", [("step", {}), ("step", {})], owner="me") for _ in range(8)),
    )
    found = await runs.events.read("run-1", owner="me")
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    assert [event.kind for event in found].index("run.cancelled") == len(found) - 1
    assert not await runs.events.add("run-1", [("step", {})], owner="me")


async def test_events_are_one_owners_and_go_with_their_run(runs: RunStore) -> None:
    await add(runs, "run-1")
    assert not await runs.events.add("run-1", [("text", {})], owner="you")
    assert await runs.events.add("run-1", [("text", {"text": "a"}), ("step", {})], owner="me")
    found = await runs.events.read("run-1", owner="me", after=1)
    assert [(event.sequence, event.kind) for event in found] == [(2, "text"), (3, "step")]
    assert await runs.events.read("run-1", owner="you") == []
    await runs.delete("run-1", owner="me")
    assert await runs.events.read("run-1", owner="me") == []
