"""``/openapi.json``: what FastAPI finds out, and what it cannot know.

Bodies are read by us and not by FastAPI (limits, our own errors), so routes say what they take and
answer (``operations.py``); what is wrong with a request is answered with 400, never with its 422.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend.api.operations import EVERYWHERE, MEANINGS, REF, schema_of
from backend.api.shapes.errors import Error

_ERROR = {"application/json": {"schema": {"$ref": REF.format(model="Error")}}}
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
_KEYS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer KEY`; the header `X-API-Key: KEY` means the same.",
    }
}


def install_description(app: FastAPI) -> None:
    """Make the application describe itself as it is."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    _moved(schema_of(Error, mode="out"), schemas)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _add_what_all_share(operation, is_ours=path.startswith("/v1/"))
            _move_schemas(operation, schemas)
    document["components"]["securitySchemes"] = _KEYS
    return document


def _add_what_all_share(operation: dict[str, Any], *, is_ours: bool) -> None:
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    for response in responses.values():
        content = response.get("content", {})
        if len(content) > 1 and content.get("application/json") == {"schema": {}}:
            del content["application/json"]  # FastAPI's guess of what goes out
    if operation.get("parameters"):
        responses.setdefault("400", {"description": MEANINGS[400], "content": _ERROR})
    if is_ours:
        operation["security"] = [{"bearer": []}, {}]
        for status in EVERYWHERE:
            responses.setdefault(str(status), {"description": MEANINGS[status], "content": _ERROR})
    for name in ("429", "503"):
        if name in responses:
            responses[name]["headers"] = {
                "Retry-After": {
                    "description": "Seconds after which to try again.",
                    "schema": {"type": "integer"},
                }
            }
    operation["responses"] = dict(sorted(responses.items()))


def _move_schemas(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put the models that routes brought along among the components."""
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [response.get("content", {}) for response in operation["responses"].values()]
    for media in (media for content in contents for media in content.values()):
        for key in ("schema", "itemSchema"):
            if key in media:
                media[key] = _moved(media[key], schemas)


def _moved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema and "title" not in schema:
        return {"anyOf": [_moved(each, schemas) for each in schema["anyOf"]]}
    if "properties" not in schema or "title" not in schema:
        return schema
    schema = dict(schema)
    parts = schema.pop("$defs", {}) | {schema["title"]: schema}
    for name, part in parts.items():
        known = schemas.setdefault(name, part)
        if known != part:
            raise ValueError(f"Two models that differ go by the name {name!r}; rename one.")
    return {"$ref": REF.format(model=schema["title"])}
