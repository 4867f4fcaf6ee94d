"""What the agents' programs leave in a session, over HTTP: found by the next turn, and by no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from tests.api.conftest import Serve, running
from tests.scripts import APPROVE, act, answer, generate, plan, repair, write_script

Lines = list[dict[str, Any]]
Turn = Callable[..., Lines]


def react_turn(question: str, code: str, say: str, **more: Any) -> Lines:
    """One turn: the question goes to the coder, and what that printed is the answer."""
    return [
        act("python_coder", question, when=f"Request\n{question}"),
        generate(code, when=f"Request\n{question}", **more),
        act("finish", say, when=f"(?s)Request\n{question}.*Observation: "),
    ]


def plan_turn(question: str, code: str, say: str, **more: Any) -> Lines:
    return [
        plan(("python_coder", question), when=f"Request\n{question}"),
        generate(code, when=f"Request\n{question}", **more),
        answer(say, when=f"(?s)Request\n{question}"),
    ]


BOTH = pytest.mark.parametrize(
    ("agent", "turn"), [("react", react_turn), ("plan_execute", plan_turn)]
)


def ask(client: httpx.Client, question: str, agent: str, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": question}], "agent_type": agent, **more}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    document = reply.json()
    assert isinstance(document, dict)
    return document


def last_result(document: dict[str, Any]) -> dict[str, Any]:
    result = document["x_agent_metadata"]["python_coder_results"][-1]
    assert isinstance(result, dict)
    return result


def run(client: httpx.Client, session_id: str, code: str) -> dict[str, Any]:
    reply = client.post("/v1/execute", json={"code": code, "session_id": session_id})
    assert reply.status_code == 200, reply.text
    document = reply.json()
    assert isinstance(document, dict)
    return document


@BOTH
def test_a_follow_up_works_on_the_variable_of_the_turn_before(
    serve: Serve, agent: str, turn: Turn
) -> None:
    client = serve(
        APPROVE,
        *turn("Compute 6 times 7", "product = 6 * 7\nprint(product)", "42"),
        *turn(
            "Now multiply that by 2",
            "doubled = product * 2\nprint(doubled)",
            "84",
        ),
    )
    first = ask(client, "Compute 6 times 7", agent)
    session_id = first["x_session_id"]
    second = ask(client, "Now multiply that by 2", agent, session_id=session_id)
    assert last_result(second)["output"] == "84\n"
    assert second["choices"][0]["message"]["content"] == "84"


@BOTH
def test_the_model_is_told_of_the_variables_and_the_check_knows_them(
    serve: Serve, agent: str, turn: Turn
) -> None:
    told = r"(?s)left by earlier programs.*- sales: DataFrame, 2 rows, 2 columns: 'month' object"
    by_month = "print(sales.groupby('month')['sold'].sum())"
    lines = turn("Now group it by month", by_month, "Done.")
    lines[0]["when"] = told
    lines[1]["when"] = told
    client = serve(
        {**APPROVE, "when": "(?s)need not be defined.*- sales: DataFrame|Load it"},
        *turn(
            "Load it",
            "import pandas as pd\nsales = pd.DataFrame({'month': ['Jan', 'Jan'], 'sold': [1, 2]})\n"
            "print(len(sales))",
            "Loaded.",
        ),
        *lines,
    )
    session_id = ask(client, "Load it", agent)["x_session_id"]
    result = last_result(ask(client, "Now group it by month", agent, session_id=session_id))
    assert result["success"], result["error"]
    assert [entry["issues"] for entry in result["verification_history"]] == [[]]


@BOTH
def test_another_session_does_not_see_it(serve: Serve, agent: str, turn: Turn) -> None:
    client = serve(
        APPROVE,
        *turn("Set it", "secret = 4711\nprint('set')", "Set."),
        *turn("Look for it", "print('secret' in globals())", "No."),
    )
    ask(client, "Set it", agent)
    assert last_result(ask(client, "Look for it", agent))["output"] == "False\n"


def test_both_agents_and_direct_programs_share_a_session(serve: Serve) -> None:
    client = serve(
        APPROVE,
        *react_turn("Count up", "n += 1\nprint(n)", "2", repeat=False),
        *plan_turn("Count further", "n += 1\nprint(n)", "3"),
    )
    session_id = client.post("/v1/sessions").json()["id"]
    run(client, session_id, "n = 1")
    assert last_result(ask(client, "Count up", "react", session_id=session_id))["output"] == "2\n"
    further = ask(client, "Count further", "plan_execute", session_id=session_id)
    assert last_result(further)["output"] == "3\n"
    assert run(client, session_id, "n")["value"] == "3"


@BOTH
def test_a_failed_program_is_taken_back_before_it_is_repaired(
    serve: Serve, agent: str, turn: Turn
) -> None:
    failing = "seen.append(2)\nopen('a.txt', 'w').write('after')\nraise KeyError('x')"
    mended = "seen.append(3)\nprint(seen, open('a.txt').read())"
    first, second, last = turn("Append to it", failing, "Done.")
    client = serve(APPROVE, first, second, repair(mended), last)
    session_id = client.post("/v1/sessions").json()["id"]
    run(client, session_id, "seen = [1]\nopen('a.txt', 'w').write('before')")
    result = last_result(ask(client, "Append to it", agent, session_id=session_id))
    assert result["output"] == "[1, 3] before\n"
    assert run(client, session_id, "seen")["value"] == "[1, 3]"


def test_what_failed_for_good_leaves_the_session_as_it_was(serve: Serve) -> None:
    failing = "seen.append(2)\nraise KeyError('x')"
    client = serve(
        APPROVE,
        act("python_coder", "Append to it", when="Request\nAppend to it"),
        generate(failing),
        {**repair(failing), "repeat": True},
        {"stage": "diagnose", "reply": "{}", "repeat": True},
        act("finish", "It failed.", when="Observation: "),
    )
    session_id = client.post("/v1/sessions").json()["id"]
    run(client, session_id, "seen = [1]")
    result = last_result(ask(client, "Append to it", "react", session_id=session_id))
    assert not result["success"]
    assert run(client, session_id, "seen")["value"] == "[1]"


def test_steps_of_one_request_share_what_they_leave(serve: Serve) -> None:
    steps = [
        {"id": "s1", "task": "Set a", "tool": "python_coder", "depends_on": []},
        {"id": "s2", "task": "Double a", "tool": "python_coder", "depends_on": ["s1"]},
    ]
    client = serve(
        APPROVE,
        {"stage": "plan", "reply": json.dumps({"steps": steps})},
        generate("a = 21\nprint(a)", when="Request\nSet a"),
        generate("print(a * 2)", when="Request\nDouble a"),
        answer("42"),
    )
    assert last_result(ask(client, "Compute it in two steps", "plan_execute"))["output"] == "42\n"


def test_requests_of_one_session_wait_for_each_other(serve: Serve) -> None:
    code = "import time\nn = globals().get('n', 0)\ntime.sleep(0.1)\nn += 1\nprint(n)"
    client = serve(
        APPROVE,
        {**act("python_coder", "Count", when=r"(?s)^(?!.*Observation)"), "repeat": True},
        {**generate(code), "repeat": True},
        {**act("finish", "Counted.", when="Observation: "), "repeat": True},
    )
    session_id = client.post("/v1/sessions").json()["id"]
    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(ask, client, f"Count, {number}", "react", session_id=session_id)
            for number in range(4)
        ]
        printed = sorted(last_result(each.result())["output"] for each in asked)
    assert printed == ["1\n", "2\n", "3\n", "4\n"]


def test_a_session_that_is_deleted_meanwhile_ends_the_request(serve: Serve) -> None:
    client = serve(
        APPROVE,
        act("python_coder", "Wait"),
        generate("import time\nprint('begun', flush=True)\ntime.sleep(60)"),
        {**act("python_coder", "Again"), "repeat": True},
        {**generate("print(1)"), "repeat": True},
        {**repair("print(1)"), "repeat": True},
        timeout_s=120,
    )
    session_id = client.post("/v1/sessions").json()["id"]
    body = {
        "messages": [{"role": "user", "content": "Wait"}],
        "agent_type": "react",
        "session_id": session_id,
        "stream": True,
    }
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = reply.iter_lines()
        assert any("Running the program" in line for line in lines)
        assert client.delete(f"/v1/sessions/{session_id}").status_code == 200
        rest = "\n".join(lines)
    assert "was deleted" in rest
    gone = client.post("/v1/execute", json={"code": "1", "session_id": session_id})
    assert gone.status_code == 404


def test_a_client_that_goes_leaves_the_session_as_it_was(serve: Serve) -> None:
    client = serve(
        APPROVE,
        act("python_coder", "Wait"),
        generate("x = 2\nimport time\ntime.sleep(60)"),
        timeout_s=120,
    )
    session_id = client.post("/v1/sessions").json()["id"]
    run(client, session_id, "x = 1")
    body = {
        "messages": [{"role": "user", "content": "Wait"}],
        "agent_type": "react",
        "session_id": session_id,
        "stream": True,
    }
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        assert any("Running the program" in line for line in reply.iter_lines())
    assert run(client, session_id, "x")["value"] == "1"


def test_after_a_restart_the_turn_says_what_is_gone_and_files_are_back(tmp_path: Path) -> None:
    def settings(*lines: dict[str, Any]) -> Any:
        script = write_script(tmp_path / "script.jsonl", *lines)
        return load_settings(model=f"scripted:{script}")

    write = "x = 1\nopen('kept.txt', 'w').write('of turn one')\nprint('written')"
    begun = settings(APPROVE, *react_turn("Write it", write, "Written."))
    with running(begun) as url, httpx.Client(base_url=url, timeout=60) as client:
        session_id = ask(client, "Write it", "react")["x_session_id"]
    lines = react_turn("Read it", "print('x' in globals(), open('kept.txt').read())", "Read.")
    lines[0]["when"] = r"(?s)those of earlier turns are gone.*working directory: kept\.txt"
    again = settings(APPROVE, *lines)
    with running(again) as url, httpx.Client(base_url=url, timeout=60) as client:
        result = last_result(ask(client, "Read it", "react", session_id=session_id))
    assert result["output"] == "False of turn one\n"
    assert "started again" in result["notes"][0]
    assert "kept.txt" in result["notes"][1]


def test_conversations_give_way_to_each_other(serve: Serve) -> None:
    client = serve(
        APPROVE,
        *react_turn("Set it", "x = 1\nprint(x)", "1"),
        *react_turn("Set another", "y = 2\nprint(y)", "2"),
        *react_turn("Look", "print('x' in globals())", "No."),
        max_sessions=1,
    )
    first = ask(client, "Set it", "react")["x_session_id"]
    assert last_result(ask(client, "Set another", "react"))["output"] == "2\n"
    result = last_result(ask(client, "Look", "react", session_id=first))
    assert result["output"] == "False\n"
    assert "needed for others" in result["notes"][0]


def test_without_room_a_turn_runs_by_itself_and_says_so(serve: Serve) -> None:
    client = serve(APPROVE, *react_turn("Set it", "x = 1\nprint(x)", "1"), max_sessions=1)
    taken = client.post("/v1/sessions").json()["id"]
    run(client, taken, "1")
    result = last_result(ask(client, "Set it", "react"))
    assert result["output"] == "1\n"
    assert "is not kept" in result["notes"][0]


def test_programs_given_as_they_are_share_the_session_and_leave_nothing_when_they_fail(
    serve: Serve,
) -> None:
    client = serve(
        act("run_python", "seen.append(2)\nraise KeyError('x')"),
        act("run_python", "print(seen, total)", when="KeyError"),
        act("run_bash", "cat a.txt", when=r"\[1\] 5"),
        act("finish", "Both.", when="of the session"),
    )
    session_id = client.post("/v1/sessions").json()["id"]
    run(client, session_id, "seen = [1]\ntotal = 5\nopen('a.txt', 'w').write('of the session')")
    done = ask(client, "Run it as it is", "react", session_id=session_id)
    assert done["choices"][0]["message"]["content"] == "Both."
    assert run(client, session_id, "seen")["value"] == "[1]"


def test_steps_that_are_done_side_by_side_share_the_session(serve: Serve) -> None:
    names = ("a", "b", "c")
    steps = [
        {"id": name, "task": f"Set {name}", "tool": "python_coder", "depends_on": []}
        for name in names
    ]
    client = serve(
        APPROVE,
        {"stage": "plan", "reply": json.dumps({"steps": steps})},
        *(
            generate(f"{name} = '{name}'\nprint({name})", when=f"Request\nSet {name}")
            for name in names
        ),
        answer("Set."),
    )
    done = ask(client, "Set three variables", "plan_execute")
    assert run(client, done["x_session_id"], "a + b + c")["value"] == "'abc'"


def test_a_turn_of_a_session_is_not_answered_from_what_is_kept(tmp_path: Path) -> None:
    asyncio.run(_ask_twice(tmp_path))


async def _ask_twice(folder: Path) -> None:
    count = "n = globals().get('n', 0) + 1\nprint(n)"
    lines = [{**line, "repeat": True} for line in react_turn("Count", count, "Counted.")]
    script = write_script(folder / "script.jsonl", APPROVE, *reversed(lines))
    async with open_assistant(load_settings(model=f"scripted:{script}")) as assistant:
        question = Ask(question="Count", agent_type="react", use_cache=True, session_id="mine")
        given = [await assistant.run(question) for _ in range(2)]
    assert [each.python_coder_results[-1]["output"] for each in given] == ["1\n", "2\n"]
    assert not any(each.cached for each in given)
