from __future__ import annotations

import json
import re

import httpx


def test_the_description_is_whole_and_says_what_is_done(steady: httpx.Client) -> None:
    document = steady.get("/openapi.json").json()
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert reference in document["components"]["schemas"]
    assert "$defs" not in text
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len(operations) >= 14
    assert not any("422" in operation["responses"] for operation in operations)
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["$ref"].endswith("ChatRequest")
