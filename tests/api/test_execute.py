from __future__ import annotations

import asyncio
import base64
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest

from backend.api.app import create_app
from backend.api.draining import Farewell
from backend.config.settings import load_settings
from backend.store.audit_reading import Wanted, read_trail
from tests.api.conftest import Serve
from tests.api.test_presence import until


def execute(client: httpx.Client, code: str, **more: Any) -> httpx.Response:
    return client.post("/v1/execute", json={"code": code, **more})


def test_a_program_runs_without_any_model(serve: Serve) -> None:
    client = serve(model="ollama:some:1b", ollama_host="127.0.0.1:9")
    result = execute(client, "import sys\nprint('한글', sys.argv[1:])\n6 * 7", argv=["a"]).json()
    assert result["success"] is True
    assert result["returncode"] == 0
    assert result["stdout"] == "한글 ['a']\n"
    assert result["value"] == "42"
    assert result["stopped_by"] is None
    assert result["isolation"]["executor"] == "local"
    assert result["duration_s"] > 0
    assert (result["issues"], result["truncated"]) == ([], [])


def test_a_program_that_fails_was_dealt_with_all_the_same(client: httpx.Client) -> None:
    reply = execute(client, "print('before')\n1 / 0")
    assert reply.status_code == 200
    result = reply.json()
    assert (result["success"], result["stdout"]) == (False, "before\n")
    assert "ZeroDivisionError" in result["stderr"]
    assert result["failure"] == {
        "type": "ZeroDivisionError",
        "message": "division by zero",
        "frames": [{"line": 2, "function": "<module>", "source": "1 / 0", "variables": {}}],
    }
    assert execute(client, "1").json()["failure"] is None


def test_what_the_check_refuses_is_not_run_and_says_why(client: httpx.Client) -> None:
    result = execute(client, "import socket\nprint('ran')").json()
    assert (result["success"], result["stopped_by"], result["stdout"]) == (False, None, "")
    assert result["issues"][0]["line"] == 1
    assert result["isolation"] is None


def test_the_check_can_be_left_out_and_the_walls_stand(client: httpx.Client) -> None:
    code = "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    result = execute(client, code, check=False).json()
    assert result["success"] is False
    assert "Error" in result["stderr"]


def test_a_time_limit_of_its_own(client: httpx.Client) -> None:
    result = execute(client, "print('x', flush=True)\nwhile True: pass", timeout_s=1).json()
    assert (result["success"], result["stopped_by"], result["stdout"]) == (False, "timeout", "x\n")


def test_uploaded_files_go_in_and_written_ones_come_out(client: httpx.Client) -> None:
    ids = [
        client.post("/v1/files", files={"file": ("수치.csv", text)}).json()["id"]
        for text in (b"x\n1\n2\n", b"x\n40\n")
    ]
    code = (
        "from pathlib import Path\n"
        "found = sorted(path for path in Path('.').rglob('수치.csv'))\n"
        "total = sum(int(line) for path in found for line in path.read_text().split()[1:])\n"
        "Path('out').mkdir()\n"
        "Path('out/total.txt').write_text(str(total))\n"
    )
    result = execute(client, code, file_ids=ids).json()
    assert result["success"], result["stderr"]
    [artifact] = result["artifacts"]
    assert (artifact["name"], artifact["size"]) == ("out/total.txt", 2)
    assert base64.b64decode(artifact["content"]) == b"43"
    assert client.get(f"/v1/files/{artifact['id']}/content").content == b"43"
    listed = client.get("/v1/files", params={"purpose": "assistants_output"}).json()["data"]
    assert [file["id"] for file in listed] == [artifact["id"]]


def test_a_program_that_ran_is_not_asked_for_again_when_its_files_cannot_be_kept(
    client: httpx.Client,
) -> None:
    blobs = load_settings().data_dir / "blobs"
    shutil.rmtree(blobs, ignore_errors=True)
    blobs.write_text("in the way")
    reply = execute(client, "open('a.txt', 'w').write('kept')")
    assert reply.status_code == 424
    assert reply.headers["X-Should-Retry"] == "false"
    assert reply.json()["error"]["code"] == "store_unavailable"


