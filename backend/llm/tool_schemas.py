"""Schemas of tools as Ollama's client library lets them through.

Of a property it keeps ``type``, ``items``, ``description`` and ``enum``, and drops the rest without
a word: the fields of an object, alternatives, references. What it would drop is put into the
description, where the model can read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.types import ToolSpec

_KEPT = ("type", "items", "description", "enum")
_SAYS_NOTHING = ("title", "default")
_DEPTH = 6
"""Objects within objects that are followed; a schema may refer to itself."""


def flat(tool: ToolSpec) -> ToolSpec:
    """The same tool, with nothing in its parameters that would be lost."""
    given = tool["parameters"]
    properties = given.get("properties")
    names = properties if isinstance(properties, Mapping) else {}
    required = [name for name in given.get("required", ()) if name in names]
    parameters = {
        "type": "object",
        "properties": {str(name): _property(each, given) for name, each in names.items()},
        **({"required": required} if required else {}),
    }
    return {"name": tool["name"], "description": tool["description"], "parameters": parameters}


def _property(given: Any, whole: Mapping[str, Any]) -> dict[str, Any]:
    schema = _plain(given, whole, _DEPTH)
    kept = {name: schema[name] for name in _KEPT if _is_valid(name, schema.get(name))}
    if schema.keys() - kept:
        shown = {name: value for name, value in schema.items() if name != "description"}
        words = f"JSON schema: {json.dumps(shown, ensure_ascii=False)}"
        kept["description"] = f"{kept['description']} {words}" if "description" in kept else words
    return kept


def _is_valid(name: str, value: Any) -> bool:
    """Whether the client library takes it; what it does not take, it raises at."""
    if name == "type":
        types = value if isinstance(value, list) else [value]
        return all(isinstance(each, str) for each in types)
    return isinstance(value, {"description": str, "enum": list}.get(name, Mapping))


def _plain(given: Any, whole: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A schema without references, titles and the alternative of being absent."""
    if not isinstance(given, Mapping) or depth == 0:
        return {}
    schema = {name: value for name, value in given.items() if name not in _SAYS_NOTHING}
    target = schema.pop("$ref", None)
    if isinstance(target, str):
        schema = {**_plain(_referred(target, whole), whole, depth - 1), **schema}
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            schema = _chosen(schema, key, whole, depth)
    if isinstance(schema.get("items"), Mapping):
        schema["items"] = _plain(schema["items"], whole, depth - 1)
    if isinstance(schema.get("properties"), Mapping):
        schema["properties"] = {
            name: _plain(each, whole, depth - 1) for name, each in schema["properties"].items()
        }
    return schema


def _chosen(
    schema: dict[str, Any], key: str, whole: Mapping[str, Any], depth: int
) -> dict[str, Any]:
    """The one alternative beside ``null``, or all of them."""
    choices = [_plain(each, whole, depth - 1) for each in schema[key]]
    choices = [each for each in choices if each.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name != key}
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, key: choices}


def _referred(target: str, whole: Mapping[str, Any]) -> Any:
    found: Any = whole
    for step in target.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
