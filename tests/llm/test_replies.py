from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.llm.loose_json import parse_object
from backend.llm.replies import code_blocks, extract_code, extract_json, strip_thinking
from bench import replies as bench

CASES = sorted((Path(__file__).parent.parent / "data" / "replies").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_reply_gives_the_program_it_holds_or_none(path: Path) -> None:
    reply, _, wanted = path.read_bytes().decode().rpartition("\n=====\n")
    wanted = wanted.rstrip("\n")
    assert extract_code(reply) == (None if wanted == "None" else wanted)


def test_null_characters_are_no_part_of_a_program() -> None:
    assert extract_code("```python\nx = 1\0\nprint(x)\n```\0") == "x = 1\nprint(x)"


@pytest.mark.parametrize("reply", ["", " \n", "```", "```python", "<think>", "{}", "\0", "\ud800"])
def test_nothing_is_none_and_never_an_empty_text(reply: str) -> None:
    assert extract_code(reply) is None
    assert extract_json(reply) is None


def test_two_small_alternatives_give_the_last_and_are_not_joined() -> None:
    reply = "```python\nprint(1)\n```\nor\n```python\nprint(2)\n```"
    assert extract_code(reply) == "print(2)"


def test_a_broken_alternative_loses_against_an_earlier_whole_one() -> None:
    reply = "```python\nprint(1)\n```\nor\n```python\nprint(2\n```"
    assert extract_code(reply) == "print(1)"


def test_a_fragment_with_unknown_names_loses_against_a_whole_program() -> None:
    reply = "```python\nx = [3, 1]\nprint(max(x))\n```\nIn general:\n```python\nsorter.sort(things)\n```"
    assert extract_code(reply) == "x = [3, 1]\nprint(max(x))"


def test_names_that_comprehensions_and_parameters_bind_are_not_needed() -> None:
    first = "```python\nx = 1\nprint(x)\n```\n"
    last = "print([x for x in range(3)])\nprint((lambda x: x)(2))\n\n\ndef f(x):\n    return x"
    assert extract_code(f"{first}```python\n{last}\n```") == last


# --- other languages -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("```bash\nls -la\n```", "ls -la"),
        ("```sh\n$ ls\na.txt\n$ wc -l a.txt\n```", "ls\nwc -l a.txt"),
        ("```\nls -la | wc -l\n```", "ls -la | wc -l"),
        ("#!/bin/bash\nfor f in *; do\n  echo $f\ndone", "#!/bin/bash\nfor f in *; do\n  echo $f\ndone"),
        ("ls -la", "ls -la"),
        ("```python\nprint(1)\n```", None),
        ("You can list the files.", None),
        ("```bash\n# nothing\n```", None),
        ("```console\n$ wc -l a.txt\n3 a.txt\n$ head -1 a.txt\nx,y\n```", "wc -l a.txt\nhead -1 a.txt"),
        ("```bash\nme@host:~/data$ ls\na.txt\n```", "ls"),
        ("```bash\n# count\nwc -l a.txt\n# ... rest of the script\n```", None),
        ("```python\nprint(1)\n```\n```bash\npython a.py\n```", "python a.py"),
        ("```bash\nls\n```\nor\n```bash\nls -la\n```", "ls -la"),
        ("$ ls\n$ wc -l a.txt", "ls\nwc -l a.txt"),
        ('{"language": "bash", "code": "ls -la"}', "ls -la"),
        ('<tool_call>{"name": "bash", "arguments": {"command": "ls | wc -l"}}</tool_call>', "ls | wc -l"),
        ("```bash\nls", None),
        ("<think>```bash\nls\n```</think>", None),
    ],
)  # fmt: skip
def test_bash_is_taken_from_its_fences_or_from_plain_commands(
    reply: str, wanted: str | None
) -> None:
    assert extract_code(reply, "bash") == wanted


def test_bash_is_no_python() -> None:
    assert extract_code("```bash\nls\n```") is None


def test_another_language_is_taken_by_its_tag() -> None:
    assert extract_code("```sql\nSELECT 1\n```", "sql") == "SELECT 1"


# --- blocks ----------------------------------------------------------------------------------


