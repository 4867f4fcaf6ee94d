"""A process that is killed between two steps: the next one goes on after the last finished step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.commands import needs_sandbox, run, start
from tests.ollama_server import OllamaServer
from tests.scripts import act, answer, generate, plan

pytestmark = needs_sandbox

WRITING = "You write one Python program"
REVIEW = "before it runs in a sandbox"
QUESTION = "Compute the sum of 20 and 22"
AGENTS = {
    "react": (
        act("python_coder", QUESTION, when="You answer a request step by step"),
        act("finish", "It is 42.", when="Observation: 42"),
    ),
    "plan_execute": (
        plan(("python_coder", QUESTION), when="(?s)plan"),
        answer("It is 42.", when="Write the answer"),
    ),
}


@pytest.fixture
def environment(tmp_path: Path, ollama_server: OllamaServer) -> dict[str, str]:
    return {
        "PYTHON_CODER_DATA_DIR": str(tmp_path / "data"),
        "OLLAMA_HOST": ollama_server.url,
        "PYTHON_CODER_MODEL": "ollama:gpt-oss:20b",
    }


def prompts(ollama_server: OllamaServer) -> list[str]:
    return [request.body["messages"][-1]["content"] for request in ollama_server.chats]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_question_goes_on_where_kill_9_ended_it(
    agent: str, ollama_server: OllamaServer, environment: dict[str, str]
) -> None:
    first, last = AGENTS[agent]
    ollama_server.add(
        {**generate("print(20 + 22)"), "when": WRITING},
        {"reply": "{}", "when": REVIEW, "fault": "hold"},
        first,
    )
    command = ("ask", QUESTION, "--agent", agent, "--json")
    process = start(*command, env=dict(os.environ) | environment)
    while REVIEW not in ollama_server.next_request().body["messages"][-1]["content"]:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    ollama_server.add({"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW}, last)
    done = run(*command, **environment)
    assert done.status == 0, done.err
    assert done.document["answer"] == "It is 42."
    assert done.document["resumed"] is True
    assert done.document["python_coder_results"][0]["output"] == "42\n"
    asked = prompts(ollama_server)
    assert sum(WRITING in prompt for prompt in asked) == 1, "no second generate call"
    assert sum(REVIEW in prompt for prompt in asked) == 2, "the review had not ended"
    assert sum("step by step" in prompt for prompt in asked) == (2 if agent == "react" else 0)
    stages = [call["stage"] for call in done.document["python_coder_results"][0]["calls"]]
    assert stages == ["generate", "review"]


def test_a_run_that_ended_is_not_gone_on_with(
    ollama_server: OllamaServer, environment: dict[str, str]
) -> None:
    ollama_server.add(
        *AGENTS["react"],
        {**generate("print(20 + 22)"), "when": WRITING},
        {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW, "repeat": True},
    )
    command = ("ask", QUESTION, "--agent", "react", "--json")
    assert run(*command, **environment).document["cached"] is False
    before = len(ollama_server.chats)
    again = run(*command, **environment).document
    assert (again["cached"], again["resumed"], again["answer"]) == (True, False, "It is 42.")
    assert again["usage"]["calls"] == 0
    assert len(ollama_server.chats) == before


TASK = """
import asyncio, json, sys
from backend.tools.python_coder_tool import python_coder_tool
print(json.dumps(asyncio.run(python_coder_tool.execute_code_task("Add 20 and 22"))))
"""


def test_a_task_goes_on_where_kill_9_ended_it(
    ollama_server: OllamaServer, environment: dict[str, str]
) -> None:
    import subprocess
    import sys

    ollama_server.add(
        {**generate("print(20 + 22)"), "when": WRITING},
        {"reply": "{}", "when": REVIEW, "fault": "hold"},
    )
    settings = dict(os.environ) | environment
    process = subprocess.Popen([sys.executable, "-c", TASK], env=settings)
    while REVIEW not in ollama_server.next_request().body["messages"][-1]["content"]:
        pass
    process.kill()
    process.wait()

    approve = {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW}
    judged = {"reply": '{"answers_request": true}', "when": "Judge whether its output"}
    ollama_server.add(approve, judged)
    done = subprocess.run([sys.executable, "-c", TASK], env=settings, stdout=-1, check=True)
    result = json.loads(done.stdout)
    assert (result["success"], result["output"], result["resumed"]) == (True, "42\n", True)
    assert sum(WRITING in prompt for prompt in prompts(ollama_server)) == 1


def test_who_goes_on_with_a_task_has_its_files_where_they_are_now(
    ollama_server: OllamaServer, environment: dict[str, str], tmp_path: Path
) -> None:
    import subprocess
    import sys

    task = TASK.replace('"Add 20 and 22"', '"Show it", None, sys.argv[1:]')
    settings = dict(os.environ) | environment
    places = [tmp_path / folder / "a.txt" for folder in ("before", "now")]
    for place in places:
        place.parent.mkdir()
        place.write_text("the same")
    ollama_server.add(
        {**generate("print(open('a.txt').read())"), "when": WRITING},
        {"reply": "{}", "when": REVIEW, "fault": "hold"},
    )
    process = subprocess.Popen([sys.executable, "-c", task, places[0]], env=settings)
    while REVIEW not in ollama_server.next_request().body["messages"][-1]["content"]:
        pass
    process.kill()
    process.wait()
    places[0].write_text("something else by now")

    approve = {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW}
    judged = {"reply": '{"answers_request": true}', "when": "Judge whether its output"}
    ollama_server.add(approve, judged)
    command = [sys.executable, "-c", task, str(places[1])]
    done = subprocess.run(command, env=settings, stdout=-1, check=True)
    result = json.loads(done.stdout)
    assert (result["output"], result["resumed"]) == ("the same\n", True)


def test_of_steps_side_by_side_only_those_are_done_again_that_had_not_ended(
    ollama_server: OllamaServer, environment: dict[str, str]
) -> None:
    piles = ("apples", "pears", "plums")

    def count(number: int, **more: str) -> dict[str, object]:
        line = generate(f"print('{piles[number]} {number}')")
        return {**line, "when": rf"(?s){WRITING}.*Request\nCount the {piles[number]}", **more}

    approve = {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW, "repeat": True}
    ollama_server.add(
        plan(*(("python_coder", f"Count the {pile}") for pile in piles), when="(?s)plan"),
        count(0),
        count(1, fault="hold"),
        count(2, fault="hold"),
        approve,
    )
    command = ("ask", "Count the fruit with Python", "--agent", "plan_execute", "--json")
    process = start(*command, env=dict(os.environ) | environment)
    # Two are done at a time: the third begins when the first is over.
    while (
        "Request\nCount the plums"
        not in ollama_server.next_request().body["messages"][-1]["content"]
    ):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    ollama_server.add(count(1), count(2), answer("All.", when="(?s)apples 0.*pears 1.*plums 2"))
    done = run(*command, **environment)
    assert done.status == 0, done.err
    assert (done.document["answer"], done.document["resumed"]) == ("All.", True)
    results = {each["step"]: each["output"] for each in done.document["python_coder_results"]}
    assert results == {"s1": "apples 0\n", "s2": "pears 1\n", "s3": "plums 2\n"}
    asked = [prompt for prompt in prompts(ollama_server) if WRITING in prompt]
    times = {
        pile: sum(f"Request\nCount the {pile}" in prompt for prompt in asked) for pile in piles
    }
    assert times == {"apples": 1, "pears": 2, "plums": 2}
