"""Formats of real results: of a task, and of an agent's answer, with what breaks out of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.errors import RequestError
from backend.tools.coder.formats import Form, choose_sections, closed, format_result
from backend.tools.coder.plain_text import visible, words_of
from backend.tools.coder.report import Section
from backend.tools.python_coder_tool import python_coder_tool
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, ASSESS, act, generate, program, repair, use_script

SECTIONS: tuple[Section, ...] = get_args(Section)
HOSTILE = (
    "print('```\\n# not a heading\\n````` <script>alert(1)</script>')\n"
    "print('\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07bell\\x07 \\u202eturned 10%\\r20%')\n"
    "open('a](b) `c`.txt', 'w').write('x')\n"
    "import matplotlib.pyplot as plt\n"
    "plt.plot([1, 2])\n"
    "plt.savefig('수 치.png')\n"
    "1 + 1\n"
)
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


@pytest.fixture
async def result(play: Play) -> dict[str, Any]:
    """A task whose first program is refused, whose second fails, and whose third runs."""
    play(
        generate("import socket\nprint(1)"),
        repair("data = {'a': 1}\nprint(data['b|`c`'])"),
        repair(HOSTILE),
        APPROVE,
        ASSESS,
    )
    made = await python_coder_tool.execute_code_task("Do it")
    assert made["success"] is True, made["error"]
    return made


@pytest.fixture
async def answer(play: Play) -> dict[str, Any]:
    play(
        act("python_coder", "One"),
        generate("print('first')"),
        act("python_coder", "Two"),
        {"stage": "generate", "reply": program("print('second')")},
        APPROVE,
        act("finish", "**Both** ran:\n\n```\nleft open"),
    )
    async with open_assistant(load_settings()) as assistant:
        done = await assistant.run(Ask(question="Run two", agent_type="react"))
    return done.as_dict()


def tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def fenced(markdown: str) -> list[str]:
    return [token.content for token in tokens(markdown) if token.type == "fence"]


def headings(markdown: str) -> list[str]:
    pairs = itertools.pairwise(tokens(markdown))
    return [inside.content for opened, inside in pairs if opened.type == "heading_open"]


@needs_sandbox
@pytest.mark.sandbox
async def test_markdown_holds_what_a_program_prints_inside_its_fence(
    result: dict[str, Any],
) -> None:
    text = format_result(result, "markdown", SECTIONS)
    assert visible(result["output"]) in fenced(text)
    assert result["code"] + "\n" in fenced(text)
    assert headings(text) == [
        *("Output", "Value", "Program", "Files", "History", "Checks", "Timings"),
        *("Model calls", "Isolation"),
    ]
    assert not any(token.type.startswith("html") for token in tokens(text))
    assert "\x1b" not in text


@needs_sandbox
@pytest.mark.sandbox
async def test_markdown_shows_pictures_and_links_files_whatever_their_names(
    result: dict[str, Any],
) -> None:
    inside = [
        child
        for token in tokens(format_result(result, "markdown", ["files"]))
        for child in token.children or []
    ]
    paths = {entry["name"]: entry["path"] for entry in result["artifacts"]}
    (picture,) = [child for child in inside if child.type == "image"]
    (link,) = [child for child in inside if child.type == "link_open"]
    assert (picture.content, picture.attrs["src"]) == ("수 치.png", paths["수 치.png"])
    assert link.attrs["href"] == paths["a](b) `c`.txt"]
    assert "a](b) `c`.txt" in [child.content for child in inside if child.type == "text"]


@needs_sandbox
@pytest.mark.sandbox
async def test_the_history_says_what_was_wrong_and_what_was_changed(
    result: dict[str, Any],
) -> None:
    text = format_result(result, "plain", ["history", "verification"])
    assert "socket" in text
    assert "KeyError: 'b|`c`'" in text
    assert "-print(data['b|`c`'])" in text
    assert "needs_modification" in text
    markdown = format_result(result, "markdown", ["verification"])
    rows = [token for token in tokens(markdown) if token.type == "tr_open"]
    assert len(rows) == 1 + len(result["verification_history"])


@needs_sandbox
@pytest.mark.sandbox
async def test_timings_are_a_table_whose_total_covers_its_parts(result: dict[str, Any]) -> None:
    lines = format_result(result, "plain", ["timings"]).splitlines()[3:]
    seconds = {" ".join(line.split()[:-1]): float(line.split()[-1]) for line in lines}
    parts = ("generation", "verification", "execution", "improvement")
    assert list(seconds)[:4] == list(parts)
    assert list(seconds)[-1] == "total"
    assert 0 < sum(seconds[part] for part in parts) <= seconds["total"] + 0.01


@needs_sandbox
@pytest.mark.sandbox
async def test_plain_text_has_no_markup_and_steers_no_terminal(result: dict[str, Any]) -> None:
    text = format_result(result, "plain", SECTIONS)
    assert text == visible(text)
    assert "red bell turned 10%\n20%" in text
    assert not any(line.startswith(("##", "**", "| ", "```python")) for line in text.splitlines())


@needs_sandbox
@pytest.mark.sandbox
@pytest.mark.parametrize("section", SECTIONS)
async def test_each_section_can_be_switched_off(result: dict[str, Any], section: Section) -> None:
    others = [other for other in SECTIONS if other != section]
    whole, without = (
        json.loads(format_result(result, "json", chosen)) for chosen in (SECTIONS, others)
    )
    assert whole == json.loads(json.dumps(result))
    assert without.items() <= whole.items()
    assert section == "steps" or without != whole
    assert {"success", "error", "iterations"} <= without.keys()
    forms: Sequence[Form] = ("markdown", "plain")
    for form in forms:
        only, rest = (format_result(result, form, chosen) for chosen in ([section], others))
        assert only.strip() == "" or only.strip() not in rest


@needs_sandbox
@pytest.mark.sandbox
async def test_an_answer_is_told_with_its_programs(answer: dict[str, Any]) -> None:
    markdown = format_result(answer, "markdown", SECTIONS)
    assert markdown.startswith("**Both** ran:")
    assert {"first\n", "second\n", "print('first')\n", "left open\n"} <= {*fenced(markdown)}
    assert headings(markdown)[:2] == ["Program 1", "Output"], "nothing is inside the open fence"
    plain = format_result(answer, "plain", ["answer"])
    assert plain == "Both ran:\n\nleft open\n"
    steps = format_result(answer, "plain", ["steps"])
    assert "Step 1: " in steps
    assert "first" in steps
    short = json.loads(format_result(answer, "json", ["answer"]))
    assert short["text"] == answer["text"]
    assert "python_coder_results" not in short


@pytest.mark.parametrize(
    "left_open",
    [
        "```",
        "~~~~\nx",
        "````py\n```\n",
        "<!-- x",
        "<script>",
        "<?php",
        "<![CDATA[",
        "- a\n  ```\n  b",
    ],
)
def test_an_answer_left_open_swallows_nothing(left_open: str) -> None:
    text = format_result({"answer": left_open, "code": "x"}, "markdown", ["answer", "code"])
    assert headings(text) == ["Program"]


def test_an_answer_that_is_whole_stays_as_it_is() -> None:
    whole = "a < b\n\n```\nend of the answer\n```"
    assert closed(whole) == whole


def test_json_is_valid_whatever_a_model_wrote_into_it() -> None:
    odd = {"success": True, "outputs": {"x": float("nan"), "y": [float("inf"), "\udc80", 1.5]}}

    def refuse(word: str) -> None:
        raise AssertionError(word)

    document = json.loads(format_result(odd, "json"), parse_constant=refuse)
    assert document["outputs"] == {"x": None, "y": [None, "\udc80", 1.5]}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("# no heading", r"- \# no heading"),
        ("1. no list", r"- 1\. no list"),
        ("- no\nlist", r"- \- no list"),
        ("[a](b)", r"- \[a\](b)"),
    ],
)
def test_a_line_of_others_is_no_markup(line: str, shown: str) -> None:
    assert format_result({"notes": [line]}, "markdown", ["answer"]) == shown + "\n"


def test_words_of_a_markdown_text() -> None:
    text = (
        "# Result\n\nThe **mean** of `a_b` is *2* x 3 * 4.\n\n1. one\n2. two\n   - deep\n\n"
        "| city | n |\n| --- | --- |\n| Oslo | 1 |\n\n```py\nx = '*'\n```\n\n"
        "[docs](https://x.y) <b>bold</b> ![plot](p.png)\x1b[1m\n\n---\n"
    )
    assert words_of(text) == (
        "Result\n\nThe mean of a_b is 2 x 3 * 4.\n\n1. one\n2. two\n   - deep\n\n"
        "city  n\nOslo  1\n\nx = '*'\n\ndocs (https://x.y) <b>bold</b> plot (p.png)"
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]never closed\nand on", "never closed\nand on"),
        ("10%\r20%\r\nend\x00\x9b\u202e", "10%\n20%\nend"),
        ("tab\tstays 한글", "tab\tstays 한글"),
    ],
)
def test_what_steers_a_terminal_goes_and_words_stay(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_sections_are_chosen_by_name() -> None:
    assert choose_sections() == ("answer", "code", "files")
    assert choose_sections(with_=["history"], without=["code"]) == ("answer", "files", "history")
    assert choose_sections(with_=["all"], without=["steps"]) == tuple(
        section for section in SECTIONS if section != "steps"
    )
    with pytest.raises(RequestError, match=r"'histroy'.*history"):
        choose_sections(with_=["histroy"])
