"""How often may be written and tried, and what a request may use of models."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import RequestError
from backend.tools.coder.task import Options
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair, revise
from tests.solving import GOOD, Play, solve

pytestmark = pytest.mark.sandbox


def banned(number: int) -> str:
    return f"import socket\nprint({number})"


def failing(number: int) -> str:
    # Each fails in another way: the same failure again and again ends it sooner.
    return f"raise {('ValueError', 'KeyError', 'OSError', 'TypeError')[number % 4]}('no {number}')"


@pytest.fixture(params=["setting", "request"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Limits a task's attempts, by the setting or with the request; gives ``solve``'s options."""
    variables = {
        "max_iterations": "PYTHON_CODE_MAX_ITERATIONS",
        "max_retries": "CODE_GENERATION_MAX_RETRIES",
    }

    def set_to(name: str, value: int) -> dict[str, int]:
        if request.param == "request":
            # A request's word beats the setting's.
            monkeypatch.setenv(variables[name], "2")
            return {name: value}
        monkeypatch.setenv(variables[name], str(value))
        return {}

    return set_to


@pytest.mark.parametrize("allowed", [0, 1, 5])
async def test_rewrites_before_a_run(play: Play, limit: Any, allowed: int) -> None:
    play(generate(banned(0)), *(repair(banned(number)) for number in range(1, 9)), *GOOD)
    result = await solve(**limit("max_iterations", allowed))
    assert (result["success"], result["error_kind"]) == (False, "policy")
    assert result["iterations"] == allowed + 1
    assert len(result["modifications"]) == allowed
    actions = [entry["action"] for entry in result["verification_history"]]
    assert actions == ["needs_modification"] * allowed + ["rejected"]
    assert result["attempts"] == []
    assert "socket" in result["error"]


@pytest.mark.parametrize("allowed", [1, 5])
async def test_the_last_rewrite_may_be_the_good_one(play: Play, limit: Any, allowed: int) -> None:
    bad = [repair(banned(number)) for number in range(1, allowed)]
    play(generate(banned(0)), *bad, repair("print('clean')"), *GOOD)
    result = await solve(**limit("max_iterations", allowed))
    assert (result["output"], result["iterations"]) == ("clean\n", allowed + 1)


@pytest.mark.parametrize("allowed", [0, 1, 5])
async def test_repairs_after_failed_runs(play: Play, limit: Any, allowed: int) -> None:
    play(generate(failing(0)), *(repair(failing(number)) for number in range(1, 9)), *GOOD)
    result = await solve(**limit("max_retries", allowed))
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert len(result["attempts"]) == allowed + 1
    assert f"no {allowed}" in result["error"]
    assert result["code"] == failing(allowed)


@pytest.mark.parametrize("allowed", [1, 5])
async def test_the_last_repair_may_be_the_good_one(play: Play, limit: Any, allowed: int) -> None:
    bad = [repair(failing(number)) for number in range(1, allowed)]
    play(generate(failing(0)), *bad, repair("print('mended')"), *GOOD)
    result = await solve(**limit("max_retries", allowed))
    assert (result["success"], result["output"]) == (True, "mended\n")
    assert len(result["attempts"]) == allowed + 1


async def test_rewrites_are_counted_anew_for_each_repair(play: Play) -> None:
    play(
        generate(banned(0)),
        repair(failing(1)),
        repair(banned(2)),
        repair("print('clean')"),
        *GOOD,
    )
    result = await solve(max_iterations=1, max_retries=1)
    assert (result["success"], result["iterations"]) == (True, 4)
    assert len(result["modifications"]) == 2


@pytest.mark.parametrize("name", ["max_iterations", "max_retries"])
@pytest.mark.parametrize("value", [-1, 101])
def test_attempts_beyond_what_is_allowed_are_refused(name: str, value: int) -> None:
    with pytest.raises(RequestError, match=name) as caught:
        Options(**{name: value})  # type: ignore[arg-type]
    assert caught.value.param == name


async def test_usage_is_the_sum_of_what_the_server_counted(server: OllamaServer) -> None:
    server.add(
        {"reply": program("print(1 / 0)"), "tokens": (100, 10)},
        {"reply": APPROVE["reply"], "tokens": (30, 3)},
        {"reply": program("print(1)"), "tokens": (200, 20)},
        {"reply": "what?", "tokens": (5, 1)},
        {"reply": ASSESS["reply"], "tokens": (7, 2)},
    )
    result = await solve()
    usage = result["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["calls"]) == (342, 36, 5)
    assert usage["by_stage"] == {
        "generate": {"input_tokens": 100, "output_tokens": 10, "calls": 1},
        "review": {"input_tokens": 30, "output_tokens": 3, "calls": 1},
        "repair": {"input_tokens": 200, "output_tokens": 20, "calls": 1},
        "assess": {"input_tokens": 12, "output_tokens": 3, "calls": 2},
    }
    assert sum(call["input_tokens"] for call in result["calls"]) == 342
    assert len(server.chats) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("PYTHON_CODER_MAX_CALLS", "2"), ("PYTHON_CODER_MAX_TOTAL_TOKENS", "2500")],
)
async def test_a_limit_that_is_reached_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    play(
        {**generate("print(1 / 0)"), "tokens": [1000, 50]},
        {**APPROVE, "tokens": [1000, 50]},
        {**repair("print(1)"), "tokens": [1000, 50]},
        ASSESS,
    )
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "budget")
    assert name in result["error"]
    assert value in result["error"].replace(",", "")
    assert len(result["attempts"]) == 1, "what was reached is kept"
    assert result["usage"]["calls"] == 2


async def test_the_time_of_a_request_ends_a_call_under_way(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MAX_SECONDS", "1")
    server.add({"reply": program("print(1)"), "fault": "hold"})
    result = await solve()
    assert result["error_kind"] == "budget"
    assert "PYTHON_CODER_MAX_SECONDS" in result["error"]
    assert server.chats[0].client_left.wait(30), "nobody waits for that reply any more"


@pytest.mark.parametrize("calls", [1, 2], ids=["at the review", "at the assessment"])
async def test_a_success_is_not_lost_when_the_budget_ends_at_a_judgement(
    play: Play, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MAX_CALLS", str(calls))
    play(generate("print(42)"), *GOOD)
    result = await solve()
    assert (result["success"], result["output"], result["error"]) == (True, "42\n", None)
    assert result["assessment"]["answers_request"] is None
    assert f"{calls} model calls" in result["assessment"]["reason"]
    assert result["usage"]["calls"] == calls


async def test_a_success_is_not_lost_when_the_budget_ends_at_its_tests(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MAX_CALLS", "2")
    play(generate("print(42)"), *GOOD)
    result = await solve(write_tests=True)
    assert (result["success"], result["output"]) == (True, "42\n")
    assert any("No tests were written" in note for note in result["notes"])


async def test_an_output_that_was_judged_wrong_is_told_when_the_budget_ends_before_its_repair(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MAX_CALLS", "3")
    wrong = {"stage": "assess", "reply": '{"answers_request": false, "reason": "no total"}'}
    play(generate("print(42)"), APPROVE, wrong)
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "budget")
    assert result["output"] == "42\n"
    assert result["assessment"]["reason"] == "no total"


async def test_a_review_that_objects_uses_the_rewrites_too(play: Play) -> None:
    play(
        generate("print(0)"),
        *(repair(f"print({number})") for number in range(1, 9)),
        revise("Still wrong.", repeat=True),
    )
    result = await solve(max_iterations=5)
    assert (result["error_kind"], result["iterations"]) == ("policy", 6)
    assert "Still wrong." in result["error"]
