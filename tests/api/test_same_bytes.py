"""What programs of several requests wrote is kept once: whoever deletes takes it from nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.commands import needs_sandbox
from tests.ollama_server import OllamaServer
from tests.scripts import act

pytestmark = [pytest.mark.sandbox, needs_sandbox]

CODE = "open('table.csv', 'w').write('a,b\\n1,2\\n')\nprint('written')"
BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Write a table"}],
    "agent_type": "react",
}
Ask = Callable[[], httpx.Response]


@pytest.fixture
def held(serve: Serve, ollama_server: OllamaServer) -> Iterator[tuple[httpx.Client, Any, Any]]:
    """A server; a first answer; and a second one whose program has written the same by now."""
    end = act("finish", "Here it is.", when="Observation: written")
    ollama_server.add(end, act("run_python", CODE))
    client = serve(model="ollama:gpt-oss:20b")
    first = client.post("/v1/chat/completions", json=BODY)
    assert first.status_code == 200, first.text
    ollama_server.add({**end, "fault": "hold"}, act("run_python", CODE))
    with ThreadPoolExecutor() as pool:
        second = pool.submit(client.post, "/v1/chat/completions", json=BODY)
        for _ in range(4):
            ollama_server.next_request()

        def go_on() -> httpx.Response:
            ollama_server.release()
            return second.result()

        yield client, first.json(), go_on


def test_deleting_a_conversation_leaves_what_another_request_has_just_written(
    held: tuple[httpx.Client, dict[str, Any], Ask],
) -> None:
    client, first, go_on = held
    [made] = first["x_agent_metadata"]["artifacts"]
    assert client.delete(f"/v1/sessions/{first['x_session_id']}").status_code == 200
    assert client.get(f"/v1/files/{made['id']}/content").status_code == 404
    second = go_on()
    assert second.status_code == 200, second.text
    [made] = second.json()["x_agent_metadata"]["artifacts"]
    assert client.get(made["url"]).text == "a,b\n1,2\n"


def test_a_file_that_is_lost_meanwhile_does_not_cost_the_answer(
    held: tuple[httpx.Client, dict[str, Any], Ask], tmp_path: Path
) -> None:
    _, _, go_on = held
    [blob] = (tmp_path / "data" / "blobs").glob("??/*")
    blob.unlink()
    second = go_on()
    assert second.status_code == 200, second.text
    metadata = second.json()["x_agent_metadata"]
    assert second.json()["choices"][0]["message"]["content"] == "Here it is."
    assert metadata["artifacts"] == []
    assert "'table.csv' could not be kept" in metadata["notes"][0]
