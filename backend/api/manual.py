"""``docs/api.md``, written from the description: ``python -m backend.api.manual docs/api.md``.

What is said of an endpoint, a field or a status stands where it is made; here is only its order on
the page, what is true of all of them, and the examples, which a test sends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.api.manual_examples import EXAMPLES, Example
from backend.api.manual_text import GENERAL, SECTIONS
from backend.api.operations import EVERYWHERE, MEANINGS

_REF = "#/components/schemas/"
_LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "to {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {}",
    "pattern": "`{}`",
}
_OURS = {str(status) for status in EVERYWHERE}


def manual(document: Mapping[str, Any]) -> str:
    """The page for a description."""
    operations = list(_operations(document))
    lost = {tag for tag, *_ in operations} - set(SECTIONS)
    if lost:
        raise ValueError(f"manual_text.SECTIONS has no section for {sorted(lost)}.")
    contents = [f"- [{title}](#{_anchor(title)})" for title, _ in SECTIONS.values()]
    parts = [GENERAL.strip(), "\n".join(["## Contents", "", *contents])]
    parts.append("\n".join(_statuses()))
    shown: set[str] = set()
    for tag, (title, words) in SECTIONS.items():
        mine = [each for each in operations if each[0] == tag]
        if not mine:
            continue
        parts.append(f"## {title}\n\n{words.strip()}")
        for _, method, path, operation in mine:
            parts.append("\n\n".join(_endpoint(method, path, operation)))
        names = _objects([operation for *_, operation in mine], document, shown)
        schemas = document["components"]["schemas"]
        parts += [_object(name, schemas) for name in names]
    return "\n\n".join(parts) + "\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield operation.get("tags", [""])[0], method.upper(), path, operation


def _statuses() -> Iterator[str]:
    yield "## Statuses of errors"
    yield ""
    yield "Those marked with * every endpoint below `/v1` can give; others are listed where they can."
    yield ""
    yield "| status | when |"
    yield "| --- | --- |"
    for status, meaning in sorted(MEANINGS.items()):
        yield f"| {status}{' *' if status in EVERYWHERE else ''} | {_cell(meaning)} |"


def _endpoint(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}"
    yield f"**{operation['summary'].rstrip('.')}.** {_words(operation.get('description', ''))}".strip()
    if operation.get("parameters"):
        rows = [_parameter(each) for each in operation["parameters"]]
        yield _table(("parameter", "in", "type", "meaning"), rows)
    if "requestBody" in operation:
        yield (
            "Takes "
            + ", or ".join(
                f"{_type(media['schema'])} as `{kind}`"
                for kind, media in operation["requestBody"]["content"].items()
            )
            + ("." if operation["requestBody"].get("required") else "; it may be left out.")
        )
    yield _table(("status", "answer"), list(_answers(operation)))
    for example in EXAMPLES:
        if (example.method, example.template) == (method, path):
            yield _example(example)


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    schema = parameter["schema"]
    meaning = parameter.get("description") or schema.get("description", "")
    return (f"`{parameter['name']}`", parameter["in"], _with_default(schema), _words(meaning))


def _answers(operation: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, response in operation["responses"].items():
        if status in _OURS and status != "503":
            continue
        if int(status) >= 400 and response["description"] == MEANINGS.get(int(status)):
            continue
        yield status, " ".join(filter(None, [_words(response["description"]), _content(response)]))
    errors = [
        status for status in operation["responses"] if status not in _OURS and int(status) >= 400
    ]
    if errors:
        yield ", ".join(errors), f"{_link('Error')}: see [statuses](#statuses-of-errors)."


def _content(response: Mapping[str, Any]) -> str:
    said = []
    for kind, media in response.get("content", {}).items():
        if "itemSchema" in media:
            line = media["itemSchema"]["anyOf"][0]
            said.append(f"A stream (`{kind}`) of {_type(line)}.")
        elif kind == "application/json":
            said.append(f"{_type(media['schema'])}.")
        else:
            said.append(f"`{kind}`.")
    return " ".join(said)


def _objects(
    operations: Sequence[Mapping[str, Any]], document: Mapping[str, Any], shown: set[str]
) -> list[str]:
    """Names of what the operations speak of and what those speak of, each once on the page."""
    waiting, found = list(_references(operations)), []
    while waiting:
        name = waiting.pop(0)
        if name in shown:
            continue
        shown.add(name)
        found.append(name)
        waiting = [*_references(document["components"]["schemas"][name]), *waiting]
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if str(value.get("$ref", "")).startswith(_REF):
            yield value["$ref"].removeprefix(_REF)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _references(each)


def _object(name: str, schemas: Mapping[str, Any]) -> str:
    schema = schemas[name]
    head = f"#### {name}\n\n{_words(schema.get('description', ''))}".strip()
    if "properties" not in schema:
        return f"{head}\n\n{_type(schema)}"
    needed = set(schema.get("required", ()))
    rows = []
    for field, each in schema["properties"].items():
        is_needed = field in needed
        kind = _type(each) if is_needed else _with_default(each)
        # A field that means what its object means does not say so twice.
        target = schemas.get(each.get("$ref", "").removeprefix(_REF), {})
        meaning = each.get("description") or target.get("description", "")
        rows.append((f"`{field}`{'' if is_needed else '?'}", kind, _words(meaning)))
    return f"{head}\n\n{_table(('field', 'type', 'meaning'), rows)}"


def _with_default(schema: Mapping[str, Any]) -> str:
    if schema.get("default") is None:
        return _type(schema)
    return f"{_type(schema)}; default `{json.dumps(schema['default'], ensure_ascii=False)}`"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].removeprefix(_REF))
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[key]))
    limits = [text.format(_number(schema[key])) for key, text in _LIMITS.items() if key in schema]
    return ", ".join([_plain_type(schema), *limits])


def _number(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _plain_type(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return (
            f"list of ({items})"
            if "," in (items := _type(schema.get("items", {})))
            else f"list of {items}"
        )
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, Mapping) and values else "object"
    if schema.get("format") == "binary":
        return "bytes"
    return str(kind)


def _example(example: Example) -> str:
    return f"```sh\n{example.as_curl()}\n```"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _words(text: str) -> str:
    """A docstring's words in one paragraph, with one backtick where it has two."""
    return " ".join(text.replace("``", "`").split())


def _link(name: str) -> str:
    return f"[{name}](#{_anchor(name)})"


def _anchor(title: str) -> str:
    kept = "".join(each for each in title.lower() if each.isalnum() or each in " -_")
    return kept.replace(" ", "-")


def write_manual(path: Path) -> None:
    """Write the page of the application as it is."""
    from backend.api.app import create_app
    from backend.config.settings import load_settings

    document = create_app(load_settings()).openapi()
    path.write_text(manual(document), encoding="utf-8")


if __name__ == "__main__":
    write_manual(Path(sys.argv[1]))
