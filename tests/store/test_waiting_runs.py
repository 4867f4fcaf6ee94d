"""Runs that wait for a decision: kept until somebody decides, once, and their owner only."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from backend.errors import NotFound, RequestError, StoreUnavailable
from backend.store.database import Database
from backend.store.runs import RunStore

ON_BOTH_DATABASES = True

PENDING: dict[str, Any] = {"code": "print(1)", "language": "python", "reasons": [], "digest": "d1"}
SO_FAR = {"success": False, "error_kind": "waiting"}
USED = {"input_tokens": 3, "output_tokens": 2, "calls": 1, "by_stage": {}}
YES = {"decision": "approve", "code": "", "note": ""}


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


async def waiting(runs: RunStore, owner: str = "me") -> str:
    run_id = await runs.begin(
        owner=owner, kind="ask", key="k", request="Do it", model="m", spec={"files": {}}
    )
    await runs.waiting.wait(run_id, SO_FAR, owner=owner, pending=PENDING)
    return run_id


async def test_a_run_that_waits_is_listed_with_its_program(runs: RunStore) -> None:
    run_id = await waiting(runs)
    page = await runs.page(owner="me", status="waiting")
    assert [run.id for run in page.runs] == [run_id]
    run = await runs.get(run_id, owner="me")
    assert (run.code, run.result, run.finished_at) == ("print(1)", SO_FAR, None)
    assert run.spec == {"files": {}, "pending": PENDING, "told_usage": None}
    assert await runs.interrupted.find(owner="me", key="k") is None
    assert not await runs.interrupted.claim(run_id, owner="me")


async def test_a_decision_lets_it_go_on_and_is_remembered(runs: RunStore) -> None:
    run_id = await waiting(runs)
    run = await runs.waiting.decide(run_id, YES, owner="me")
    assert (run.status, run.result) == ("interrupted", None)
    assert run.spec == {
        "files": {},
        "pending": None,
        "told_usage": None,
        "decided": {"d1": YES},
    }
    assert await runs.interrupted.claim(run_id, owner="me")
    await runs.waiting.wait(run_id, SO_FAR, owner="me", pending={**PENDING, "digest": "d2"})
    again = await runs.waiting.decide(run_id, {**YES, "decision": "reject"}, owner="me")
    assert {key: each["decision"] for key, each in again.spec["decided"].items()} == {
        "d1": "approve",
        "d2": "reject",
    }


async def test_of_two_decisions_one_counts(runs: RunStore) -> None:
    run_id = await waiting(runs)
    both = [runs.waiting.decide(run_id, YES, owner="me") for _ in range(2)]
    given = await asyncio.gather(*both, return_exceptions=True)
    (refused,) = [each for each in given if isinstance(each, BaseException)]
    assert isinstance(refused, RequestError)
    assert "waits for no approval: it is interrupted" in str(refused)


async def test_what_it_used_up_before_is_not_forgotten_at_an_end_that_knows_nothing(
    runs: RunStore,
) -> None:
    run_id = await runs.begin(owner="me", kind="ask", key="k", request="Do it", model="m")
    await runs.waiting.wait(run_id, {**SO_FAR, "usage": USED}, owner="me", pending=PENDING)
    await runs.waiting.decide(run_id, YES, owner="me", claim=True)
    await runs.finish(run_id, {"success": False, "error": "E"}, owner="me", status="failed")
    assert (await runs.get(run_id, owner="me")).usage == USED


@pytest.mark.parametrize("last", range(4))
async def test_a_store_that_fails_on_the_way_leaves_no_run_claimed(
    runs: RunStore, database: Database, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """Its caller would not know, and nobody would work on it."""
    run_id = await waiting(runs)
    transaction, begun = database.transaction, itertools.count()

    def failing() -> AbstractAsyncContextManager[AsyncSession]:
        if next(begun) >= last:
            raise StoreUnavailable("The disk is full.", "Make room.")
        return transaction()

    with monkeypatch.context() as patched:
        patched.setattr(database, "transaction", failing)
        with suppress(StoreUnavailable):
            await runs.waiting.decide(run_id, YES, owner="me", claim=True)
            return
    assert (await runs.get(run_id, owner="me")).status == "waiting"
    assert await runs.waiting.decide(run_id, YES, owner="me", claim=True)


async def test_what_does_not_wait_cannot_be_decided_about(runs: RunStore) -> None:
    run_id = await runs.begin(owner="me", kind="ask", key="k", request="Do it", model="m")
    with pytest.raises(RequestError, match="it is running"):
        await runs.waiting.decide(run_id, YES, owner="me")


async def test_nobody_else_sees_it(runs: RunStore) -> None:
    run_id = await waiting(runs)
    with pytest.raises(NotFound):
        await runs.waiting.decide(run_id, YES, owner="you")
    with pytest.raises(NotFound):
        await runs.waiting.wait(run_id, SO_FAR, owner="you", pending=PENDING)


async def test_it_goes_when_it_is_deleted_and_never_by_pruning(runs: RunStore) -> None:
    run_id = await waiting(runs)
    assert (await runs.prune(0, owner="me")).count == 0
    forgotten = await runs.delete(run_id, owner="me")
    assert (forgotten.count, forgotten.interrupted) == (1, (run_id,))
