"""Requests that schemathesis makes up from the description, sent to a real server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import hypothesis_jsonschema._from_schema as from_schema
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture import utils
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KINDS = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
"""What the description allows, and what it does not."""


class _Elements(utils.many):
    """What hypothesis-jsonschema 0.23 knows a collection by: newer versions of Hypothesis have
    another way to go through one."""

    _steps: Iterator[None] | None = None

    def more(self) -> bool:
        """Whether there is to be another element."""
        if self._steps is None:
            self.__enter__()
            self._steps = iter(self)
        try:
            next(self._steps)
        except StopIteration:
            self.__exit__(None)
            return False
        return True


if not hasattr(utils.many, "more"):
    from_schema.cu = SimpleNamespace(**{**vars(utils), "many": _Elements})


def operations(url: str) -> list[schemathesis.APIOperation[Any, Any, Any, Any]]:
    """Every operation a server describes; those on keys last, for then it asks for one."""
    document = httpx.get(f"{url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    found = [each.ok() for each in schema.get_all_operations()]
    return sorted(found, key=lambda operation: operation.path.startswith("/v1/keys"))


def made(url: str) -> dict[str, str]:
    """Ids of things that are there, by the names of the parameters that take them."""
    with httpx.Client(base_url=url) as client:
        upload = {"file": ("a.csv", b"a,b\n1,2\n")}
        container = client.post("/v1/containers", json={"name": "c"}).json()["id"]
        return {
            "file_id": client.post("/v1/files", files=upload).json()["id"],
            "session_id": client.post("/v1/sessions").json()["id"],
            "container_id": container,
            "model_id": client.get("/v1/models").json()["data"][0]["id"],
        }


def fuzz(
    operation: schemathesis.APIOperation[Any, Any, Any, Any],
    url: str,
    *,
    examples: int,
    start: int = 0,
) -> None:
    """Send so many requests of each kind; what is wrong with an answer is raised."""
    right, wrong = KINDS
    known = {each.name for each in operation.path_parameters}
    _send(operation, url, right, {}, examples=examples, start=start)
    if not known and (operation.body or operation.query):
        # Of a path's parameters there is nothing that would be wrong: any text may be an id.
        _send(operation, url, wrong, {}, examples=examples, start=start)
    if known & {"file_id", "session_id", "container_id", "model_id"}:
        _send(operation, url, right, made(url), examples=examples, start=start)


def _send(
    operation: schemathesis.APIOperation[Any, Any, Any, Any],
    url: str,
    kind: schemathesis.GenerationMode,
    ids: dict[str, str],
    *,
    examples: int,
    start: int,
) -> None:
    @seed(start)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=kind))
    def send(case: schemathesis.Case) -> None:
        for name in ids:
            if name in case.path_parameters:
                case.path_parameters[name] = ids[name]
        case.call_and_validate(base_url=url, checks=CHECKS, timeout=30)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Overriding standard format")
        send()
