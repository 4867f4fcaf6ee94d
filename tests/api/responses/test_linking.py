from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from backend.api.links import SignedLinks
from backend.api.responses.linking import with_fresh_links


def test_links_of_a_kept_response_are_made_anew_and_cited_where_they_stand() -> None:
    old = "http://old.example/v1/files/file-0a/content?expires=1&signature=ff"
    message = {"type": "output_text", "text": f"See.\n\n![a.png]({old})\n\nEnd.", "annotations": []}
    body: dict[str, Any] = {
        "x_container_id": "cntr_1",
        "x_agent_metadata": {
            "artifacts": [{"id": "file-0a", "name": "a.png", "media_type": "image/png", "url": old}]
        },
        "output": [
            {"type": "code_interpreter_call", "outputs": [{"type": "image", "url": old}]},
            {"type": "message", "content": [message]},
        ],
    }
    server: Any = SimpleNamespace(links=SignedLinks(b"secret"))
    fresh = with_fresh_links(body, server, owner="local", base_url="http://new.example:8000")
    [call, said] = fresh["output"]
    [part] = said["content"]
    [cited] = part["annotations"]
    url = call["outputs"][0]["url"]
    assert url.startswith("http://new.example:8000/v1/files/file-0a/content?expires=")
    assert part["text"] == f"See.\n\n![a.png]({url})\n\nEnd."
    assert part["text"][cited["start_index"] : cited["end_index"]] == f"![a.png]({url})"
    assert cited["container_id"] == "cntr_1"
    assert fresh["x_agent_metadata"]["artifacts"][0]["url"] == url
