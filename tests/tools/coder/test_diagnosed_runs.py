"""What became of a failed run: its cause, what was done about it, and what the model was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair, revise
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox

WRONG = {"stage": "assess", "reply": '{"answers_request": false, "reason": "the total is missing"}'}


@pytest.mark.parametrize(
    ("code", "kind", "cause"),
    [
        pytest.param("print(undefined_thing)", "runtime", "undefined_thing", id="name"),
        pytest.param("print(1 / 0)", "runtime", "divides by zero", id="zero"),
        pytest.param("import lifelines", "environment", "lifelines", id="module"),
        pytest.param("from math import nonsense", "import", "nonsense", id="member"),
        pytest.param("open('absent.csv')", "data", "absent.csv", id="file"),
        pytest.param("int('a7')", "data", "a7", id="value"),
        pytest.param(
            "print('x', flush=True)\nwhile True: pass", "timeout", "loop in line 2", id="time"
        ),
        pytest.param("x = 'a' * 10**12", "memory", "memory", id="memory"),
    ],
)
async def test_each_failure_has_a_kind_a_cause_and_advice(
    play: Play, monkeypatch: pytest.MonkeyPatch, code: str, kind: str, cause: str
) -> None:
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "1")
    play(generate(code), APPROVE)
    (attempt,) = (await solve(max_retries=0))["attempts"]
    assert attempt["diagnosis"]["kind"] == kind
    assert cause in attempt["diagnosis"]["root_cause"]
    assert attempt["diagnosis"]["advice"]
    assert attempt["diagnosis"]["strategy"] == "no repair is left"


async def test_a_syntax_error_is_found_before_a_run_with_its_line(play: Play) -> None:
    broken = "x = 1\nprint((x)"
    play({"stage": "generate", "reply": program(broken), "repeat": True}, APPROVE)
    result = await solve(max_iterations=0)
    assert (result["success"], result["attempts"]) == (False, [])
    if result["error_kind"] == "policy":
        (entry,) = result["verification_history"]
        assert (entry["issues"][0]["kind"], entry["issues"][0]["line"]) == ("syntax", 2)
    else:
        assert "no whole Python program" in result["error"]


async def test_a_wrong_output_is_a_fault_of_logic(play: Play) -> None:
    play(generate("print('half')"), APPROVE, WRONG, repair("print('half, total 7')"), ASSESS)
    result = await solve()
    first, second = result["attempts"]
    assert first["diagnosis"]["kind"] == "logic"
    assert "the total is missing" in first["diagnosis"]["root_cause"]
    assert (second["diagnosis"], result["output"]) == (None, "half, total 7\n")
    assert result["assessment"]["answers_request"] is True


async def test_an_output_that_stays_wrong_is_no_success(play: Play) -> None:
    play(
        generate("print(1)"),
        repair("print(2)"),
        APPROVE,
        {**WRONG, "repeat": True},
    )
    result = await solve(max_retries=1)
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert "the total is missing" in result["error"]
    assert result["assessment"]["answers_request"] is False
    assert [attempt["returncode"] for attempt in result["attempts"]] == [0, 0]


async def test_the_history_has_type_message_and_traceback_of_the_first_error(play: Play) -> None:
    code = "def share(total, parts):\n    return total / parts\n\nprint(share(5, 0))"
    play(generate(code), repair("print(0)"), *GOOD)
    result = await solve()
    first, second = result["attempts"]
    assert (first["error"], second["error"]) == ("ZeroDivisionError: division by zero", None)
    assert "Traceback (most recent call last)" in first["stderr"]
    assert "line 2, in share" in first["stderr"]
    assert (result["success"], result["output"]) == (True, "0\n")


async def test_a_repairs_prompt_tells_the_line_and_the_values_there(server: OllamaServer) -> None:
    code = "def share(total, parts):\n    return total / parts\n\nprint(share(5, 0))"
    _serve(server, code, "print(0)")
    await solve()
    repairing = prompts_of(server)[2]
    assert "return total / parts" in repairing
    assert "parts = 0" in repairing
    assert "site-packages" not in repairing


def _serve(server: OllamaServer, first: str, *others: str) -> None:
    replies = [program(first), APPROVE["reply"], *map(program, others), ASSESS["reply"]]
    server.add(*({"reply": reply} for reply in replies))


async def test_the_nth_prompt_holds_every_former_program_and_its_error(
    server: OllamaServer,
) -> None:
    errors = ("ValueError", "KeyError", "TypeError")
    codes = [f"step = {n}\nraise {error}('no {n}')" for n, error in enumerate(errors)]
    _serve(server, *codes, "print('ok')")
    result = await solve()
    assert (result["success"], result["iterations"]) == (True, 4)
    last = prompts_of(server)[4]
    for number in range(3):
        assert f"step = {number}\nraise {errors[number]}('no {number}')" in last
        assert f"{errors[number]}: " in last
    assert last.index("Attempt 1") < last.index("Attempt 2") < last.index("The program now")


async def test_former_attempts_do_not_let_the_prompt_grow_without_end(
    server: OllamaServer,
) -> None:
    errors = ("ValueError", "KeyError", "TypeError", "OSError", "LookupError", "EOFError")
    long = "# " + "long " * 1500
    codes = [f"{long}\nstep = {n}\nraise {error}('{n}')" for n, error in enumerate(errors)]
    _serve(server, *codes, "print('ok')")
    result = await solve(max_retries=6)
    assert result["success"] is True
    sizes = [len(prompt) for prompt in prompts_of(server)[2:8]]
    assert max(sizes) < 2 * sizes[0], sizes
    assert f"step = {5}" in prompts_of(server)[7]


async def test_the_same_failure_again_changes_what_is_asked(server: OllamaServer) -> None:
    codes = [f"x = {n}\nprint(len(5))" for n in range(4)]
    _serve(server, *codes[:3], "print('ok')")
    result = await solve()
    assert result["output"] == "ok\n"
    first, second, third = [attempt["diagnosis"] for attempt in result["attempts"][:3]]
    assert first["signature"] == second["signature"] == third["signature"]
    assert len({first["strategy"], second["strategy"], third["strategy"]}) == 3
    assert "twice" in second["strategy"]
    assert "3 times" in third["strategy"]
    repairs = prompts_of(server)[2:5]
    for diagnosed, prompt in zip((first, second, third), repairs, strict=True):
        assert diagnosed["strategy"] in prompt
    assert "The program now" in repairs[1]
    assert "The program now" not in repairs[2], "it begins anew"


async def test_a_failure_that_comes_for_ever_ends_it_before_its_repairs_are_used_up(
    play: Play,
) -> None:
    play(generate("x = 0\nlen(5)"), *(repair(f"x = {n}\nlen(5)") for n in range(1, 30)), APPROVE)
    result = await solve(max_retries=20)
    assert result["success"] is False
    assert len(result["attempts"]) < 8
    assert "given up" in result["attempts"][-1]["diagnosis"]["strategy"]


async def test_a_repair_that_changed_nothing_is_told(play: Play) -> None:
    play(
        generate("print(1 / 0)"),
        repair("print(1 / 0)  # now it works"),
        repair("print('ok')", when="Your last repair changed nothing"),
        *GOOD,
    )
    result = await solve()
    assert result["output"] == "ok\n"
    assert "changed nothing" in result["attempts"][1]["diagnosis"]["strategy"]


async def test_a_repair_that_goes_back_to_a_former_program_is_told(play: Play) -> None:
    play(
        generate("print(1 / 0)"),
        repair("int('x')"),
        repair("print(1 / 0)"),
        repair("print('ok')", when="was attempt 1 again"),
        *GOOD,
    )
    assert (await solve())["output"] == "ok\n"


async def test_a_rewrite_that_changed_nothing_is_told_and_recorded(play: Play) -> None:
    bad = "import socket\nprint(1)"
    play(
        generate(bad),
        repair(f"# safe now\n{bad}"),
        repair("print(1)", when="Your last rewrite changed nothing"),
        *GOOD,
    )
    result = await solve()
    assert [entry["change"] for entry in result["modifications"]] == ["unchanged", "Mended."]
    assert "unchanged" in result["verification_history"][1]["note"]


async def test_each_modification_says_what_changed_and_the_history_what_came_of_it(
    play: Play,
) -> None:
    play(
        generate("import socket\nprint(0)"),
        {"stage": "repair", "reply": program("print(1)", "Left out the network.")},
        revise("It must print 2."),
        {"stage": "repair", "reply": program("print(2)", "Prints 2 now.")},
        *GOOD,
    )
    result = await solve()
    first, second = result["modifications"]
    assert (first["iteration"], first["change"]) == (2, "Left out the network.")
    assert "socket" in first["issues"][0]
    assert second == {
        "iteration": 3,
        "issues": ["It must print 2."],
        "change": "Prints 2 now.",
        "by": "model",
    }
    by_iteration = {entry["iteration"]: entry["action"] for entry in result["verification_history"]}
    assert by_iteration == {1: "needs_modification", 2: "needs_modification", 3: "approved"}


@pytest.fixture
def odd() -> Iterator[str]:
    yield "class Odd(Exception): pass\nraise Odd('again')"


async def test_a_model_is_asked_for_a_cause_that_no_rule_knows(play: Play, odd: str) -> None:
    opinion = {
        "kind": "data",
        "root_cause": "The third row is the total.",
        "advice": ["Drop it."],
        "packages": [],
    }
    play(
        generate(odd),
        repair(f"x = 1\n{odd}"),
        {"stage": "diagnose", "reply": json.dumps(opinion), "when": r"(?s)Attempt 1.*Odd: again"},
        repair("print('ok')", when="The third row is the total"),
        *GOOD,
    )
    result = await solve()
    assert result["output"] == "ok\n"
    diagnosed = result["attempts"][1]["diagnosis"]
    assert (diagnosed["by"], diagnosed["kind"]) == ("model", "data")
    assert diagnosed["root_cause"] == "The third row is the total."


@pytest.mark.parametrize("reply", ["", "I do not know", '{"kind": 5}'])
async def test_without_an_opinion_the_rules_word_stands(play: Play, odd: str, reply: str) -> None:
    play(
        generate(odd),
        repair(f"x = 1\n{odd}"),
        {"stage": "diagnose", "reply": reply, "repeat": True},
        repair("print('ok')"),
        *GOOD,
    )
    result = await solve()
    assert result["output"] == "ok\n"
    assert result["attempts"][1]["diagnosis"]["by"] == "rule"


async def test_a_verdict_that_cannot_be_read_counts_as_approval_and_says_so(play: Play) -> None:
    play(generate("print(1)"), {"stage": "review", "reply": "{oops", "repeat": True}, ASSESS)
    result = await solve()
    (entry,) = result["verification_history"]
    assert (result["success"], entry["action"]) == (True, "approved")
    assert "verdict was unreadable" in entry["note"]


@pytest.mark.parametrize(
    ("verdict", "rewrites"),
    [
        ({"verdict": "revise", "findings": []}, 0),
        ({"verdict": "revise"}, 0),
        ({"verdict": "revise", "findings": [{"severity": "advisory", "message": "names"}]}, 0),
        ({"verdict": "revise", "findings": ["just words"]}, 0),
        ({"verdict": "approve", "findings": [{"severity": "blocking", "message": "no"}]}, 0),
        ({"verdict": "REVISE.", "findings": [{"severity": "Blocking", "message": "no"}]}, 1),
    ],
    ids=["no finding", "no findings", "advisory", "words", "approve wins", "loud"],
)
async def test_only_blocking_findings_of_a_revise_lead_to_a_rewrite(
    play: Play, verdict: dict[str, Any], rewrites: int
) -> None:
    play(
        generate("print(1)"),
        {"stage": "review", "reply": json.dumps(verdict)},
        repair("print(2)"),
        *GOOD,
    )
    result = await solve()
    assert (result["success"], len(result["modifications"])) == (True, rewrites)


@pytest.mark.parametrize(
    ("partly", "code", "finding", "runs"),
    [
        (False, "print('ran')", {"topic": "output", "message": "no label"}, False),
        (True, "print('ran')", {"topic": "output", "message": "no label"}, True),
        (True, "print('ran')", {"topic": "safety", "message": "deletes files"}, False),
        (True, "import socket", None, False),
        (True, "eval('1')", None, False),
    ],
    ids=["off", "minor", "safety", "import", "call"],
)
async def test_a_program_with_findings_runs_only_where_that_is_allowed_and_they_are_minor(
    play: Play,
    monkeypatch: pytest.MonkeyPatch,
    partly: bool,
    code: str,
    finding: dict[str, str] | None,
    runs: bool,
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ALLOW_PARTIAL_EXECUTION", str(partly))
    verdict = {"verdict": "revise", "findings": [{"severity": "blocking", **(finding or {})}]}
    review = {"stage": "review", "reply": json.dumps(verdict)} if finding else APPROVE
    play(generate(code), review, ASSESS)
    result = await solve(max_iterations=0)
    assert (result["success"], bool(result["attempts"])) == (runs, runs)
    assert result["verification_history"][0]["action"] == "rejected"


async def test_the_plan_is_kept_and_told_to_the_next_version(server: OllamaServer) -> None:
    server.add(
        {"reply": program("print(1 / 0)", "1. Divide.\n2. Print the share.")},
        {"reply": APPROVE["reply"]},
        {"reply": program("print(1)")},
        {"reply": ASSESS["reply"]},
    )
    result = await solve()
    assert result["plan"] == "1. Divide.\n2. Print the share."
    drafting, _, repairing, _ = prompts_of(server)
    assert "First a plan" in drafting
    assert "The plan\n1. Divide.\n2. Print the share." in repairing


async def test_a_mistake_with_one_remedy_is_mended_without_a_model(
    play: Play, tmp_path: Path
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("Price,City\n1.5,Oslo\n2.5,Rome\n")
    play(generate("df = pd.read_csv('Prices.csv')\nprint(df['price'].sum())"), *GOOD)
    result = await solve("Sum of the prices", file_paths=[str(path)])
    assert (result["success"], result["output"]) == (True, "4.0\n")
    assert "repair" not in result["usage"]["by_stage"]
    assert {entry["by"] for entry in result["modifications"]} == {"rule"}


async def test_what_shows_in_a_run_only_is_mended_without_a_model(
    play: Play, tmp_path: Path
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("Price,City\n1.5,Oslo\n2.5,Rome\n")
    code = (
        "import pandas as pd\n"
        "name = ''.join(['pri', 'ce'])\n"
        "df = pd.read_csv(''.join(['prices', '.csv']))\n"
        "print(df['price'].sum())"
    )
    play(generate(code), *GOOD)
    result = await solve("Sum of the prices", file_paths=[str(path)])
    assert (result["success"], result["output"]) == (True, "4.0\n")
    assert "repair" not in result["usage"]["by_stage"]
    if len(result["attempts"]) == 2:
        assert "mended by rule" in result["attempts"][0]["diagnosis"]["strategy"]


async def test_a_blocking_finding_without_words_blocks_nothing(play: Play) -> None:
    finding = {"severity": "blocking", "topic": "logic", "message": None}
    reply = json.dumps({"verdict": "revise", "findings": [finding]})
    play(generate("print(1)"), {"stage": "review", "reply": reply}, ASSESS)
    assert (await solve())["iterations"] == 1