def test_blocks_come_in_order_with_their_languages() -> None:
    markdown = (
        "a\n```python\nx = 1\n```\nb\n```\nplain\n```\n~~~SQL\nSELECT 1\n~~~\n"
        "- item\n  ```{.js}\n  f()\n  ```\n````md\n```python\ny\n```\n````\n```bash\nls"
    )
    assert [(b.language, b.code, b.closed) for b in code_blocks(markdown)] == [
        ("python", "x = 1", True),
        ("", "plain", True),
        ("sql", "SELECT 1", True),
        ("js", "f()", True),
        ("md", "```python\ny\n```", True),
        ("bash", "ls", False),
    ]


def test_text_without_fences_has_no_blocks() -> None:
    assert code_blocks("a `b` ``c``\n    d") == ()


def test_blocks_in_thoughts_and_marks_of_templates_are_passed_over() -> None:
    reply = "<think>\n```python\ndraft\n```\n</think>\n```py\nx\n```<|im_end|>"
    assert [(b.language, b.code) for b in code_blocks(reply)] == [("py", "x")]


def test_a_block_that_is_not_closed_before_the_next_one_ends_there() -> None:
    blocks = code_blocks("```python\nx = 1\n\n```bash\nls\n```")
    assert [(b.language, b.code.strip()) for b in blocks] == [("python", "x = 1"), ("bash", "ls")]


# --- thoughts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("<think>a</think>b", "b"),
        ("<think>\na\n</think>\n\nb", "b"),
        ("<Thinking>a</Thinking>\nb", "b"),
        ("a <think>x</think> b", "a  b"),
        ("<think>a", ""),
        ("a</think>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("Use the `<think>` tag", "Use the `<think>` tag"),
        ('{"thought": "<think> is a tag"}', '{"thought": "<think> is a tag"}'),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b"),
        ("<|im_start|>assistant\nb<|im_end|>", "b"),
        ("a</think></think>b", "b"),
        ("<think>a</think>b</think>c", "c"),
        ("<think>```\n</think>\n```\n<think>x\n```", "```\n<think>x\n```"),
        ("analysisHm.assistantfinalb", "b"),
        ("analysis of variance", "analysis of variance"),
        ("<|channel|>final<|message|>b", "b"),
        ("<|channel|>commentary to=f <|constrain|>json<|message|>{}<|call|>", "{}"),
        ("<|channel|>analysis to=python<|message|>f()<|call|>", "<code>\nf()\n</code>"),
        ("plain", "plain"),
    ],
)  # fmt: skip
def test_thoughts_are_taken_away(reply: str, wanted: str) -> None:
    assert strip_thinking(reply) == wanted


# --- json ------------------------------------------------------------------------------------

READABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ('{"a": 1}', {"a": 1}),
    "prose": ('Sure: {"a": 1} - done.', {"a": 1}),
    "fence": ('```json\n{"a": [1, 2]}\n```', {"a": [1, 2]}),
    "thoughts": ('<think>{"a": 0}</think>{"a": 1}', {"a": 1}),
    "thought-without-start": ('so {"a": 0}\n</think>\n{"a": 1}', {"a": 1}),
    "first-of-two": ('{"a": 1}\n{"a": 2}', {"a": 1}),
    "trailing-comma": ('{"a": [1, 2,], "b": 2,}', {"a": [1, 2], "b": 2}),
    "single-quotes": ("{'a': 'it is', 'b': True, 'c': None}", {"a": "it is", "b": True, "c": None}),
    "apostrophe": ("{'a': \"it's\"}", {"a": "it's"}),
    "bare-keys": ("{a: 1, b: 'x'}", {"a": 1, "b": "x"}),
    "comments": ('{"a": 1, // one\n "b": 2 # two\n}', {"a": 1, "b": 2}),
    "raw-breaks": ('{"a": "x\ny"}', {"a": "x\ny"}),
    "raw-breaks-and-comma": ('{"a": "x\ny",}', {"a": "x\ny"}),
    "inner-quotes": ('{"a": "use "df" here", "b": 1}', {"a": 'use "df" here', "b": 1}),
    "braces-in-text": ('{"a": "} {", "b": {"c": "}"}}', {"a": "} {", "b": {"c": "}"}}),
    "escapes": ('{"a": "\\u00e9\\n\\"q\\"",}', {"a": 'é\n"q"'}),
    "surrogates": ('{"a": "\\ud83d\\ude00",}', {"a": "😀"}),
    "bad-escape": ('{"a": "\\d+",}', {"a": "\\d+"}),
    "smart-quotes": ("{\u201ca\u201d: \u201cb\u201d}", {"a": "b"}),
    "triple-quotes": ('{"a": """x "y"\nz"""}', {"a": 'x "y"\nz'}),
    "joined": ('{"a": "x" "y"}', {"a": "xy"}),
    "missing-comma": ('{"a": "x"\n "b": "y"}', {"a": "x", "b": "y"}),
    "stray-brace": ('Use {x} or { y. {"a": 1}', {"a": 1}),
    "numbers": ("{'a': -1.5e3, 'b': .5, 'c': 1_000}", {"a": -1500.0, "b": 0.5, "c": 1000}),
    "in-list": ('[{"a": 1}]', {"a": 1}),
    "several-the-first-wins": (
        '{"action": "run"}\nObservation: 4\n{"action": "finish"}',
        {"action": "run"},
    ),
    "empty-ones-are-passed-over": ('{} {"a": 1}', {"a": 1}),
    "the-outer-one-counts": ('{"a": {"b": 1}}', {"a": {"b": 1}}),
    "last-brace-forgotten": ('{"a": [1], "b": "x"', {"a": [1], "b": "x"}),
    "last-brackets-forgotten": ('{"steps": [{"id": "s1"}', {"steps": [{"id": "s1"}]}),
    "forgotten-in-a-fence": ('```json\n{"a": {"b": 1}\n```\nDone.', {"a": {"b": 1}}),
    "forgotten-in-a-tag": ('<tool_call>{"a": {"b": 1}</tool_call>', {"a": {"b": 1}}),
    "inner-bracket-forgotten": (
        '{"steps": [{"id": "s1"}, {"id": "s2"}}',
        {"steps": [{"id": "s1"}, {"id": "s2"}]},
    ),
    "code-with-quotes": (
        '{"code": "print("a", x)\nf({"b": 1})", "n": 1}',
        {"code": 'print("a", x)\nf({"b": 1})', "n": 1},
    ),
    "comma-in-a-text": ('{"a": "one, "two", three", "b": 2,}', {"a": 'one, "two", three', "b": 2}),
    "python-tuple": ("{'a': (1, 2)}", {"a": [1, 2]}),
}


@pytest.mark.parametrize(("reply", "wanted"), READABLE.values(), ids=READABLE.keys())
def test_json_is_read_as_models_write_it(reply: str, wanted: dict[str, Any]) -> None:
    assert extract_json(reply) == wanted


