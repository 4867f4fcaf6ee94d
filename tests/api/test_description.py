from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backend.api.manual_examples import EXAMPLES, Example
from tests.api.conftest import Serve
from tests.api.described import check_response, description
from tests.scripts import APPROVE, act, answer, generate

OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in description()["paths"].items()
    for method, operation in methods.items()
]


def test_the_description_is_whole_and_says_what_is_done(steady: httpx.Client) -> None:
    document = steady.get("/openapi.json").json()
    assert document == description()
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert reference in document["components"]["schemas"]
    assert "$defs" not in text
    assert "HTTPValidationError" not in text
    assert not any("422" in operation["responses"] for _, operation in OPERATIONS)
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["$ref"].endswith("ChatRequest")


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_endpoint_says_what_it_answers(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    good = [status for status in operation["responses"] if status < "300"]
    assert good
    for status in good:
        content = operation["responses"][status].get("content", {})
        assert content, f"{name} does not say what it answers with {status}"
        assert content.get("application/json") != {"schema": {}}


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in description()["components"]["schemas"].items():
        for field, each in schema.get("properties", {}).items():
            yield f"{name}.{field}", each


def test_every_field_says_what_it_means() -> None:
    silent = [name for name, each in fields() if not each.get("description") and "$ref" not in each]
    assert silent == []


def test_an_answer_that_is_not_described_is_noticed(steady: httpx.Client) -> None:
    good = steady.get("/v1/models")
    body = good.json()
    for wrong in (body | {"more": 1}, {"object": "list"}, body | {"data": [{"id": 1}]}):
        with pytest.raises(AssertionError, match="models"):
            check_response(httpx.Response(200, json=wrong, request=good.request))
    with pytest.raises(AssertionError, match="418"):
        check_response(httpx.Response(418, json={}, request=good.request))
    page = httpx.Response(200, html="<p>", request=good.request)
    with pytest.raises(AssertionError, match="text/html"):
        check_response(page)


def test_the_examples_of_the_page_work_as_they_are_shown(serve: Serve) -> None:
    code = "import pandas\nprint(pandas.read_csv('sales.csv').amount.mean())"
    client = serve(
        act("python_coder", "the mean of amount"),
        generate(code),
        APPROVE,
        act("finish", "It is 21."),
        answer("It is 21."),
        {"stage": "chat", "reply": "ok", "tokens": [3, 1], "repeat": True},
    )
    known = {
        "$FILE": client.post(
            "/v1/files", files={"file": ("sales.csv", b"amount\n10\n32\n")}
        ).json()["id"],
        "$SESSION": client.post("/v1/sessions").json()["id"],
    }
    for example in EXAMPLES:
        reply = _send(client, example, known)
        assert reply.status_code in {200, 202}, (example.as_curl(), reply.text[:500])
        if example.json and "code" in example.json:
            assert reply.json()["stdout"] == "21.0\n"
        if example.json and "file_ids" in example.json and "messages" in example.json:
            assert "21" in reply.json()["choices"][0]["message"]["content"]


def _send(client: httpx.Client, example: Example, known: dict[str, str]) -> httpx.Response:
    def filled(text: str) -> str:
        for name, value in known.items():
            text = text.replace(name, value)
        return text

    about: dict[str, Any] = {}
    if example.json is not None:
        about["json"] = json.loads(filled(json.dumps(example.json)))
    if example.upload is not None:
        name, content = example.upload
        about |= {"files": {"file": (name, content.encode())}, "data": dict(example.form)}
    return client.request(example.method, filled(example.address), **about)
