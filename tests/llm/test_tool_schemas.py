"""Tools with every kind of schema, as they arrive behind Ollama's real client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.llm.models import open_models
from backend.llm.tool_schemas import flat
from backend.types import Message
from tests.ollama_server import OllamaServer

ADDRESS = {
    "type": "object",
    "title": "Address",
    "properties": {"city": {"type": "string", "title": "City"}},
    "required": ["city"],
}


async def arrived(server: OllamaServer, parameters: dict[str, Any]) -> dict[str, Any]:
    server.models_with_tools = {"gpt-oss:20b"}
    server.add({"reply": "Yes."})
    async with open_models(load_settings(model="ollama:gpt-oss:20b")) as models:
        await models.get().call(
            [Message(role="user", content="Go on.")],
            stage="act",
            tools=[{"name": "look", "description": "Looks.", "parameters": parameters}],
        )
    (tool,) = server.chats[0].body["tools"]
    assert (tool["type"], tool["function"]["name"]) == ("function", "look")
    return dict(tool["function"]["parameters"])


SAID = 'JSON schema: {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
PROPERTIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (
        {"type": "string", "description": "Where.", "enum": ["a", "b"], "title": "Where"},
        {"type": "string", "description": "Where.", "enum": ["a", "b"]},
    ),
    "optional": (
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        {"type": "integer"},
    ),
    "several types": (
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"description": 'JSON schema: {"anyOf": [{"type": "integer"}, {"type": "string"}]}'},
    ),
    "an object": (ADDRESS, {"type": "object", "description": SAID}),
    "a reference": (
        {"$ref": "#/$defs/Address", "description": "Of whom."},
        {"type": "object", "description": f"Of whom. {SAID}"},
    ),
    "a list of objects": (
        {"type": "array", "items": {"$ref": "#/$defs/Address"}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    ),
    "bounds": (
        {"type": "integer", "minimum": 1},
        {"type": "integer", "description": 'JSON schema: {"type": "integer", "minimum": 1}'},
    ),
    "anything": (True, {}),
    "a reference to nothing": ({"$ref": "#/$defs/Nobody"}, {}),
    "no type at all": (
        {"type": 5, "enum": "a"},
        {"description": 'JSON schema: {"type": 5, "enum": "a"}'},
    ),
}


@pytest.mark.parametrize("case", PROPERTIES.values(), ids=PROPERTIES)
async def test_nothing_of_a_property_is_lost(
    ollama_server: OllamaServer, case: tuple[Any, dict[str, Any]]
) -> None:
    given, seen = case
    parameters = {
        "type": "object",
        "properties": {"where": given},
        "required": ["where"],
        "$defs": {"Address": ADDRESS},
        "additionalProperties": False,
    }
    assert await arrived(ollama_server, parameters) == {
        "type": "object",
        "properties": {"where": seen},
        "required": ["where"],
    }


@pytest.mark.parametrize(
    "parameters",
    [{}, {"type": "array"}, {"properties": None, "required": ["gone"]}],
    ids=["empty", "no object", "no properties"],
)
async def test_a_schema_that_is_none_is_one_without_arguments(
    ollama_server: OllamaServer, parameters: dict[str, Any]
) -> None:
    assert await arrived(ollama_server, parameters) == {"type": "object", "properties": {}}


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    parameters = {"properties": {"first": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    shown = flat({"name": "walk", "description": "", "parameters": parameters})
    assert len(json.dumps(shown)) < 1000
