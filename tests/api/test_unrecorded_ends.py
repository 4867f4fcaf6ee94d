"""Requests that end while the store cannot be told: it is told as soon as it works again."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings
from tests.api.conftest import connect, running
from tests.api.test_background import PRODUCT, listed, read, settings_of
from tests.api.test_presence import until
from tests.commands import needs_sandbox
from tests.core.test_cancelling import ACTING, APPROVED, REVIEW, WRITING
from tests.ollama_server import OllamaServer
from tests.scripts import act, generate

pytestmark = [pytest.mark.sandbox, needs_sandbox]

LINES: dict[str, dict[str, Any]] = {
    "answer": act("finish", "It is 42.", when="Observation: 42"),
    "review": {"reply": APPROVED, "when": REVIEW},
    "write": {**generate("print(6 * 7)"), "when": WRITING},
    "act": act("python_coder", PRODUCT, when=ACTING),
}


def rename(settings: Settings, table: str, name: str) -> None:
    with closing(sqlite3.connect(settings.data_dir / "python-coder.db")) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
        connection.commit()


def hold(model: OllamaServer, last: str) -> list[dict[str, Any]]:
    """Let the model keep one reply back; those that it is asked for until then."""
    model.add(*(line | ({"fault": "hold"} if name == last else {}) for name, line in LINES.items()))
    names = list(LINES)
    return [LINES[name] for name in names[names.index(last) :]]


@pytest.mark.parametrize(
    ("last", "approve", "told", "status"),
    [("answer", "off", 200, "completed"), ("review", "always", 503, "failed")],
)
def test_a_chat_is_over_on_record_once_the_store_works_again(
    ollama_server: OllamaServer, tmp_path: Path, last: str, approve: str, told: int, status: str
) -> None:
    settings = settings_of(tmp_path, model="ollama:gpt-oss:20b")
    body = {"messages": [{"role": "user", "content": PRODUCT}], "agent_type": "react"}
    with (
        running(settings) as url,
        connect(url) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        asked = hold(ollama_server, last)
        said = thread.submit(client.post, "/v1/chat/completions", json=body | {"approve": approve})
        for _ in asked:
            ollama_server.next_request()
        rename(settings, "runs", "gone")
        ollama_server.release()
        reply = said.result(60)
        assert reply.status_code == told, reply.text
        rename(settings, "gone", "runs")
        (run,) = listed(client)
        until(lambda: read(client, run["id"])["status"] == status)
        assert client.delete(f"/v1/runs/{run['id']}").json()["deleted"] is True
