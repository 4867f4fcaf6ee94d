"""The demo as a person starts it; and that nothing in it is true only on paper."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings
from backend.demo.proof import find_problems, numbers_not_in
from backend.demo.scenes import HTTP_SCENE, SCENES, Scene
from tests.commands import PATIENCE_S, Descendants, Done, files_below, needs_sandbox, run, start
from tests.ollama_server import OllamaServer

LINES = [
    json.loads(line)
    for line in resources.files("backend.demo")
    .joinpath("conversation.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
ALL = [*SCENES, HTTP_SCENE]
PLOTS = ["best_separation.png", "mean_alcohol.png"]


def recorded_answers() -> list[str]:
    replies = [json.loads(line["reply"]) for line in LINES if line["stage"] in ("act", "answer")]
    return [
        reply.get("answer") or reply["action_input"]
        for reply in replies
        if "answer" in reply or reply["action"] == "finish"
    ]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Done, Path]]:
    """One demo, for all the tests that look at it."""
    folder = tmp_path_factory.mktemp("demo")
    known = {str(field.alias) for field in Settings.model_fields.values()}
    with pytest.MonkeyPatch.context() as patch:
        for name in known & set(os.environ):
            patch.delenv(name)
        patch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
        patch.chdir(folder)
        yield run("demo"), folder


@pytest.mark.sandbox
@needs_sandbox
def test_the_first_line_says_that_a_recorded_conversation_answers(
    played: tuple[Done, Path],
) -> None:
    done, _ = played
    assert done.status == 0, done.out + done.err
    first = done.out.splitlines()[0]
    assert first.startswith("scripted: a recorded conversation; checks, sandbox, repairs, plots")
    assert "are real" in first


@pytest.mark.sandbox
@needs_sandbox
def test_every_request_is_shown_with_its_steps_and_answer(played: tuple[Done, Path]) -> None:
    done, _ = played
    for scene in ALL:
        assert f">> {scene.question}" in done.out
    for answer in recorded_answers():
        assert answer in done.out
    assert "KeyError: 'class'" in done.out
    assert "The import of subprocess" in done.out
    assert "stopped by the timeout limit" in done.out
    assert "/v1/chat/completions, status 200, agent react" in done.out
    assert "!!" not in done.out
    assert done.err == ""


@pytest.mark.sandbox
@needs_sandbox
def test_it_ends_with_the_plots_and_leaves_nothing_else(played: tuple[Done, Path]) -> None:
    done, folder = played
    out = folder / "demo_output"
    assert {path.name for path in files_below(folder)} == {
        "wine.csv",
        "anova.csv",
        "mean_alcohol.csv",
        "answers.md",
        *PLOTS,
    }
    assert [path.name for path in folder.iterdir()] == ["demo_output"]
    for plot in PLOTS:
        assert (out / plot).read_bytes().startswith(b"\x89PNG")
        assert f"  {plot}" in done.out
    assert len((out / "wine.csv").read_text().splitlines()) == 179
    assert f"all {len(ALL)} requests came out as they must" in done.out.splitlines()[-1]


@pytest.mark.sandbox
@needs_sandbox
def test_a_second_demo_replaces_the_first_and_prints_every_number_it_tells(
    played: tuple[Done, Path],
) -> None:
    _, folder = played
    before = files_below(folder)
    done = run("demo", "--json", "-o", folder / "demo_output")
    assert done.status == 0, done.out
    document = done.document
    assert (document["recorded"], document["model"]) == (True, "scripted")
    answers = [entry["answer"] for entry in document["played"]]
    assert answers == recorded_answers()
    for entry in document["played"]:
        assert numbers_not_in(entry["answer"], "\n".join(entry["printed"])) == []
    assert files_below(folder) == before


STAGES = {
    "act": "You answer a request step by step",
    "plan": "You plan how to answer",
    "generate": "You write one Python program",
    "review": "You review a Python program",
    "repair": "You repair one Python program",
    "answer": "Write the answer to a request",
}


@pytest.mark.sandbox
@needs_sandbox
def test_a_local_model_is_asked_the_same_questions_live(ollama_server: OllamaServer) -> None:
    # All but the endless loop, which a limit fit for any live program would stop too late.
    lines = [
        line for line in LINES if (line.get("when"), line["stage"]) != ("bisection", "generate")
    ]
    for line in lines:
        if (line.get("when"), line["stage"]) == ("bisection", "repair"):
            line = {**line, "stage": "generate"}
        when = line.get("when", "")
        insensitive = when.startswith("(?i)")
        pattern = f"(?s)^{STAGES[line['stage']]}.*{when.removeprefix('(?i)')}"
        line = {**line, "when": f"(?i){pattern}" if insensitive else pattern}
        ollama_server.add(line)
    done = run("demo")
    assert done.status == 0, done.out + done.err
    assert done.out.splitlines()[0].startswith("gpt-oss:20b: the local model answers, live")
    assert "model gpt-oss:20b" in done.out.splitlines()[-1]
    assert len(ollama_server.chats) > len(ALL) * 3


@pytest.mark.sandbox
@needs_sandbox
def test_what_goes_wrong_is_told_and_the_exit_status_says_so(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "I would rather not.", "repeat": True})
    done = run("demo")
    assert done.status == 1
    assert "!! the question was not answered" in done.out
    assert f"{len(ALL)} of {len(ALL)} requests did not come out" in done.out.splitlines()[-1]


def test_where_code_is_switched_off_there_is_no_demo() -> None:
    done = run("demo", PYTHON_CODE_ENABLED="false")
    assert (done.status, done.out) == (2, "")
    assert "PYTHON_CODE_ENABLED" in done.error


def test_without_a_sandbox_there_is_no_demo(tmp_path: Path) -> None:
    done = run("demo", "--json", PATH=str(tmp_path))
    assert done.status == 3
    assert "bubblewrap" in done.document["error"]


TEXTS = {
    "all there": ("**13.74** and 59", "a 59\nb 13.74", []),
    "rounded": ("13.7", "13.74", ["13.7"]),
    "part of a longer number": ("37", "1374 0.37 37.5", ["37"]),
    "thousands": ("1,116 in all", "1,116", []),
    "in a name": ("class_0 and od280", "nothing", []),
    "at the end of a sentence": ("There are 25.", "25 primes", []),
    "per cent": ("12%", "12", []),
    "twice is told once": ("7 and 7", "8", ["7"]),
    "none": ("no number", "", []),
}


@pytest.mark.parametrize(("text", "printed", "unknown"), TEXTS.values(), ids=TEXTS)
def test_numbers_are_held_against_what_was_printed(
    text: str, printed: str, unknown: list[str]
) -> None:
    assert numbers_not_in(text, printed) == unknown


SCENE = Scene(
    title="",
    question="",
    agent="auto",
    answered_by="react",
    programs=1,
    refused_for=frozenset({"path"}),
    files=frozenset({"a.png"}),
)
GOOD: dict[str, Any] = {
    "success": True,
    "output": "5",
    "attempts": [{"error": None, "stopped_by": None}],
    "verification_history": [{"action": "needs_modification", "issues": [{"kind": "path"}]}],
    "artifacts": [{"name": "a.png"}],
}
FAULTS = {
    "nothing": ({}, {}, ""),
    "not answered": ({"success": False}, {}, "not answered"),
    "another agent": ({"agent": "chat"}, {}, "chat answered"),
    "a number from nowhere": ({"text": "6"}, {}, "6"),
    "no program ran": ({}, {"success": False}, "no program ran"),
    "too many programs": ({}, {"attempts": GOOD["attempts"] * 2}, "2 programs"),
    "stopped": ({}, {"attempts": [{"error": "", "stopped_by": "timeout"}]}, "timeout"),
    "not refused": ({}, {"verification_history": []}, "path"),
    "no plot": ({}, {"artifacts": []}, "a.png"),
}


@pytest.mark.parametrize(("answer", "result", "said"), FAULTS.values(), ids=FAULTS)
def test_what_is_not_as_it_must_be_is_found(
    answer: dict[str, Any], result: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"text": "5", "success": True, "agent": "react", **answer}
    problems = list(find_problems(SCENE, **given, results=[{**GOOD, **result}], recorded=True))
    assert (said in " ".join(problems)) if said else problems == []
    assert bool(problems) == bool(said)


@pytest.mark.sandbox
@needs_sandbox
def test_settings_of_the_user_do_not_spoil_the_recording(tmp_path: Path) -> None:
    # None of these fits the recorded conversation; the database must not be touched at all.
    done = run(
        "demo",
        "-q",
        PYTHON_CODE_TIMEOUT="0.1",
        PYTHON_CODE_MAX_MEMORY="64",
        CODE_GENERATION_MAX_RETRIES="0",
        PYTHON_CODE_MAX_ITERATIONS="0",
        PYTHON_CODE_MAX_OUTPUT="1",
        PYTHON_CODER_MAX_STEPS="1",
        PYTHON_CODER_MAX_QUESTION="100",
        DATABASE_URL=f"sqlite:///{tmp_path}/precious.db",
    )
    assert done.status == 0, done.out + done.err
    assert [path.name for path in tmp_path.iterdir()] == ["demo_output"]


@pytest.mark.sandbox
@needs_sandbox
def test_ctrl_c_ends_the_demo_and_its_server(tmp_path: Path) -> None:
    process = start("demo")
    descendants = Descendants(process.pid)
    assert process.stdout is not None
    for line in process.stdout:
        if b"Running the program" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (130, b"Error: Interrupted.\n")
    assert descendants.count >= 2
    assert descendants.left() == []
