"""What a model gave a tool against the tool's schema: put right where it is plain what is meant."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from backend.prompts.texts import shorten

_WRAPPERS = ("arguments", "args", "input", "parameters", "kwargs", "action_input", "tool_input")
_MOST_FAULTS = 5
_SCHEMA_CHARS = 1500


def fit_arguments(
    given: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The arguments as the tool takes them, and what is wrong with them, in words for a model.

    Put right are: an object around the arguments, names in another spelling, values written as
    text (``"5"``, ``"[1, 2]"``), texts written as numbers, nulls for what may be left out.
    ``schema`` is as ``plain_schema`` makes it.
    """
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    fitted = _unwrapped(dict(given), properties)
    if not properties and schema.get("additionalProperties") is not True:
        fitted = {}
    fitted = _spelled(fitted, properties)
    required = set(schema.get("required", ()))
    for name in [name for name in fitted if name in properties]:
        kinds = _kinds(properties[name])
        if fitted[name] is None and name not in required and kinds and "null" not in kinds:
            del fitted[name]
        else:
            fitted[name] = _converted(fitted[name], kinds)
    return fitted, _faults(fitted, schema)


def short_schema(schema: Mapping[str, Any]) -> str:
    """The arguments of a tool in a line: names, types, what has to be there."""
    required = set(schema.get("required", ()))
    parts = []
    for name, given in schema.get("properties", {}).items():
        kinds = " or ".join(sorted(_kinds(given))) or "value"
        if options := _list(given, "enum"):
            kinds = "one of " + ", ".join(json.dumps(each) for each in options)
        words = " ".join(str(given.get("description", "")).split())
        about = f": {shorten(words, 120)}" if words else ""
        parts.append(f"{name} ({kinds}{', required' if name in required else ''}{about})")
    return shorten("; ".join(parts), _SCHEMA_CHARS) or "nothing"


def _unwrapped(given: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    if len(given) != 1:
        return given
    (name, inner), *_ = given.items()
    if name in properties or name not in _WRAPPERS:
        return given
    inner = _read(inner) if isinstance(inner, str) else inner
    return dict(inner) if isinstance(inner, dict) else given


def _spelled(given: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    missing = {_bare(name): name for name in properties if name not in given}
    return {
        name if name in properties else missing.pop(_bare(name), name): value
        for name, value in given.items()
    }


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types a value may have; none where the schema does not say plainly."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {each for each in kind if isinstance(each, str)}
    kinds: set[str] = set()
    for branch in [*_list(schema, "anyOf"), *_list(schema, "oneOf")]:
        within = _kinds(branch) if isinstance(branch, Mapping) else set()
        if not within:
            return set()
        kinds |= within
    return kinds


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _converted(value: Any, kinds: set[str]) -> Any:
    if not kinds:
        return value
    if not isinstance(value, str):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return json.dumps(value) if is_number and kinds <= {"string", "null"} else value
    if "string" in kinds:
        return value
    read = _read(value)
    return read if _kind_of(read) & kinds else value


def _kind_of(value: Any) -> set[str]:
    match value:
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"number"}
        case dict():
            return {"object"}
        case list():
            return {"array"}
        case None:
            return {"null"}
        case _:
            return {"string"}


def _read(text: str) -> Any:
    """What a text says, as JSON or as Python writes it; the text itself where it is neither."""
    words = {"true": True, "false": False, "none": None}
    word = text.strip().lower()
    if word in words:
        return words[word]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _faults(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        return [f"{', '.join(missing)} is missing"]
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from referencing import Registry

    # The empty registry: a schema may not name others for us to fetch.
    validator = Draft202012Validator(dict(schema), registry=Registry())
    faults = []
    try:
        for error in itertools.islice(validator.iter_errors(dict(arguments)), _MOST_FAULTS):
            where = ".".join(str(part) for part in error.absolute_path)
            message = shorten(" ".join(error.message.split()), 300)
            faults.append(f"{where}: {message}" if where else message)
    except Exception:
        # A schema that is none fails in any way; what to make of it is left to the tool.
        return []
    return faults
