"""What an endpoint takes and answers, said where its route is made; see ``description.py``.

    @router.get(
        "/{file_id}", summary="Describe a file", responses=answers(FileObject, 404), response_model=None
    )

``response_model=None`` keeps FastAPI from validating and copying what goes out.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from backend.api.shapes.errors import Error

REF: Final = "#/components/schemas/{model}"
EVERYWHERE: Final = (401, 403, 429, 500, 503)
"""Errors that every endpoint below ``/v1`` can give; the description adds them."""

MEANINGS: Final[dict[int, str]] = {
    400: "The request cannot be served as it was put, and `param` names the field; or it does not fit "
    "into the model's context (`context_length_exceeded`).",
    401: "No key, or none that is good any more.",
    403: "The key, or the place the request comes from, does not allow it.",
    404: "There is no such thing, or it is another owner's.",
    405: "The address does not take this method; `Allow` names those that it does.",
    409: "It is not in a state in which this can be done.",
    413: "The body, a file or a field is over its limit, or the storage is full.",
    416: "The file does not have the bytes that `Range` asks for.",
    424: "A program has run, then something else failed: clients must not repeat this by themselves.",
    429: "Too many requests, or the request used up its budget; `Retry-After` says when to try again.",
    499: "Somebody cancelled it while it was worked on, or deleted its session.",
    500: "A fault of the server; its log says more.",
    502: "The model answered, but with nothing that can be used.",
    503: "Something the server needs is not there at the moment; `Retry-After` says when to try again.",
}


def answers(
    model: type[BaseModel] | None,
    *errors: int,
    status: int = 200,
    meaning: str | None = None,
    stream: type[BaseModel] | None = None,
    content: dict[str, Any] | None = None,
) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route.

    Args:
        model: what goes out as JSON; None where no JSON does.
        errors: the statuses it can fail with, beside those of ``EVERYWHERE``.
        status: of the answer; it must be the route's ``status_code`` when that is not 200.
        meaning: what the answer is, in a sentence.
        stream: what each ``data:`` line of a stream holds, unless it is an error, where a stream
            can be asked for.
        content: media type -> description of what goes out beside JSON.
    """
    good: dict[str, Any] = {"description": meaning or "As asked for."}
    if model is not None:
        good["model"] = model
    if stream is not None:
        lines = [schema_of(stream, mode="out"), {"$ref": REF.format(model=Error.__name__)}]
        events = {"schema": {"type": "string"}, "itemSchema": {"anyOf": lines}}
        good["content"] = {"text/event-stream": events}
    if content is not None:
        good["content"] = good.get("content", {}) | content
    described: dict[int | str, dict[str, Any]] = {status: good}
    return described | {each: failure(each) for each in errors}


def failure(status: int) -> dict[str, Any]:
    """The description of an error status."""
    meaning = MEANINGS.get(status) or f"{HTTPStatus(status).phrase}."
    return {"description": meaning, "model": Error}


def takes(
    model: type[BaseModel], *, media_type: str = "application/json", required: bool = True
) -> dict[str, Any]:
    """The ``openapi_extra`` of a route that reads its body itself, with ``read_json``."""
    body = {"schema": schema_of(model, mode="in")}
    return {"requestBody": {"required": required, "content": {media_type: body}}}


def schema_of(model: type[BaseModel], *, mode: str) -> dict[str, Any]:
    """A model's JSON schema; ``description.py`` puts it and its parts among the components."""
    return model.model_json_schema(
        ref_template=REF, mode="serialization" if mode == "out" else "validation"
    )
