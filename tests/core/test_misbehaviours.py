"""The misbehaviour matrix: every row ends as ``docs/misbehaviours.md`` says, and leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from backend.prompts import render, variables
from backend.types import Stage
from bench.misbehaviours.case import ALLOWED, Misbehaviour, error, right
from bench.misbehaviours.playing import Shared, open_shared, play
from bench.misbehaviours.saying import OPENINGS, fenced, says, stage_of, writes
from bench.misbehaviours.table import AGENT_CASES, CASES, PAGE, differences, page

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """Opened once; closing it raises if a process, mount, control group or file is left."""
    async with open_shared(tmp_path_factory.mktemp("matrix")) as opened:
        yield opened


@pytest.mark.sandbox
@pytest.mark.parametrize("case", CASES, ids=[f"{case.face}: {case.does}" for case in CASES])
async def test_it_ends_as_the_table_says(case: Misbehaviour, shared: Shared) -> None:
    seen = await play(case, shared)
    assert differences(case.end, seen) == []
    assert seen.calls <= case.allowed


@pytest.mark.sandbox
async def test_another_end_than_the_expected_one_is_noticed(shared: Shared) -> None:
    lines = (says("generate", "No idea."), writes("print('sum', 41)"))
    case = Misbehaviour(does="adds wrongly", lines=lines, end=right("sum 42", calls=3))
    assert differences(case.end, await play(case, shared)) == [
        "calls: expected 3, saw 4",
        "mended: expected '', saw 're-ask'",
        "words: expected 'sum 42', saw 'sum 41'",
    ]


async def test_an_error_is_held_to_its_kind_and_its_first_words() -> None:
    seen = error("model", "The model m is gone. Start it.", calls=1)
    assert differences(error("model", "The model ... Start", calls=1), seen) == []
    assert differences(error("model", "Start it.", calls=1), seen) != []
    assert differences(error("budget", "The model ...", calls=1), seen) != []


async def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make matrix`"


async def test_there_are_many_and_each_is_named_once() -> None:
    names = [(case.face, case.does) for case in CASES]
    assert len(set(names)) == len(names)
    assert len(CASES) >= 220
    assert len(AGENT_CASES) >= 150
    assert all(case.end.calls <= case.allowed for case in CASES)
    assert {case.end.outcome for case in CASES} == {"right result", "clear error"}
    assert {case.face for case in CASES} == {"task", "react", "plan_execute"}


@pytest.mark.parametrize("stage", sorted(OPENINGS))
async def test_a_stage_is_known_by_how_its_prompt_begins(stage: Stage) -> None:
    prompt = render(stage, **dict.fromkeys(variables(stage), ""))
    assert stage_of(prompt) == stage


async def test_a_prompt_of_no_stage_is_not_guessed() -> None:
    with pytest.raises(LookupError, match="Tell me"):
        stage_of("Tell me a story.")


async def test_a_plain_task_takes_three_calls(shared: Shared) -> None:
    case = Misbehaviour(does="nothing bad", lines=(writes(),), end=right("sum 42", calls=3))
    assert differences(case.end, await play(case, shared)) == []
    assert case.allowed == ALLOWED
    assert fenced("x").startswith("Do it.")
