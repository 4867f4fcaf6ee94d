"""``/openapi.json``: what FastAPI finds out, and what it cannot know.

Bodies are read by us and not by FastAPI (limits, our own errors), so their forms are added here;
and what is wrong with a request is answered with 400, never with its 422.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from backend.api.schemas import ChatRequest, ExecuteRequest

_REF = "#/components/schemas/{model}"
_BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "application/json": {"schema": {"$ref": _REF.format(model="ChatRequest")}}
    },
    "/v1/execute": {"application/json": {"schema": {"$ref": _REF.format(model="ExecuteRequest")}}},
    "/v1/files": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "purpose": {"type": "string", "default": "assistants"},
                },
            }
        }
    },
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
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
    _, models = models_json_schema(
        [(ChatRequest, "validation"), (ExecuteRequest, "validation")], ref_template=_REF
    )
    document["components"] = {"schemas": {**models["$defs"], "Error": _ERROR}}
    error = {"schema": {"$ref": _REF.format(model="Error")}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "What went wrong, and what to do",
                "content": {"application/json": error},
            }
            if method == "post" and path in _BODIES:
                operation["requestBody"] = {"required": True, "content": _BODIES[path]}
    return document
