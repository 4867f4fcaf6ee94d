"""What is done about a failure: the first time, the second, the third; and what counts as a change."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from backend.tools.coder.diagnosis import Diagnosis
from backend.tools.coder.strategies import seen_before, strategy, unchanged
from backend.types import DiagnosisKind


def found(kind: DiagnosisKind = "data", **more: Any) -> Diagnosis:
    return Diagnosis(
        **{"kind": kind, "root_cause": "r", "signature": f"{kind}: it", "certain": True} | more
    )


def given_up(diagnosis: Diagnosis, code: str = "print(1)") -> dict[str, str]:
    words = f"KeyError: 'x'\nWhere it was:\n>    1 | {code}"
    return {"code": code, "diagnosis": words, "signature": diagnosis.signature}


@pytest.mark.parametrize("kind", get_args(DiagnosisKind))
def test_each_kind_has_its_own_words_and_others_when_it_comes_again(kind: DiagnosisKind) -> None:
    now = found(kind)
    first, second, third = (strategy(now, [given_up(now)] * times) for times in range(3))
    assert (first.action, first.fresh) == ("repair", False)
    assert (second.action, second.fresh) == ("repair", False)
    assert (third.action, third.fresh) == ("repair", True)
    assert len({first.instruction, second.instruction, third.instruction}) == 3
    assert "Take another approach" in second.instruction
    assert "Begin anew" in third.instruction
    others = {strategy(found(each), []).instruction for each in get_args(DiagnosisKind)}
    assert len(others) == len(get_args(DiagnosisKind))


def test_two_missing_columns_lead_to_looking_first() -> None:
    now = found("data")
    assert "df.columns" in strategy(now, [given_up(now)]).instruction


def test_two_timeouts_lead_to_another_algorithm() -> None:
    now = found("timeout")
    assert "Another algorithm" in strategy(now, [given_up(now)]).instruction


def test_beginning_anew_says_what_was_tried() -> None:
    now = found("data")
    history = [given_up(now, "df['a']"), given_up(now, "df['b']")]
    told = strategy(now, history).instruction
    assert "Tried in vain: `df['a']`; `df['b']`." in told


def test_another_failure_in_between_does_not_hide_that_it_came_before() -> None:
    now, other = found("data"), found("timeout")
    history = [given_up(now), given_up(other)]
    assert "came twice" in strategy(now, history).instruction
    assert (
        strategy(found("memory"), history).instruction == strategy(found("memory"), []).instruction
    )


def test_a_failure_that_always_comes_again_ends_it() -> None:
    now = found("runtime")
    assert strategy(now, [given_up(now)] * 4).action == "repair"
    assert strategy(now, [given_up(now)] * 5).action == "end"


def test_a_missing_package_is_installed_once_and_then_done_without() -> None:
    now = found("environment", packages=("polars",), advice=("Use pandas.",))
    first = strategy(now, [])
    assert (first.action, first.instruction) == ("install", "Without polars: Use pandas.")
    second = strategy(now, [given_up(now)])
    assert second.action == "repair"
    assert "standard library or pandas" in second.instruction


def test_a_test_that_cannot_run_is_mended_and_the_program_is_not() -> None:
    broken = found("test", root_cause="The test itself cannot run: NameError")
    assert strategy(broken, []).action == "fix_test"
    assert strategy(broken, [given_up(broken)] * 2).action == "fix_test"
    assert not strategy(broken, [given_up(broken)] * 2).fresh
    assert strategy(found("test", root_cause="The program does not"), []).action == "repair"


SAME = {
    "the same": ("x = 1", "x = 1"),
    "other layout": ("x = [1,2]\nprint( x )", "x = [\n    1,\n    2,\n]\n\nprint(x)"),
    "comments": ("x = 1", "# now it is right\nx = 1  # one"),
    "other quotes": ("print('a')", 'print("a")'),
    "a docstring": ("def f():\n    return 1", 'def f():\n    """One."""\n    return 1'),
    "no Python, other layout": ("x = (\n  1", "x  =  (\n# here\n1"),
}
OTHER = {
    "another value": ("x = 1", "x = 2"),
    "another text": ("print('a b')", "print('a  b')"),
    "a line more": ("x = 1", "x = 1\nprint(x)"),
    "another name": ("x = 1", "y = 1"),
    "a last value": ("'a'", "'b'"),
}


@pytest.mark.parametrize("name", SAME)
def test_layout_comments_and_docstrings_are_no_change(name: str) -> None:
    assert unchanged(*SAME[name])


@pytest.mark.parametrize("name", OTHER)
def test_everything_else_is_one(name: str) -> None:
    assert not unchanged(*OTHER[name])


def test_a_script_is_compared_by_its_lines() -> None:
    assert unchanged("# old\nls  -l\n", "ls -l", language="bash")
    assert not unchanged("ls -l", "ls -a", language="bash")


def test_going_round_in_circles_is_seen() -> None:
    now = found()
    former = [given_up(now, "x = 1"), given_up(now, "x = 2"), given_up(now, "x = 1  # again")]
    assert seen_before("x = 2\n", former) == 1
    assert seen_before("x  = 1", former) == 2
    assert seen_before("x = 3", former) is None
    assert seen_before("x = 3", []) is None


def test_what_cannot_be_parsed_is_compared_all_the_same() -> None:
    deep = "(" * 5000 + ")" * 5000
    assert unchanged(deep, deep)
    assert not unchanged(deep, "x")
    assert not unchanged("x = '\0'", "x = 1")
