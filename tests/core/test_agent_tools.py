"""Tools of others in the agents: what they are given, and whatever they give back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest

from backend.prompts.texts import OBSERVATION_CHARS
from backend.types import Event
from tests.core.agents import HandTool, put, text_schema
from tests.core.conftest import Play
from tests.scripts import APPROVE, act, answer, generate, plan

_PAGES = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "page": {"type": "integer"}},
    "required": ["query"],
}


def _raise(error: BaseException) -> NoReturn:
    raise error


async def _cancel_itself(arguments: Mapping[str, Any]) -> str:
    raise asyncio.CancelledError("a scope of its own was left")


async def test_a_tool_is_used_and_its_observation_is_seen(play: Play) -> None:
    lookup = HandTool(does=lambda given: f"{given['what']} is 4711")
    play(act("lookup", "the answer"), act("finish", "4711", when="Observation: the answer is 4711"))
    given = await put("Look it up", tools=[lookup], agent_type="react")
    assert (given.text, given.success) == ("4711", True)
    assert lookup.used == [{"what": "the answer"}]
    (result,) = given.tool_results
    assert (result["step"], result["tool"], result["text"]) == ("1", "lookup", "the answer is 4711")


async def test_arguments_that_are_an_object_reach_the_tool(play: Play) -> None:
    lookup = HandTool(does=lambda given: "found", schema=_PAGES)
    play(
        {
            "stage": "act",
            "reply": json.dumps(
                {"thought": "t", "action": "lookup", "action_input": {"query": "a", "page": 2}}
            ),
        },
        act("finish", "ok"),
    )
    await put("Look it up", tools=[lookup], agent_type="react")
    assert lookup.used == [{"query": "a", "page": 2}]


async def test_another_page_of_the_same_search_is_not_the_same_thing(play: Play) -> None:
    lookup = HandTool(does=lambda given: f"page {given['page']} of {given['query']}", schema=_PAGES)
    pages = [
        {"thought": "t", "action": "lookup", "action_input": {"query": "a", "page": page}}
        for page in (1, 2)
    ]
    play(
        *({"stage": "act", "reply": json.dumps(page)} for page in pages),
        act("finish", "both", when="(?s)page 1 of a.*page 2 of a"),
    )
    given = await put("Look it up", tools=[lookup], agent_type="react")
    assert (given.text, [used["page"] for used in lookup.used]) == ("both", [1, 2])


async def test_the_same_arguments_again_are(play: Play) -> None:
    lookup = HandTool(does=lambda given: "found", schema=_PAGES)
    same = {"thought": "t", "action": "lookup", "action_input": {"query": "a", "page": 1}}
    play(
        {"stage": "act", "reply": json.dumps(same), "repeat": True},
        answer("It was found.", when="(?s)found.*asked for the same thing again"),
    )
    given = await put("Look it up", tools=[lookup], agent_type="react")
    assert (given.text, len(lookup.used)) == ("It was found.", 1)


async def test_a_step_of_a_plan_gives_a_tool_its_object(play: Play) -> None:
    lookup = HandTool(does=lambda given: "found", schema=text_schema("query", "where"))
    play(
        plan(("lookup", '{"query": "a", "where": "b"}')),
        answer("found", when="found"),
    )
    given = await put("Look it up", tools=[lookup], agent_type="plan_execute")
    assert lookup.used == [{"query": "a", "where": "b"}]
    assert [result["step"] for result in given.tool_results] == ["s1"]


@pytest.mark.parametrize(
    ("does", "told_of"),
    [
        (lambda _: _raise(ValueError("no such thing")), "ValueError: no such thing"),
        (lambda _: _raise(SystemExit(2)), "SystemExit: 2"),
        (_cancel_itself, "CancelledError"),
        (lambda _: None, "it gave back no result but None"),
        (lambda _: {"success": True}, "it gave back no result but {'success': True}"),
        (lambda _: {"success": True, "text": b"bytes"}, "it gave back no result but"),
    ],
)
@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
async def test_a_tool_that_breaks_is_told_of(
    play: Play, does: Any, told_of: str, agent_type: Any
) -> None:
    play(
        {**plan(("lookup", "it")), "repeat": True},
        act("lookup", "it"),
        act("finish", "It cannot be looked up.", when="Observation: lookup failed"),
        {**answer("It cannot be looked up.", when="lookup failed"), "repeat": True},
    )
    given = await put("Look it up", tools=[HandTool(does=does)], agent_type=agent_type)
    assert given.text.startswith("It cannot be looked up.")
    assert not given.success
    assert given.tool_results[0]["text"].startswith("lookup failed: ")
    assert told_of in given.tool_results[0]["text"]


async def test_being_stopped_is_no_failure_of_the_tool(play: Play) -> None:
    began = asyncio.Event()

    async def wait(given: Mapping[str, Any]) -> str:
        began.set()
        await asyncio.Event().wait()
        return "never"

    play(act("lookup", "it"))
    asked = asyncio.create_task(put("Look it up", tools=[HandTool(does=wait)], agent_type="react"))
    await began.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
async def test_megabytes_are_kept_as_head_and_tail(play: Play, agent_type: Any) -> None:
    much = f"head {'x' * 3_000_000} tail"
    play(
        plan(("lookup", "it")),
        act("lookup", "it"),
        act("finish", "much", when="(?s)head x.*x tail"),
        answer("much", when="(?s)head x.*x tail"),
    )
    events: list[Event] = []
    given = await put(
        "Look it up", tools=[HandTool(does=lambda _: much)], agent_type=agent_type, events=events
    )
    assert given.text == "much"
    (result,) = given.tool_results
    assert len(result["text"]) < OBSERVATION_CHARS + 100
    assert len(json.dumps(given.as_dict())) < 30_000
    assert all(len(event.text) < OBSERVATION_CHARS + 100 for event in events)


async def test_what_a_tool_tells_beside_its_text_is_kept_as_plain_values(play: Play) -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    result = {
        "success": True,
        "text": "found",
        "artifacts": [],
        "isolation": None,
        "error_kind": None,
        "details": {"of": Odd(), "in": ("a", 1)},
    }
    play(act("lookup", "it"), act("finish", "ok", when="found"))
    given = await put("Look it up", tools=[HandTool(does=lambda _: result)], agent_type="react")
    assert given.tool_results[0]["details"] == {"of": "odd", "in": ["a", 1]}


async def test_a_tool_without_a_program_does_not_replace_one(play: Play) -> None:
    lookup = HandTool(does=lambda given: "It is 41.")
    play(
        act("lookup", "the sum"),
        act("finish", "41"),
        generate("print(19 + 23)"),
        APPROVE,
        act("finish", "42", when="Observation: 42"),
    )
    given = await put(
        "Compute the sum of 19 and 23 with Python", tools=[lookup], agent_type="react"
    )
    assert (given.text, [step["by"] for step in given.steps]) == ("42", ["model", "rule", "model"])


_DEEP = '{"a":' * 5000 + "1" + "}" * 5000
_HALF = r'{"what": "\ud83d"}'


@pytest.mark.parametrize("given", [_DEEP, _HALF], ids=["nested too deep", "half a character"])
@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
async def test_an_input_that_is_odd_json_ends_nothing(
    given: str, agent_type: Any, play: Play
) -> None:
    lookup = HandTool(does=lambda given: "seen")
    first = act if agent_type == "react" else lambda *step: plan(step)
    play(first("lookup", given), act("finish", "ok"), answer("ok"))
    answered = await put("Look it up", tools=[lookup], agent_type=agent_type)
    assert (answered.text, answered.success) == ("ok", True)
    (used,) = lookup.used
    assert isinstance(used["what"], str)
    assert used["what"].encode()