@pytest.mark.parametrize(
    "reply",
    [
        '{"a": 1',
        '{"steps": [{"id": "s1"}, {"id": "s2"',
        '{"a": "text that stops',
        "{'a': [1, 2",
        "no object",
        "[1, 2]",
        '"text"',
        "{a, b}",
        '<think>{"a": 1}',
        '{"steps": [{"id": "s1"}, {"id": "s2"}, ',
        '{"answer": {"text": "the sum is"',
        '{"n": 12',
        '{"a": ["x", "y"',
        "{" * 5000,
        '{"a":' * 500,
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_what_is_cut_off_or_no_object_is_none(reply: str) -> None:
    assert extract_json(reply) is None


def test_half_a_letter_is_replaced_and_two_halves_are_joined() -> None:
    found = extract_json('{"a\\ud800": ["\\udc80 b", "\\ud83d\\ude00", 1, null]}')
    assert found == {"a\ufffd": ["\ufffd b", "\U0001f600", 1, None]}


def test_json_too_deep_for_anyone_to_follow_is_none() -> None:
    assert extract_json('{"a": ' + "[" * 60 + "]" * 60 + "}") is not None
    assert extract_json('{"a": ' + "[" * 500 + "]" * 500 + "}") is None


# --- any reply ---------------------------------------------------------------------------------

PIECES = [
    "```", "```python\n", "```json\n", "~~~\n", "\n", "\n\n", "    ", "\t", "> ", "- ", "1. ", "<think>", "</think>",
    "<|channel|>", "<|message|>", "<|end|>", "analysis", "final", "to=python", "<code>", "</code>", "<tool_call>",
    "{", "}", "[", "]", "(", ")", '"', "'", '"""', ":", ",", "\\", "\\n", '"code"', '{"code": "', "Action Input:",
    "Observation:", "def f(x):", "return x", "if x:", "print(1)", "x = 1", "import math", "for n in x:", "# rest of code",
    "...", ">>> ", "$ ", "%pip install x", "+x", "-x", "@@ -1 +1 @@", "&lt;", "\u201c", "\u2028", "\r\n", "\0", "\ud800",
    "1", "word", "A line of plain words.", "//", "/*", "*/", "#", "=", "\\u00", "True", "None", "\x0c", "\x85",
]  # fmt: skip
REPLIES = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=200)


@given(reply=REPLIES)
@settings(deadline=None, max_examples=400)
def test_any_reply_is_read_without_an_error(reply: str) -> None:
    code = extract_code(reply)
    assert code is None or code.strip()
    shell = extract_code(reply, "bash")
    assert shell is None or shell.strip()
    found = extract_json(reply)
    assert found is None or json.loads(json.dumps(found)) == json.loads(json.dumps(found))
    for block in code_blocks(reply):
        assert 0 <= block.start < block.end


@given(reply=REPLIES)
@settings(deadline=None, max_examples=200)
def test_a_reply_without_its_thoughts_has_none(reply: str) -> None:
    words = strip_thinking(reply)
    assert words == words.strip()
    assert len(words) <= len(reply) + 20


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=6), JSON_VALUES, min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_what_is_json_comes_back_as_it_is(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value), 0)[0] == value
    assert parse_object(json.dumps(value, indent=2, ensure_ascii=False), 0)[0] == value


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text("abc .!?", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text("abc", min_size=1), PLAIN_VALUES, min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_what_python_writes_comes_back_as_it_is(value: dict[str, Any]) -> None:
    assert parse_object(repr(value), 0)[0] == value
    assert parse_object(repr(value).replace("}", ",}").replace("{,", "{"), 0)[0] == value


# --- hostile replies -------------------------------------------------------------------------

MEGABYTE = 1_000_000
HOSTILE = {
    "backticks": "`" * 100_000,
    "backticks-in-lines": "```\n" * 100_000,
    "backticks-and-text": "`" * 100_000 + "x`",
    "tagged-fences": "```python\n" * 50_000,
    "tildes": "~~~a\n" * 50_000,
    "quote-marks": "> " * 400_000,
    "megabyte-of-prose": "This is a line of words that means nothing at all.\n" * 20_000,
    "megabyte-of-code": "x = (1 + 2)\n" * 80_000,
    "megabyte-of-fenced-code": "```python\n" + "x = (1 + 2)\n" * 80_000 + "```",
    "megabyte-line": "x" * MEGABYTE,
    "spaces": " " * MEGABYTE,
    "braces": "{" * MEGABYTE,
    "json-openings": '{"a" ' * 200_000,
    "json-nesting": '{"a":' * 200_000,
    "quotes": '"' * MEGABYTE,
    "backslashes": '{"a": "' + "\\" * MEGABYTE,
    "think-openings": "<think>" * 140_000,
    "think-closings": "</think>\n" * 100_000,
    "channels": "<|channel|>" * 90_000,
    "code-tags": "<code>" * 100_000,
    "parameter-tags": "<parameter=code>" * 60_000,
    "prompts": ">>> x\n" * 150_000,
    "numbers": "\n".join(f"{n} x" for n in range(100_000)),
    "parentheses": "```python\n" + "(" * 100_000 + "\n```",
    "colons": "if x:\n" * 100_000,
    "comments": "# rest of\n" * 100_000,
    "hashes": "#" * MEGABYTE,
    "words": "Word " * 200_000,
    "channel-and-a-long-word": "<|channel|>" + "x" * MEGABYTE,
    "closings-on-one-line": "</think>" * 100_000,
    "thoughts-on-one-line": "<think></think>" * 60_000,
    "quoted-closings-on-one-line": '"' + "</think>" * 100_000,
    "closings-in-a-block": "```\nx " + "</think>" * 100_000,
    "comment-about-the-rest": "```python\n# rest of " + "code " * 100_000 + "\nx = 1\n```",
    "blank-lines-before-a-comment": "```python\nx = 1\n" + "\n" * 200_000 + "# a\ny = 1\n```",
    "a-deep-line": "```python\nif x:\n" + "\t" * 200_000 + "y(\n```",
    "blanks-in-a-line": "```python\nx = 1" + " " * 200_000 + "y\n```",
    "comments-in-a-line": "```python\nx = (1" + " # a" * 100_000 + "'\n    + 2\n```",
    "bodies-without-indent": "```python\n" + "def f():\n" * 50_000 + "return 1\n```",
    "torn-statements": "```python\nx = 1\n" + "  + 1\n" * 80_000 + "```",
    "joined-texts": '{"a": ' + '"b" ' * 200_000,
    "comments-in-json": '{"a": 1 /* ' * 90_000,
    "quotes-in-json": '{"a": "' + '" ' * 400_000,
    "actions": "Action Input: x\n" * 60_000,
    "action-without-end": "Action Input:" + " >*#" * 200_000,
    "nested-tags": "<code>```</code>" * 60_000,
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_replies_are_answered(reply: str) -> None:
    extract_code(reply)
    extract_code(reply, "bash")
    extract_json(reply)
    strip_thinking(reply)
    code_blocks(reply)


def work(read: Callable[[str], object], reply: str) -> int:
    """How many functions, ours and the interpreter's, are called while a reply is read."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read(reply)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("read", [extract_code, extract_json, strip_thinking, code_blocks])
@pytest.mark.parametrize(
    "piece",
    ["{", '{"', '{"a": ', "```", "```\n", "```python\nx = (\n", '"', "'", "}\n", "[{", "<think>", "</think> ", "x\n", "if x:\n  y(\n",
     "(", "# a\n", '"b" ', "<code>```", "Action Input: x\n", "A line of plain words here.\nx = f(1)\n"],
    ids=repr,
)  # fmt: skip
def test_twice_the_reply_is_no_more_than_twice_the_work(
    read: Callable[[str], object], piece: str
) -> None:
    once, twice = (work(read, piece * (size // len(piece))) for size in (6_000, 12_000))
    assert twice <= 2.2 * once + 2_000


# --- real replies ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_replies(corpora: Path) -> list[bench.Reply]:
    return bench.measure(corpora / "model_replies.jsonl")


@pytest.mark.corpora
def test_real_replies_to_requests_for_a_program_give_one(real_replies: list[bench.Reply]) -> None:
    asked = [one for one in real_replies if one.asked and one.holds]
    assert len(asked) > 1000
    assert sum(one.given == "program" for one in asked) >= 0.99 * len(asked)
    assert 0.85 < sum(one.first for one in asked) / len(asked) < 0.92


@pytest.mark.corpora
def test_real_replies_that_hold_a_whole_program_give_one(real_replies: list[bench.Reply]) -> None:
    held = [one for one in real_replies if one.kind == "whole"]
    assert len(held) > 1700
    assert sum(one.given == "program" for one in held) >= 0.998 * len(held)


@pytest.mark.corpora
@pytest.mark.parametrize(("kind", "least"), [("other language", 40), ("explains", 900)])
def test_real_replies_without_a_program_give_none(
    real_replies: list[bench.Reply], kind: str, least: int
) -> None:
    given = [one.given for one in real_replies if one.kind == kind]
    assert len(given) > least
    assert set(given) == {"nothing"}


@pytest.mark.corpora
def test_real_programs_come_back_from_their_wrappings(corpora: Path) -> None:
    counts = bench.measure_wrapped(corpora / "pot_llm_programs.jsonl", 60)
    lost = {name for name, (back, count) in counts.items() if back < count}
    assert lost <= {"bare", "bare, prose around", "indented block"}


@pytest.mark.corpora
def test_a_program_in_a_fence_comes_back_as_it_was(corpora: Path) -> None:
    with (corpora / "humaneval.jsonl").open(encoding="utf-8") as lines:
        programs = [json.loads(line)["code"].strip("\n") for line in lines]
    for code in programs:
        assert extract_code(f"Here:\n```python\n{code}\n```\nDone.") == code.rstrip()
        assert ast.dump(ast.parse(extract_code(code) or "")) == ast.dump(ast.parse(code))
