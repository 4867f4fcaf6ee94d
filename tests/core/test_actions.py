from __future__ import annotations

import pytest

from backend.core import actions
from backend.llm.asking import Unreadable
from backend.tools.registry import CODER
from backend.tools.toolbox import Toolbox

CODE = "def f(x):\n    return x + 1\n\nprint(f(1))"
TOOLBOX = Toolbox([CODER])


def read_action(reply: str) -> actions.Action:
    return actions.read_action(reply, TOOLBOX)


@pytest.mark.parametrize(
    ("reply", "tool", "given"),
    [
        ('{"thought": "t", "action": "python_coder", "action_input": "a"}', "python_coder", "a"),
        ('<think>{"action": "finish"}</think>{"action": "coder", "action_input": "a"}',
         "python_coder", "a"),
        ('Sure!\n```json\n{"action": "generate_code", "action_input": {"task": "a"}}\n```',
         "python_coder", "a"),
        ('{"name": "python_coder", "arguments": {"query": "a"}}', "python_coder", "a"),
        ('<tool_call>{"name": "python_coder", "arguments": {"task": "a"}}</tool_call>',
         "python_coder", "a"),
        ('{"function": {"name": "python_coder", "arguments": "{\\"task\\": \\"a\\"}"}}',
         "python_coder", "a"),
        ("Thought: t\nAction: python_coder\nAction Input: a", "python_coder", "a"),
        ("**Thought:** t\n**Action:** `python_coder`\n**Action Input:** a", "python_coder", "a"),
        ("Action: use python_coder\nAction Input: a", "python_coder", "a"),
        ("Action: Python Coder.\nAction Input: a\nb\nc", "python_coder", "a\nb\nc"),
        ("Action: generate\nAction Input: a", "python_coder", "a"),
        ('Action: python_coder("a")', "python_coder", "a"),
        ("Thought: done\nFinal Answer: 42", "finish", "42"),
        ("Action: finish\nAction Input: 42", "finish", "42"),
        ('{"action": "final_answer", "action_input": "42"}', "finish", "42"),
        ("Action: web_search\nAction Input: x", None, "x"),
    ],
)  # fmt: skip
def test_actions_are_read_in_every_form(reply: str, tool: str | None, given: str) -> None:
    action = read_action(reply)
    assert (action.tool, action.input) == (tool, given)


def test_an_invented_observation_and_what_follows_it_are_ignored() -> None:
    reply = (
        "Thought: compute\nAction: python_coder\nAction Input: the mean\n"
        "Observation: 17.3\nThought: good\nAction: finish\nAction Input: 17.3"
    )
    action = read_action(reply)
    assert (action.tool, action.input) == ("python_coder", "the mean")


def test_of_several_actions_the_first_is_taken() -> None:
    reply = "Action: python_coder\nAction Input: one\nAction: finish\nAction Input: two"
    assert read_action(reply).input == "one"


def test_code_given_as_the_input_stays_whole() -> None:
    action = read_action(f"Action: python_coder\nAction Input: ```python\n{CODE}\n```")
    assert CODE in action.input


def test_a_program_instead_of_an_action_goes_to_the_coder() -> None:
    action = read_action(f"Here you go:\n```python\n{CODE}\n```")
    assert action.tool == "python_coder"
    assert CODE in action.input


@pytest.mark.parametrize(
    "reply",
    ["```\n" * 40_000, "# \n" * 60_000, "Action\n" * 30_000, "> " * 100_000, "*" * 200_000],
    ids=["fences", "hashes", "labels", "quote marks", "stars"],
)
def test_a_hostile_reply_is_soon_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_action(reply)


@pytest.mark.parametrize("reply", ["", "I am not sure.", "{}", '{"thought": "hm"}', "null", "[]"])
def test_a_reply_without_an_action_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_action(reply)
