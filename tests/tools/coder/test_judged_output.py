"""What the judge of a run is shown of it, and programs that have nothing to show."""

from __future__ import annotations

from typing import Any

import pytest

from backend.tools.coder.task import Options
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize(
    ("code", "options", "seen"),
    [
        ("print('total', 7)", {}, ["Its output\n```\ntotal 7\n```"]),
        ("x = 41\nx + 1", {}, ["The value of its last expression: 42"]),
        (
            "share, names = 0.5, ['ä']",
            {"outputs": {"share": float, "names": "list[str]"}},
            ['What it leaves behind: {"share": 0.5, "names": ["ä"]}'],
        ),
        ("open('a.txt', 'w').close()", {}, ["Files it wrote: a.txt"]),
        ("print(1)\n2", {}, ["Its output\n```\n1\n", "last expression: 2"]),
    ],
    ids=["printed", "value", "outputs", "file", "both"],
)
async def test_the_judge_sees_all_that_a_program_has_to_show(
    server: OllamaServer, code: str, options: dict[str, Any], seen: list[str]
) -> None:
    replies = (program(code), APPROVE["reply"], ASSESS["reply"])
    server.add(*({"reply": reply} for reply in replies))
    assert (await solve(**options))["success"] is True
    judging = prompts_of(server)[2]
    assert all(words in judging for words in seen)
    assert "(nothing was printed)" not in judging or "Files it wrote" in judging


async def test_a_program_that_shows_nothing_is_asked_for_its_results_once(play: Play) -> None:
    play(generate("x = 42"), repair("print(42)", when="printed nothing"), *GOOD)
    result = await solve()
    assert (result["success"], result["output"]) == (True, "42\n")
    assert result["attempts"][0]["diagnosis"]["kind"] == "output"


async def test_a_program_that_shows_nothing_twice_may_be_meant_so(play: Play) -> None:
    play(generate("x = 42"), repair("x = 43"), *GOOD)
    result = await solve()
    assert (result["success"], len(result["attempts"])) == (True, 2)


@pytest.mark.parametrize("answers", [True, False])
async def test_without_a_repair_left_its_judge_decides(play: Play, answers: bool) -> None:
    verdict = {"stage": "assess", "reply": '{"answers_request": false, "reason": "no sum"}'}
    play(generate("x = 42"), APPROVE, ASSESS if answers else verdict)
    result = await solve(max_retries=0)
    assert result["success"] is answers
    assert ("no sum" in (result["error"] or "")) is not answers


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"constraints": "x > 0", "outputs": {"x": int}}, "constraints"),
        ({"outputs": ["x"]}, "outputs"),
        ({"code": 5}, "code"),
        ({"tests": b"def test_it(): assert 1"}, "tests"),
        ({"write_tests": "yes"}, "write_tests"),
        ({"skip_tests": 1}, "skip_tests"),
    ],
    ids=["one text", "names only", "code", "bytes", "word", "number"],
)
def test_an_option_of_a_wrong_type_is_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Options(**options)
