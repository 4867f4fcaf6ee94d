"""What an output looks like, as free text or as a JSON Schema; the latter is held against it.

Schemas and values are strangers', and a pattern in a schema may take for ever: both meet inside the
sandbox, never in the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from backend.errors import RequestError
from backend.prompts.texts import shorten
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest, Issue

PROMPT_CHARS = 4000
_MOST_CHARS: Final = 64_000
_MOST_ERRORS: Final = 8
_SECONDS: Final = 10.0
_KEYWORDS: Final = frozenset(
    {"$schema", "$ref", "$defs", "type", "properties", "items", "required", "enum", "const", "anyOf",
     "oneOf", "allOf", "not", "additionalProperties", "patternProperties", "prefixItems", "minimum",
     "maximum", "minItems", "maxItems", "pattern", "format"}
)  # fmt: skip
_VALIDATION: Final = """\
import jsonschema, referencing
told = {"invalid": "", "errors": []}
validator_class = jsonschema.validators.validator_for(
    document, default=jsonschema.Draft202012Validator
)
try:
    validator_class.check_schema(document)
except jsonschema.SchemaError as error:
    told["invalid"] = error.message[:300]
else:
    validator = validator_class(document, registry=referencing.Registry())
    for error in validator.iter_errors(value):
        told["errors"].append([error.json_path[:200], error.message[:300]])
        if len(told["errors"]) >= most:
            break
"""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What an output looks like."""

    text: str
    """For a prompt; '' when there is none."""
    document: Mapping[str, Any] | None = None
    """The JSON Schema, where it is one."""


def read_schema(schema: str | Mapping[str, Any]) -> Schema:
    """Tell a JSON Schema, as an object or as its text, from words.

    Raises:
        ValueError: it is neither, has no JSON form, or is too long.
    """
    if isinstance(schema, str):
        document = _document(schema)
        text = schema.strip() if document is None else json.dumps(document, ensure_ascii=False)
    elif isinstance(schema, Mapping):
        try:
            text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"The schema has no JSON form: {error}.") from None
        document = json.loads(text)
    else:
        raise ValueError(f"The schema is a {type(schema).__name__}; give text or a JSON Schema.")
    if len(text) > _MOST_CHARS:
        raise ValueError(f"The schema has {len(text)} characters; at most {_MOST_CHARS} can be.")
    return Schema(text=shorten(text, PROMPT_CHARS), document=document or None)


def _document(text: str) -> dict[str, Any] | None:
    if len(text) > _MOST_CHARS or not text.strip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _KEYWORDS & found.keys() else None


@dataclass(frozen=True, kw_only=True)
class Held:
    """What came of holding a value against a schema."""

    faults: tuple[str, ...] = ()
    """What does not fit, a sentence each."""
    unchecked: str = ""
    """Why it could not be told."""


def require_valid(document: Mapping[str, Any], *, param: str = "schema") -> None:
    """See that a schema is one, by its own rules; no value is held against it.

    Args:
        document: the JSON Schema.
        param: the field it came in.

    Raises:
        RequestError: it is none, or too long.
    """
    import jsonschema  # type: ignore[import-untyped]

    kind = jsonschema.validators.validator_for(document, default=jsonschema.Draft202012Validator)
    try:
        if len(json.dumps(document)) > _MOST_CHARS:
            raise _invalid(f"it has more than {_MOST_CHARS} characters", param)
        kind.check_schema(document)
    except jsonschema.SchemaError as error:
        raise _invalid(error.message[:300], param) from None
    except RecursionError:
        raise _invalid("it is nested too deeply", param) from None


async def faults_of(engine: PythonExecutor, document: Mapping[str, Any], value: Any) -> Held:
    """Hold a value against a JSON Schema, inside the sandbox.

    Raises:
        RequestError: it is no valid JSON Schema.
        SandboxUnavailable: it could not be run.
    """
    request = ExecutionRequest(
        code=_VALIDATION,
        variables={"document": document, "value": value, "most": _MOST_ERRORS},
        timeout_s=_SECONDS,
        outputs=("told",),
        on_record="",
    )
    result = await engine.execute(request, check=False)
    told = (result.outputs or {}).get("told")
    if not isinstance(told, dict):
        why = result.stopped_by or (result.stderr.strip().splitlines() or ["no message"])[-1]
        return Held(unchecked=f"{why:.200}")
    if told.get("invalid"):
        raise _invalid(told["invalid"])
    return Held(
        faults=tuple(
            f"The output does not fit the schema at {path}: {message}."
            for path, message in told.get("errors", [])
        )
    )


def _invalid(why: str, param: str = "schema") -> RequestError:
    return RequestError(
        f"The schema is no valid JSON Schema: {why}.",
        "Correct it, or describe the output in words.",
        param=param,
    )


async def check_schema(
    engine: PythonExecutor, schema: Schema, values: Mapping[str, Any]
) -> tuple[Issue, ...]:
    """Hold the outputs against a JSON Schema, inside the sandbox.

    A schema that speaks of the outputs' names is held against all of them as one object, any other
    against the one output that there is. A table is an array of rows where the schema says ``array``.

    Args:
        engine: runs the validation.
        schema: what was read.
        values: the outputs as plain JSON, ``Converted.plain``.

    Raises:
        RequestError: it is no valid JSON Schema.
        SandboxUnavailable: it could not be run.
    """
    if schema.document is None or not values:
        return ()
    document, value = _aimed(schema.document, values)
    held = await faults_of(engine, document, value)
    if held.unchecked:
        note = f"The output was not held against the schema: {held.unchecked}"
        return (Issue(kind="schema", message=note, severity="advice"),)
    return tuple(Issue(kind="schema", message=fault) for fault in held.faults)


def _aimed(document: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """The schema and what it is about."""
    if not _KEYWORDS & document.keys() and document.keys() <= values.keys():
        # A schema for each output, by name.
        document = {"type": "object", "properties": dict(document), "required": list(document)}
    properties = document.get("properties")
    inner: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    if len(values) > 1 or inner.keys() & values.keys():
        return document, {name: _shaped(each, inner.get(name)) for name, each in values.items()}
    return document, _shaped(next(iter(values.values())), document)


def _shaped(value: Any, schema: Any) -> Any:
    """A table as an array of rows, if that is what the schema is for."""
    is_table = isinstance(value, Mapping) and value.keys() >= {"columns", "index", "data", "dtypes"}
    wants_rows = isinstance(schema, Mapping) and schema.get("type") == "array"
    if not (is_table and wants_rows):
        return value
    floats = [dtype.lower().startswith("float") for dtype in value["dtypes"]]
    names = [str(name) for name in value["columns"]]
    return [
        {
            name: None if is_float and cell == "nan" else cell
            for name, cell, is_float in zip(names, row, floats, strict=True)
        }
        for row in value["data"]
    ]