def test_a_large_artifact_comes_by_its_link(client: httpx.Client) -> None:
    [artifact] = execute(client, "open('a.bin', 'wb').write(bytes(300_000))").json()["artifacts"]
    assert artifact["content"] is None
    assert len(client.get(artifact["url"]).content) == 300_000


PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('T')\n"


def test_a_plot_comes_in_the_formats_asked_for_and_as_data(client: httpx.Client) -> None:
    result = execute(client, PLOT, figure_formats=["svg", "png"]).json()
    assert result["success"], result["stderr"]
    kinds = {made["name"]: made["media_type"] for made in result["artifacts"]}
    assert kinds == {"figure_1.svg": "image/svg+xml", "figure_1.png": "image/png"}
    [chart] = result["charts"]
    assert (chart["artifact"], chart["type"], chart["title"]) == ("figure_1.svg", "line", "T")
    assert chart["series"][0]["y"] == [1, 2]


def test_a_table_comes_as_text_and_as_html(client: httpx.Client) -> None:
    result = execute(client, "import pandas as pd\npd.DataFrame({'n': [1]})").json()
    assert result["value"] == "   n\n0  1"
    assert "<table" in result["html"]
    assert result["charts"] == []


def test_what_has_no_html_says_so(client: httpx.Client) -> None:
    assert execute(client, "6 * 7").json()["html"] is None


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "code"),
        ({"code": " "}, 400, "code"),
        ({"code": 1}, 400, "code"),
        ({"code": "1", "language": "cobol"}, 400, "language"),
        ({"code": "1", "executor": "cloud"}, 400, None),
        ({"code": "1", "timeout_s": 0}, 400, "timeout_s"),
        ({"code": "1", "timeout_s": -1}, 400, "timeout_s"),
        ({"code": "1", "timeout_s": "soon"}, 400, "timeout_s"),
        ({"code": "1", "memory_mb": 0}, 400, "memory_mb"),
        ({"code": "1", "session_id": "s"}, 404, "session_id"),
        ({"code": "1", "file_ids": ["file-9"]}, 404, "file_ids"),
        ({"code": "#" * 1_000_001}, 400, "code"),
        ({"code": "1", "figure_formats": ["jpg"]}, 400, "figure_formats.0"),
        ({"code": "1", "figure_formats": []}, 400, "figure_formats"),
        ({"code": "1", "figure_formats": "png"}, 400, "figure_formats"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_requests_are_refused(
    client: httpx.Client, body: dict[str, Any], status: int, param: str | None
) -> None:
    reply = client.post("/v1/execute", json=body)
    assert reply.status_code == status, reply.text
    if param is not None:
        assert reply.json()["error"]["param"] == param


def test_switched_off_is_forbidden(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, enabled=False)
    reply = execute(client, "print(1)")
    assert reply.status_code == 403
    assert "PYTHON_CODE_ENABLED" in reply.json()["error"]["message"]


def test_a_field_that_is_none_is_refused_rather_than_ignored(client: httpx.Client) -> None:
    reply = execute(client, "print(1)", timeout=1)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "timeout"
    assert "timeout_s" in reply.json()["error"]["message"]


async def test_a_program_that_ran_is_not_asked_for_again_when_the_server_stops_before_its_answer() -> (
    None
):
    settings = load_settings(model="ollama:some:1b", ollama_host="127.0.0.1:9")
    app = create_app(settings)
    transport = httpx.ASGITransport(Farewell(app))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        with closing(sqlite3.connect(settings.data_dir / "python-coder.db")) as other:
            other.execute("BEGIN IMMEDIATE")  # its file cannot be kept as long as this holds
            body = {"code": "open('a.txt', 'w').write('kept')"}
            asked = asyncio.create_task(client.post("/v1/execute", json=body))
            trail = settings.data_dir / "audit"
            await asyncio.to_thread(
                until,
                lambda: [
                    entry
                    for entry in read_trail(trail, Wanted(), limit=1)
                    if entry.as_dict()["outcome"] == "success"
                ],
            )
            app.state.server.turns.close()
            asked.cancel()
        answer = await asked
    assert (answer.status_code, answer.headers["X-Should-Retry"]) == (424, "false")
    assert "may have run" in answer.json()["error"]["message"]
