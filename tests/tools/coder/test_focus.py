"""A program that is given and to be improved: what is asked, what it did before, what it does now."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import RequestError
from backend.tools.coder.task import Options
from backend.types import Focus
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox

SLOW = """\
import time
total = 0
for number in range(100):
    time.sleep(0.001)
    total += number * 0.1
print("total", total)\
"""
FAST = 'print("total", sum(range(100)) * 0.1)'
FOCI: tuple[Focus, ...] = ("fix", "optimise", "robustness")


async def test_each_focus_asks_in_its_own_words_for_the_same_behaviour(
    server: OllamaServer,
) -> None:
    prompts = {}
    for focus in FOCI:
        server.add(*({"reply": reply} for reply in (program(FAST), *_judged())))
        result = await solve("Improve it", code=SLOW, focus=focus)
        assert (result["success"], result["improvement"]["focus"]) == (True, focus)
        prompts[focus] = prompts_of(server)[-3]
    assert len(set(prompts.values())) == 3
    for prompt in prompts.values():
        assert SLOW in prompt
        assert "it takes" in prompt
        assert "prints:\ntotal 495.0" in prompt
    assert "faster" in prompts["optimise"]
    assert "robust" in prompts["robustness"]
    assert "correct it" in prompts["fix"]
    for focus in ("optimise", "robustness"):
        assert "print exactly what it prints now" in " ".join(prompts[focus].split())


def _judged() -> tuple[str, str]:
    return APPROVE["reply"], ASSESS["reply"]


async def test_the_times_before_and_after_are_told(play: Play) -> None:
    play(generate(FAST), *GOOD)
    improvement = (await solve("Faster", code=SLOW, focus="optimise"))["improvement"]
    assert improvement["same_output"] is True
    assert improvement["before_s"] > 0
    assert improvement["after_s"] > 0


async def test_both_times_are_taken_of_the_programs_alone(play: Play) -> None:
    play(generate("import json\ntotal = 45\nprint(total)"), *GOOD)
    result = await solve(
        "Faster",
        code="total = 0\nfor n in range(10):\n    total += n\nprint(total)",
        focus="optimise",
        outputs={"total": int},
        constraints=["total == 45"],
    )
    assert (result["success"], result["outputs"]) == (True, {"total": 45})
    (attempt,) = result["attempts"]
    improvement = result["improvement"]
    assert improvement["after_s"] != attempt["duration_s"], "that run handed out values as well"


@pytest.mark.parametrize("focus", ["optimise", "robustness"])
async def test_a_version_that_prints_something_else_is_no_improvement(
    play: Play, focus: Focus
) -> None:
    play(
        generate('print("total", 4950)'),
        repair(FAST, when=r"(?s)not what the given program prints.*total 495\.0.*total 4950"),
        *GOOD,
    )
    result = await solve("Improve it", code=SLOW, focus=focus)
    assert (result["success"], result["output"]) == (True, "total 495.0\n")
    first, second = result["attempts"]
    assert "not what the given program prints" in first["diagnosis"]["root_cause"]
    assert (second["diagnosis"], result["improvement"]["same_output"]) == (None, True)


async def test_behaviour_that_stays_another_is_no_success(play: Play) -> None:
    play(generate("print(1)"), repair("print(2)"), *GOOD)
    result = await solve("Faster", code=SLOW, focus="optimise", max_retries=1)
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert result["improvement"]["same_output"] is False
    assert result["improvement"]["after_s"] is None, "it does something else"


async def test_the_same_numbers_summed_in_another_order_are_the_same(play: Play) -> None:
    slow = "print('mean', sum([0.1] * 10) / 3, 'of', 10)"
    play(generate("import math\nprint('mean', math.fsum([0.1] * 10) / 3, 'of', 10)"), *GOOD)
    result = await solve("Faster", code=slow, focus="optimise")
    assert result["improvement"]["same_output"] is True
    assert len(result["attempts"]) == 1


async def test_what_differs_from_run_to_run_is_not_held_against_the_new_program(
    play: Play,
) -> None:
    play(generate("import time\nprint(time.time_ns() + 1)"), *GOOD)
    result = await solve("Faster", code="import time\nprint(time.time_ns())", focus="optimise")
    assert (result["success"], result["improvement"]["same_output"]) == (True, None)


async def test_a_program_that_fails_is_shown_with_its_error_and_fixed(
    server: OllamaServer,
) -> None:
    server.add(*({"reply": reply} for reply in (program("print(1)"), *_judged())))
    result = await solve("Fix it", code="rate = 0\nprint(1 / rate)", focus="fix")
    assert (result["success"], result["output"]) == (True, "1\n")
    prompt = prompts_of(server)[0]
    assert "As it is, it fails:" in prompt
    assert "ZeroDivisionError" in prompt
    assert result["improvement"]["same_output"] is None


async def test_a_fixed_program_may_print_something_else(play: Play) -> None:
    play(generate("print(4)"), *GOOD)
    result = await solve("The sum is wrong", code="print(2 - 2)", focus="fix")
    assert (result["success"], len(result["attempts"])) == (True, 1)
    assert result["improvement"]["same_output"] is False
    assert result["improvement"]["after_s"] > 0


async def test_the_given_program_has_the_files_and_variables_too(
    play: Play, tmp_path: Path
) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x\n1\n2\n")
    code = "import csv\nrows = list(csv.DictReader(open('a.csv')))\nprint(len(rows) * factor)"
    play(generate("print((len(open('a.csv').readlines()) - 1) * factor)"), *GOOD)
    result = await solve(
        "Faster", code=code, focus="optimise", file_paths=[str(data)], inputs={"factor": 3}
    )
    assert (result["output"], result["improvement"]["same_output"]) == ("6\n", True)


async def test_a_bash_script_may_be_improved(play: Play) -> None:
    script = "#!/bin/bash\nfor i in 1 2 3; do echo $i; done"
    play({"stage": "generate", "reply": "Shorter.\n```bash\nseq 3\n```"}, *GOOD)
    result = await solve("Improve it", code=script, focus="optimise")
    assert (result["language"], result["output"]) == ("bash", "1\n2\n3\n")
    assert result["improvement"]["same_output"] is True


async def test_a_program_without_a_focus_is_what_the_request_is_about(
    server: OllamaServer,
) -> None:
    server.add(*({"reply": reply} for reply in (program("print('hello')"), *_judged())))
    result = await solve("Print in lower case", code="print('HELLO')")
    assert (result["output"], result["improvement"]) == ("hello\n", None)
    assert "print('HELLO')" in prompts_of(server)[0]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"focus": "speed", "code": "print(1)"}, "focus"),
        ({"focus": "fix"}, "code"),
        ({"focus": "fix", "code": "  \n"}, "code"),
    ],
    ids=["no such focus", "no program", "an empty one"],
)
def test_what_cannot_be_improved(options: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        Options(**options)  # type: ignore[arg-type]
    assert caught.value.param == param
