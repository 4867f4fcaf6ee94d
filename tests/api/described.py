"""Real answers held against the description: every test's client does so, with every answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from backend.api.app import create_app
from backend.config.settings import Settings

ERROR = {"$ref": "#/components/schemas/Error"}
GIVEN_BY_ALL = {403, 404, 405}
"""Of other servers, of addresses that are none, and of methods that an address does not take."""
NOT_DESCRIBED = {307}
"""An address with a slash too many."""


@cache
def description() -> dict[str, Any]:
    """The server's description, as a client reads it."""
    document: dict[str, Any] = create_app(Settings()).openapi()
    return document


@cache
def closed_schemas() -> dict[str, Any]:
    """The components, where a field that is not described is one too many."""
    schemas = deepcopy(description()["components"]["schemas"])
    for part in _parts(schemas):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    return schemas


def check_response(response: httpx.Response) -> None:
    """Hold an answer against the description; for a client's ``event_hooks``."""
    path, method = response.request.url.path, response.request.method
    if response.status_code in NOT_DESCRIBED or path == "/openapi.json":
        return
    operation = operation_of("GET" if method == "HEAD" else method, path)
    documented = operation["responses"] if operation else {}
    status = str(response.status_code)
    assert status in documented or response.status_code in GIVEN_BY_ALL, (
        f"{method} {path} answers {status}, which is not described"
    )
    kind = response.headers.get("content-type", "").partition(";")[0]
    by_all = {"content": {"application/json": {"schema": ERROR}}}
    content = documented.get(status, by_all).get("content", {})
    if not content:
        assert response.read() == b"", f"{method} {path} says more with {status} than is described"
        return
    assert kind in content or "*/*" in content or method == "HEAD", (
        f"{method} {path} answers with {kind!r}, which is not described"
    )
    if kind == "application/json" and kind in content and method != "HEAD":
        response.read()
        check(response.json(), content[kind]["schema"], f"{method} {path} {status}")
    elif kind == "text/event-stream":
        _watch_stream(response, content[kind]["itemSchema"])


def check(value: Any, schema: dict[str, Any], where: str) -> None:
    """Hold a value against a part of the description."""
    errors = [
        f"{where}: {each.instance_path}: {each.message}"[:500] for each in _faults(value, schema)
    ]
    assert not errors, "\n".join(errors)


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the description says of a request."""
    for pattern, methods in _patterns():
        if method.lower() in methods and re.fullmatch(pattern, path):
            operation: dict[str, Any] = methods[method.lower()]
            return operation
    return None


@cache
def _patterns() -> list[tuple[str, dict[str, Any]]]:
    def pattern(template: str) -> str:
        parts = re.split(r"(\{\w+\})", template)
        return "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)

    paths = sorted(description()["paths"].items(), key=lambda each: each[0].count("{"))
    found = [(pattern(template), methods) for template, methods in paths]
    return [*found, (r"/v1/models/.+", description()["paths"]["/v1/models/{model_id}"])]


def _faults(value: Any, schema: dict[str, Any]) -> list[jsonschema_rs.ValidationError]:
    return list(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = json.loads(schema) | {"components": {"schemas": closed_schemas()}}
    return jsonschema_rs.Draft202012Validator(whole)


def _watch_stream(response: httpx.Response, schema: dict[str, Any]) -> None:
    """Hold each line against the description as it is read."""
    inner = response.stream
    assert isinstance(inner, httpx.SyncByteStream)

    class Watched(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            held = b""
            for piece in inner:
                *lines, held = (held + piece).split(b"\n")
                for line in lines:
                    data = line.removeprefix(b"data: ")
                    if data != line and data != b"[DONE]":
                        check(json.loads(data), schema, str(response.request.url))
                yield piece

        def close(self) -> None:
            inner.close()

    response.stream = Watched()


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _parts(each)
