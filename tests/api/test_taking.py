"""Which run in the background is taken next: none that would only wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.api.turns import Turn
from backend.store.database import LOCAL_OWNER
from tests.api.test_background import begin, read
from tests.api.test_presence import until
from tests.api.test_words_in_turn import a_house
from tests.commands import needs_sandbox
from tests.scripts import act

pytestmark = [pytest.mark.sandbox, needs_sandbox]


def test_what_waits_for_a_session_keeps_no_other_run_waiting(tmp_path: Path) -> None:
    finish = act("finish", "Done.", repeat=True)
    with a_house(tmp_path, finish, max_queue=8, max_requests=6) as house:
        sessions = [house.client.post("/v1/sessions").json()["id"] for _ in range(3)]

        async def enter(session_id: str) -> Turn:
            return house.server.turns.ask(LOCAL_OWNER, session_id=session_id)

        at_work = [house.call(enter, session_id) for session_id in sessions]
        blocked = [begin(house.client, "Wait.", session_id=each)["id"] for each in sessions * 2]
        other = begin(house.client, "Do it.")["id"]
        until(lambda: read(house.client, other)["status"] == "completed")
        assert {read(house.client, run_id)["status"] for run_id in blocked} == {"queued"}
        for turn in at_work:
            house.call(turn.__exit__, None, None, None)
        for run_id in blocked:
            until(lambda run_id=run_id: read(house.client, run_id)["status"] == "completed")
