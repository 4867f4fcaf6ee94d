"""How far a plan has got: what is ready, what has fallen, and when it is given up."""

from __future__ import annotations

import pytest

from backend.core.plans import PlanStep, with_new_ids
from backend.core.progress import SETBACKS, TRIES, DoneStep, Progress, StepStatus, repeated_steps


def step(
    name: str, *needs: str, after: tuple[str, ...] = (), tool: str = "python_coder"
) -> PlanStep:
    return {
        "id": name,
        "task": f"do {name}",
        "tool": tool,
        "depends_on": list(needs),
        "after": list(after),
    }


def done(
    name: str,
    status: StepStatus = "done",
    *,
    plan: int = 1,
    wave: int = 1,
    task: str = "",
    tool: str = "python_coder",
    observation: str = "",
) -> DoneStep:
    return {
        "plan": plan,
        "wave": wave,
        "id": name,
        "task": task or f"do {name}",
        "tool": tool,
        "depends_on": [],
        "status": status,
        "observation": observation,
        "duration_s": 0.0,
    }


def at(plan: list[PlanStep], *entries: DoneStep, number: int = 1) -> Progress:
    return Progress(plan=plan, number=number, done=entries)


def ready(progress: Progress) -> list[str]:
    return [each["id"] for each in progress.ready]


DIAMOND = [step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")]


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([], ["a"]),
        ([done("a")], ["b", "c"]),
        ([done("a"), done("b", wave=2)], ["c"]),
        ([done("a"), done("b", wave=2), done("c", wave=2)], ["d"]),
        ([done("a", "thought")], ["b", "c"]),
        ([done("a", "failed")], ["a"]),
        ([done("a", "failed"), done("a", "failed", wave=2)], []),
        ([done("a", "skipped")], []),
    ],
)
def test_a_step_is_ready_when_what_it_waits_for_is_done(
    entries: list[DoneStep], wanted: list[str]
) -> None:
    assert ready(at(DIAMOND, *entries)) == wanted


def test_what_merely_comes_after_does_not_fall_with_what_comes_before() -> None:
    plan = [step("a"), step("b", after=("a",)), step("c", "a")]
    assert ready(at(plan)) == ["a"]
    assert ready(at(plan, done("a", "failed"))) == ["a"]
    fallen = at(plan, done("a", "failed"), done("a", "failed", wave=2))
    assert ready(fallen) == ["b"]
    assert [fallen.fallen_for(each) for each in plan] == ["", "", "a"]
    assert not fallen.is_stuck


def test_a_plan_is_stuck_when_a_step_has_failed_and_nothing_else_can_be_done() -> None:
    plan = [step("a"), step("b")]
    once = at(plan, done("a", "failed"), done("b"))
    assert (ready(once), once.is_stuck) == (["a"], False)
    twice = once.with_done(done("a", "failed", wave=2))
    assert (ready(twice), twice.is_stuck, twice.gives_up) == ([], True, False)
    assert not at(plan, done("a"), done("b")).is_stuck
    assert not at(plan, done("a", "skipped"), done("b")).is_stuck


def test_steps_that_fail_side_by_side_are_one_setback() -> None:
    plan = [step("a"), step("b"), step("c")]
    progress = at(plan, *(done(each["id"], "failed") for each in plan))
    assert progress.setbacks == 1
    assert ready(progress) == ["a", "b", "c"]


def test_setbacks_of_earlier_plans_count_and_their_steps_do_not() -> None:
    before = [done("a", "failed"), done("a", "failed", wave=2)]
    fresh = at([step("x")], *before, number=2)
    assert (fresh.setbacks, ready(fresh), fresh.wave) == (2, ["x"], 3)
    last = fresh.with_done(done("x", "failed", plan=2, wave=3))
    assert (last.setbacks, last.gives_up, ready(last)) == (SETBACKS, True, [])
    assert last.is_stuck


def test_a_step_is_told_how_it_failed_and_else_why_there_is_a_new_plan() -> None:
    progress = at([step("a"), step("b")], done("a", "failed", observation="no such column"))
    assert "no such column" in progress.note_on(step("a"), "the sum is missing")
    assert progress.note_on(step("b"), "the sum is missing").endswith("the sum is missing")
    assert progress.note_on(step("b"), "") == ""


def test_the_reason_names_each_step_that_failed_how_often_and_why() -> None:
    plan = [step("a"), step("b"), step("c")]
    progress = at(
        plan,
        done("a", "failed", observation="first"),
        done("a", "failed", wave=2, observation="second"),
        done("b", "failed", observation="x" * 5000),
        done("c"),
    )
    lines = progress.failure().split("\nStep ")
    assert lines[0] == "Step a (do a) failed 2 times: second"
    assert lines[1].startswith("b (do b) failed once: xxx")
    assert len(lines) == 2
    assert len(progress.failure()) < 2000


def test_a_step_that_was_mended_is_no_failure_any_more() -> None:
    progress = at([step("a")], done("a", "failed"), done("a", wave=2))
    assert (progress.failure(), progress.is_stuck, progress.left) == ("", False, [])


def test_what_was_done_word_for_word_is_known_again() -> None:
    steps = [
        step("x") | {"task": "do  a\n"},
        step("y") | {"task": "do b"},
        step("z") | {"task": "do c"},
        step("w", tool="lookup") | {"task": "do a"},
    ]
    before = [done("a"), done("b", "failed"), done("c", "skipped")]
    assert repeated_steps(steps, before) == {"x"}


def test_the_steps_of_a_new_plan_get_names_of_their_own() -> None:
    steps = with_new_ids([step("s1"), step("s2", "s1", "gone"), step("s1.2")], {"s1", "s3"})
    assert [(each["id"], each["depends_on"]) for each in steps] == [
        ("s1.2", []),
        ("s2", ["s1.2"]),
        ("s1.2.2", []),
    ]


def test_a_step_is_tried_once_more() -> None:
    assert TRIES == 2
