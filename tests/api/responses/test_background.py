from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from backend.core.assistant import Assistant
from tests.api.conftest import Serve
from tests.api.responses.conftest import AUTO, OUTPUTS, ask, items, read_events, text_of
from tests.api.test_presence import until

FORCED: dict[str, Any] = {"tools": [AUTO], "tool_choice": "required", "background": True}


def over(http: httpx.Client, id_: str) -> dict[str, Any] | None:
    reply = http.get(f"/v1/responses/{id_}", params={"include[]": OUTPUTS})
    Response.model_validate_json(reply.text, strict=True)
    body: dict[str, Any] = reply.json()
    return None if body["status"] in {"queued", "in_progress"} else body


def test_a_response_in_the_background_is_read_when_it_is_over(http: httpx.Client) -> None:
    begun = ask(http, "Divide for mu", **FORCED)
    assert (begun["status"], begun["output"], begun["background"]) == ("queued", [], True)
    body = until(lambda: over(http, begun["id"]))
    assert body["status"] == "completed"
    failed, repaired = items(body, "code_interpreter_call")
    assert (failed["code"], failed["status"]) == ("print(1 / 0)", "failed")
    assert "ZeroDivisionError" in failed["outputs"][0]["logs"]
    assert repaired["outputs"] == [{"type": "logs", "logs": "mu is 42.0\n"}]
    assert text_of(body) == "It is 42."
    assert body["usage"]["total_tokens"] > 0
    assert body == over(http, begun["id"])
    assert http.get(f"/v1/runs/{body['x_run_id']}").json()["status"] == "completed"


def test_a_background_response_cites_its_files_and_is_gone_on_from(http: httpx.Client) -> None:
    begun = ask(http, "Plot kappa", **FORCED)
    body = until(lambda: over(http, begun["id"]))
    [call] = items(body, "code_interpreter_call")
    assert [output["type"] for output in call["outputs"]] == ["logs", "image"]
    [annotation] = items(body, "message")[0]["content"][0]["annotations"]
    path = f"/v1/containers/{body['x_container_id']}/files/{annotation['file_id']}/content"
    assert http.get(path).content.startswith(b"\x89PNG")
    events, host = f"/v1/responses/{body['id']}?stream=true", f"localhost:{http.base_url.port}"
    with http.stream("GET", events, headers={"Host": host}) as reply:
        *_, end = read_events(reply)
    [part] = items(end["response"], "message")[0]["content"]
    [cited] = part["annotations"]
    shown = part["text"][cited["start_index"] : cited["end_index"]]
    assert f"(http://{host}/v1/files/{cited['file_id']}/content?" in shown, "its links are new"
    asked = {"tools": [AUTO], "tool_choice": "required", "previous_response_id": body["id"]}
    assert text_of(ask(http, "Use sigma", **asked)) == "It goes on."


def test_a_program_of_a_background_response_is_approved(http: httpx.Client) -> None:
    begun = ask(http, "Plot kappa", approve="always", **FORCED)
    shown = until(lambda: over(http, begun["id"]))
    assert "plt.savefig" in text_of(shown)
    more = ask(http, "yes", tools=[AUTO], background=True, previous_response_id=begun["id"])
    body = until(lambda: over(http, more["id"]))
    assert text_of(body).startswith("Here is kappa.")
    assert body["x_run_id"] == shown["x_run_id"]
    assert [call["status"] for call in items(body, "code_interpreter_call")] == ["completed"]
    assert over(http, begun["id"]) == shown


def test_a_background_response_is_cancelled(api: openai.OpenAI, http: httpx.Client) -> None:
    begun = api.responses.create(model="scripted", input="Wait for omega", **FORCED)
    run = f"/v1/runs/{begun.model_extra['x_run_id']}" if begun.model_extra else ""
    until(lambda: http.get(run).json()["status"] == "running")
    refused = {"input": "and now?", "previous_response_id": begun.id}
    assert http.post("/v1/responses", json=refused).status_code == 400
    assert api.responses.cancel(begun.id).status == "cancelled"
    assert api.responses.cancel(begun.id).status == "cancelled"
    assert api.responses.retrieve(begun.id).status == "cancelled"
    assert http.get(run).json()["status"] == "cancelled"


def test_a_background_response_that_is_deleted_ends(http: httpx.Client) -> None:
    begun = ask(http, "Wait for omega", **FORCED)
    assert http.delete(f"/v1/responses/{begun['id']}").json()["deleted"]
    assert http.get(f"/v1/runs/{begun['x_run_id']}").json()["status"] == "cancelled"
    assert http.get(f"/v1/responses/{begun['id']}").status_code == 404


def test_a_background_response_that_fails_says_why(http: httpx.Client) -> None:
    begun = ask(http, "a broken one", background=True)
    body = until(lambda: over(http, begun["id"]))
    assert body["status"] == "failed"
    assert "boom" in body["error"]["message"]


def test_a_fault_of_ours_tells_its_words_to_the_log_alone(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Assistant, *_: Any) -> Any:
        raise KeyError("/home/somebody/secret")

    monkeypatch.setattr(Assistant, "run", broken)
    begun = ask(http, "hello", background=True)
    body = until(lambda: over(http, begun["id"]))
    assert (body["status"], body["error"]["code"]) == ("failed", "server_error")
    assert "Its log says what" in body["error"]["message"]
    assert "secret" not in json.dumps(body)
    assert "secret" in caplog.text


def test_a_background_response_is_followed(http: httpx.Client) -> None:
    begun = ask(http, "Divide for mu", **FORCED)
    path = f"/v1/responses/{begun['id']}"
    with http.stream("GET", path, params={"stream": "true"}, timeout=60) as reply:
        events = read_events(reply)
    assert events[-1]["type"] == "response.completed"
    assert text_of(events[-1]["response"]) == "It is 42."


def test_no_more_wait_than_an_owner_may_have_waiting(serve: Serve) -> None:
    slow = {"stage": "chat", "reply": "late", "delay_s": 30, "repeat": True}
    client = serve(slow, max_queue=1, max_requests=1)
    body = {"input": "hello", "background": True}
    replies = [client.post("/v1/responses", json=body) for _ in range(4)]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert "PYTHON_CODER_MAX_QUEUE" in refused[0].json()["error"]["message"]
    assert int(refused[0].headers["retry-after"]) > 0
