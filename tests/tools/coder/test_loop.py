"""The loop through ``execute_code_task``: scripted replies, everything else real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.tools.python_coder_tool import python_coder_tool
from backend.types import Event
from tests.scripts import (
    APPROVE,
    ASSESS,
    generate,
    program,
    repair,
    revise,
    use_script,
)

DOCUMENTED = {
    *("success", "code", "output", "error", "execution_time", "iterations", "modifications"),
    *("verification_history", "artifacts", "attempts", "usage", "timings", "isolation"),
}
BAD = "import socket\nprint(1)"

Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def solve(query: str = "Do it", **more: Any) -> dict[str, Any]:
    result = await python_coder_tool.execute_code_task(query, **more)
    assert set(result) >= DOCUMENTED
    assert json.loads(json.dumps(result)) == result, "plain JSON values only"
    assert result["timings"]["total_s"] >= result["timings"]["execution_s"]
    return result


async def test_a_good_first_draft_runs_once(play: Play) -> None:
    play(generate("print(6 * 7)"), APPROVE, ASSESS)
    result = await solve()
    assert result["success"] is True
    assert result["output"] == "42\n"
    assert result["code"] == "print(6 * 7)"
    assert result["plan"] == "Do it."
    assert (result["iterations"], result["modifications"], result["error"]) == (1, [], None)
    assert [entry["action"] for entry in result["verification_history"]] == ["approved"]
    assert list(result["usage"]["by_stage"]) == ["generate", "review", "assess"]
    assert result["isolation"]["tier"] in ("A", "B")


async def test_a_runtime_error_is_repaired_and_recorded(play: Play) -> None:
    play(
        generate("data = {'a': 1}\nprint(data['b'])"),
        repair("data = {'a': 1}\nprint(data['a'])", when="KeyError: 'b'"),
        APPROVE,
        ASSESS,
    )
    result = await solve()
    assert result["success"] is True
    assert result["output"] == "1\n"
    assert result["iterations"] == 2
    first, second = result["attempts"]
    assert first["error"] == "KeyError: 'b'"
    assert "line 2" in first["stderr"]
    assert first["code"] == "data = {'a': 1}\nprint(data['b'])"
    assert second["error"] is None


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_repairs_after_failed_runs_are_bounded(
    play: Play, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    monkeypatch.setenv("CODE_GENERATION_MAX_RETRIES", str(retries))
    play(
        generate("raise ValueError('no 0')"),
        *(repair(f"raise ValueError('no {number}')") for number in range(1, 9)),
        APPROVE,
    )
    result = await solve()
    assert result["success"] is False
    assert result["error_kind"] == "program"
    assert len(result["attempts"]) == retries + 1
    assert f"ValueError: no {retries}" in result["error"]


async def test_every_prompt_for_a_repair_holds_all_former_attempts(play: Play) -> None:
    play(
        generate("raise ValueError('first')"),
        repair("raise ValueError('second')", when=r"raise ValueError\('first'\)"),
        repair("print('ok')", when=r"(?s)Attempt 1.*'first'.*The program now.*'second'"),
        APPROVE,
        ASSESS,
    )
    assert (await solve())["output"] == "ok\n"


async def test_the_same_error_twice_asks_for_another_approach(play: Play) -> None:
    play(
        generate("raise ValueError('same')"),
        repair("x = 1\nraise ValueError('same')"),
        repair("print('ok')", when="Take another approach"),
        APPROVE,
        ASSESS,
    )
    assert (await solve())["output"] == "ok\n"


async def test_a_program_that_stays_bad_is_rewritten_three_times_and_never_run(play: Play) -> None:
    play(
        generate(BAD),
        *(repair(f"import socket\nprint({number})") for number in range(2, 9)),
        APPROVE,
    )
    result = await solve()
    assert result["success"] is False
    assert result["error_kind"] == "policy"
    assert result["attempts"] == []
    assert result["iterations"] == 4
    assert [entry["iteration"] for entry in result["modifications"]] == [2, 3, 4]
    assert all("socket" in entry["issues"][0] for entry in result["modifications"])
    actions = [entry["action"] for entry in result["verification_history"]]
    assert actions == ["needs_modification"] * 3 + ["rejected"]
    assert "socket" in result["error"]


async def test_a_good_third_rewrite_succeeds(play: Play) -> None:
    play(
        generate(BAD),
        repair("import socket\nprint(2)"),
        repair("import socket\nprint(3)"),
        repair("print('clean')"),
        APPROVE,
        ASSESS,
    )
    result = await solve()
    assert result["output"] == "clean\n"
    assert result["iterations"] == 4


async def test_no_rewrite_is_made_when_none_is_allowed(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_MAX_ITERATIONS", "0")
    play(generate(BAD), APPROVE)
    result = await solve()
    assert (result["success"], result["iterations"], result["usage"]["calls"]) == (False, 1, 1)


async def test_a_blocking_finding_of_the_review_leads_to_a_rewrite(play: Play) -> None:
    play(
        generate("print('wrong')"),
        revise("It must print right."),
        repair("print('right')", when="It must print right"),
        APPROVE,
        ASSESS,
    )
    result = await solve()
    assert result["output"] == "right\n"
    assert result["modifications"] == [
        {"iteration": 2, "issues": ["It must print right."], "change": "Mended.", "by": "model"}
    ]


async def test_the_review_sees_request_and_code(play: Play) -> None:
    play(
        generate("print('seen')"),
        {**APPROVE, "when": r"(?s)Count the frogs.*print\('seen'\)", "repeat": False},
        ASSESS,
    )
    result = await solve("Count the frogs")
    assert result["verification_history"][-1]["note"] == ""


async def test_advisory_findings_never_loop(play: Play) -> None:
    play(generate("print(1)"), revise("Nicer names.", "advisory"), ASSESS)
    result = await solve()
    assert (result["success"], result["iterations"]) == (True, 1)
    assert result["verification_history"][0]["issues"][0]["message"] == "Nicer names."


async def test_a_review_that_always_objects_ends_after_the_last_rewrite(play: Play) -> None:
    play(
        generate("print(0)"),
        *(repair(f"print({number})") for number in range(1, 9)),
        revise("Still wrong.", repeat=True),
    )
    result = await solve()
    assert result["success"] is False
    assert result["iterations"] == 4
    assert len(result["verification_history"]) == 4
    assert result["attempts"] == []


@pytest.mark.parametrize(
    "reply", ["I think it is fine", '{"verdict": "maybe"}', ""], ids=["prose", "word", "empty"]
)
async def test_an_unreadable_review_counts_as_approval_and_is_recorded(
    play: Play, reply: str
) -> None:
    play(generate("print(1)"), {"stage": "review", "reply": reply, "repeat": True}, ASSESS)
    result = await solve()
    assert result["success"] is True
    assert "unreadable" in result["verification_history"][0]["note"]
    assert result["usage"]["by_stage"]["review"]["calls"] >= 1


async def test_the_review_can_be_switched_off(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODE_REVIEW", "false")
    play(generate("print(1)"), ASSESS)
    result = await solve()
    assert list(result["usage"]["by_stage"]) == ["generate", "assess"]


async def test_an_unchanged_rewrite_is_noticed(play: Play) -> None:
    play(generate(BAD), repair(BAD), repair("print(1)", when="changed nothing"), APPROVE, ASSESS)
    result = await solve()
    assert result["success"] is True
    assert result["modifications"][0]["change"] == "unchanged"
    assert "unchanged" in result["verification_history"][1]["note"]


async def test_an_output_that_does_not_answer_is_repaired_with_the_reason(play: Play) -> None:
    play(
        generate("print('half')"),
        APPROVE,
        {
            "stage": "assess",
            "reply": '{"answers_request": false, "reason": "the total is missing"}',
        },
        repair("print('half'); print('total 7')", when="the total is missing"),
        ASSESS,
    )
    result = await solve()
    assert result["output"] == "half\ntotal 7\n"
    assert result["assessment"]["answers_request"] is True
    assert len(result["attempts"]) == 2


async def test_a_judgement_that_cannot_be_had_does_not_lose_the_result(play: Play) -> None:
    play(generate("print(1)"), APPROVE)
    result = await solve()
    assert result["success"] is True
    assert result["assessment"]["answers_request"] is None


async def test_partial_execution_runs_a_program_with_minor_findings(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ALLOW_PARTIAL_EXECUTION", "true")
    monkeypatch.setenv("PYTHON_CODE_MAX_ITERATIONS", "0")
    play(generate("print('ran')"), revise("Not so elegant."), ASSESS)
    result = await solve()
    assert (result["success"], result["output"]) == (True, "ran\n")


@pytest.mark.parametrize(
    "code",
    ["import os\nos.system('id')", "eval('1')", "print((1)"],
    ids=["command", "eval", "syntax"],
)
async def test_partial_execution_never_runs_harm_or_broken_syntax(
    play: Play, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ALLOW_PARTIAL_EXECUTION", "true")
    monkeypatch.setenv("PYTHON_CODE_MAX_ITERATIONS", "0")
    play(generate(code), generate(code), APPROVE)
    result = await solve()
    assert result["success"] is False
    assert result["attempts"] == []


async def test_a_reply_without_a_program_is_asked_for_again_with_the_reason(play: Play) -> None:
    play(
        {"stage": "generate", "reply": "I would compute it with a loop."},
        generate("print(1)", when="could not be used"),
        APPROVE,
        ASSESS,
    )
    result = await solve()
    assert (result["success"], result["usage"]["by_stage"]["generate"]["calls"]) == (True, 2)


async def test_no_program_twice_is_explained(play: Play) -> None:
    play({"stage": "generate", "reply": "I cannot do that.", "repeat": True})
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "model")
    assert "I cannot do that." in result["error"]


async def test_a_reply_that_was_cut_off_is_never_run(play: Play) -> None:
    play(
        {**generate("print('half')"), "done_reason": "length"},
        generate("print('whole')"),
        APPROVE,
        ASSESS,
    )
    assert (await solve())["output"] == "whole\n"


async def test_a_model_that_is_gone_in_between_keeps_what_was_reached(play: Play) -> None:
    play(
        generate("raise ValueError('x')"),
        APPROVE,
        {"stage": "repair", "error": "connection refused", "repeat": True},
    )
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "model")
    assert result["attempts"][0]["error"] == "ValueError: x"
    assert result["usage"]["calls"] >= 2


async def test_an_endless_loop_is_stopped_and_repaired(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "1")
    play(
        generate("print('before', flush=True)\nwhile True: pass"),
        repair("print('done')", when="timeout limit"),
        APPROVE,
        ASSESS,
    )
    result = await solve()
    assert result["output"] == "done\n"
    assert result["attempts"][0]["stopped_by"] == "timeout"
    assert result["attempts"][0]["stdout"] == "before\n"


async def test_the_prompt_holds_names_columns_types_and_rows_of_the_files(
    play: Play, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    first, second = tmp_path / "sales data.csv", folder / "sales data.csv"
    first.write_text("Region,Umsatz €\nNord,12.5\nSüd,7.5\n", encoding="utf-8")
    second.write_text("id,flag\n1,True\n", encoding="utf-8")
    play(
        generate(
            "import pandas as pd\n"
            "print(pd.read_csv('sales data.csv')['Umsatz €'].sum())\n"
            "print(pd.read_csv('other/sales data.csv')['id'].sum())",
            when=r"(?s)'sales data.csv'.*'Region'.*'Umsatz €' float64.*Nord.*"
            r"'other/sales data.csv'.*'flag' bool",
        ),
        APPROVE,
        ASSESS,
    )
    result = await solve("Add it up", file_paths=[str(first), str(second)])
    assert result["output"] == "20.0\n1\n"
    assert result["artifacts"] == []


async def test_plots_and_files_come_back_by_content(play: Play) -> None:
    code = (
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2])\nplt.show()\n"
        "open('table.csv', 'w').write('a\\n1\\n')"
    )
    play(generate(code), APPROVE, ASSESS)
    result = await solve()
    table, plot = sorted(result["artifacts"], key=lambda entry: entry["media_type"], reverse=True)
    assert (table["name"], read(table["path"])) == ("table.csv", b"a\n1\n")
    assert plot["media_type"] == "image/png"
    assert read(plot["path"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "does not exist"),
        ("empty.csv", b"", "empty"),
        ("odd.xyz", b"1", "no supported type"),
        ("garbage.csv", bytes(range(256)) * 40, "cannot be read"),
        ("big.csv", b"a\n" * 600_000, "the limit is 1 MB"),
    ],
)
async def test_a_file_that_cannot_be_used_costs_no_model_call(
    play: Play,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    says: str,
) -> None:
    monkeypatch.setenv("PYTHON_CODE_MAX_FILE_SIZE", "1")
    play(generate("print(1)"))
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = await solve(file_paths=[str(path)])
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert says in result["error"]
    assert name in result["error"]
    assert result["usage"]["calls"] == 0


async def test_a_disabled_tool_refuses_without_a_model_call(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ENABLED", "false")
    play(generate("print(1)"))
    result = await solve()
    assert (result["error_kind"], result["usage"]["calls"]) == ("disabled", 0)


@pytest.mark.parametrize("query", ["", "  \n "])
async def test_an_empty_question_is_refused(play: Play, query: str) -> None:
    play(generate("print(1)"))
    result = await solve(query)
    assert (result["error_kind"], result["usage"]["calls"]) == ("input", 0)


async def test_a_model_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:qwen3:8b")
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "model")
    assert "ollama serve" in result["error"]


@pytest.mark.parametrize(
    "arguments",
    [(1,), ("q", 5), ("q", None, "a.csv"), ("q", None, [1]), ("q", None, {"a": 1})],
    ids=["query", "context", "one path", "path of a number", "mapping"],
)
async def test_wrong_argument_types_raise(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        await python_coder_tool.execute_code_task(*arguments)


@pytest.mark.parametrize("context", ["The unit is metres.", {"unit": "metres"}])
async def test_the_context_is_in_the_prompt(play: Play, context: Any) -> None:
    play(generate("print(1)", when="metres"), APPROVE, ASSESS)
    assert (await solve(context=context))["success"] is True


async def test_usage_is_the_sum_of_all_calls(play: Play) -> None:
    play(
        {**generate("print(1)"), "tokens": [100, 10]},
        {**APPROVE, "tokens": [30, 3]},
        {**ASSESS, "tokens": [7, 1]},
    )
    usage = (await solve())["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["calls"]) == (137, 14, 3)
    assert usage["by_stage"]["review"] == {"input_tokens": 30, "output_tokens": 3, "calls": 1}


async def test_each_step_is_told_as_it_happens(play: Play) -> None:
    play(generate("print(1 / 0)"), repair("print(1)"), APPROVE, ASSESS)
    events: list[Event] = []
    await python_coder_tool.execute_code_task("Do it", emit=events.append)
    kinds = [event.kind for event in events]
    assert kinds == [
        *("plan", "code", "check", "review", "run", "output"),
        *("repair", "code", "check", "run", "output"),
    ]


async def test_a_reply_is_used_whatever_surrounds_the_program(play: Play) -> None:
    wrapped = f"<think>maybe `print(0)`?</think>Sure!\n{program('print(5)')}\nHope that helps!"
    play({"stage": "generate", "reply": wrapped}, APPROVE, ASSESS)
    assert (await solve())["output"] == "5\n"
