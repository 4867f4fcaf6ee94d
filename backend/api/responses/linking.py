"""Links in a kept response, made anew: those that it was answered with have an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.api.links import LINK
from backend.api.responses.message import citations
from backend.api.state import Server

Fresh = Callable[[str], str]


def with_fresh_links(
    body: Mapping[str, Any], server: Server, *, owner: str, base_url: str
) -> dict[str, Any]:
    """The response, its links good for as long again, its citations where they now stand."""

    def fresh(text: str) -> str:
        return LINK.sub(lambda found: server.links.url(base_url, found[1], owner=owner), text)

    metadata = body["x_agent_metadata"]
    if metadata is None:
        return dict(body)
    artifacts = [each | {"url": fresh(each["url"])} for each in metadata["artifacts"]]
    if not artifacts:
        return dict(body)
    output = []
    for item in body["output"]:
        if item["type"] == "code_interpreter_call":
            outputs = [_with_url(each, fresh) for each in item["outputs"] or ()]
            item = item | {"outputs": outputs}
        elif item["type"] == "message":
            parts = [
                _part(each, fresh, artifacts, body["x_container_id"]) for each in item["content"]
            ]
            item = item | {"content": parts}
        output.append(item)
    return {**body, "output": output, "x_agent_metadata": metadata | {"artifacts": artifacts}}


def _with_url(output: dict[str, Any], fresh: Fresh) -> dict[str, Any]:
    return output | {"url": fresh(output["url"])} if "url" in output else output


def _part(
    part: dict[str, Any], fresh: Fresh, artifacts: list[dict[str, Any]], container_id: str | None
) -> dict[str, Any]:
    if part["type"] != "output_text":
        return part
    text = fresh(part["text"])
    cited = citations(text, artifacts, container_id) if container_id else []
    return part | {"text": text, "annotations": cited}
