"""Programs that go on where the last one left off, over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backend.config.settings import Settings, load_settings
from backend.store.database import open_database
from backend.store.sessions import SessionStore
from tests.api.conftest import Serve, running
from tests.api.test_presence import BUSY_S, ENDLESS, until
from tests.scripts import write_script

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("sessions")
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    return load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', line)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def begun(server: httpx.Client) -> Iterator[str]:
    """A session, deleted when the test has ended if it is still there."""
    session_id = begin(server)
    yield session_id
    server.delete(f"/v1/sessions/{session_id}")


def begin(client: httpx.Client) -> str:
    reply = client.post("/v1/sessions")
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def ask(client: httpx.Client, session_id: str, code: str, **more: Any) -> httpx.Response:
    body = {"code": code, "session_id": session_id, **more}
    return client.post("/v1/execute", json=body)


def run(client: httpx.Client, session_id: str, code: str, **more: Any) -> dict[str, Any]:
    reply = ask(client, session_id, code, **more)
    assert reply.status_code == 200, reply.text
    result = reply.json()
    assert isinstance(result, dict)
    return result


def undo(client: httpx.Client, session_id: str) -> Any:
    reply = client.post(f"/v1/sessions/{session_id}/undo")
    assert reply.status_code == 200, reply.text
    return reply.json()["undone"]


def seconds_used() -> dict[psutil.Process, float]:
    """Processor seconds of every process below this one."""
    used = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            used[process] = process.cpu_times().user
    return used


def grown(before: dict[psutil.Process, float], seconds: float) -> bool:
    """Whether a process has used more than so many processor seconds since then."""
    return any(used - before.get(each, 0) > seconds for each, used in seconds_used().items())


def is_settled() -> bool:
    """Nothing computes, such as a server that is still getting its sandboxes ready."""
    before = seconds_used()
    threading.Event().wait(0.3)
    return not grown(before, 0.1)


def test_a_session_begins_empty_and_is_listed(server: httpx.Client, begun: str) -> None:
    [listed] = [each for each in server.get("/v1/sessions").json()["data"] if each["id"] == begun]
    assert (listed["title"], listed["message_count"]) == ("", 0)
    assert server.get(f"/v1/sessions/{begun}/messages").json()["data"] == []


def test_variables_imports_and_files_live_on(server: httpx.Client, begun: str) -> None:
    first = run(server, begun, "import math\nx = 42\nopen('a.txt', 'w').write('kept')")
    assert (first["success"], first["session_id"], first["notes"]) == (True, begun, [])
    second = run(server, begun, "print(x * 2, math.floor(1.5), open('a.txt').read())")
    assert second["stdout"] == "84 1 kept\n", second["stderr"]
    assert second["notes"] == []


def test_without_a_session_nothing_lives_on(server: httpx.Client) -> None:
    server.post("/v1/execute", json={"code": "x = 42"})
    code = "print('x' in globals())"
    result = server.post("/v1/execute", json={"code": code}).json()
    assert (result["stdout"], result["session_id"]) == ("False\n", None)


def test_a_module_that_was_written_before_can_be_imported(server: httpx.Client, begun: str) -> None:
    assert run(server, begun, "import helper")["issues"] != []
    write = (
        "import os\nopen('helper.py', 'w').write('seven = 7')\n"
        "os.mkdir('kit')\nopen('kit/part.py', 'w').write('eight = 8')"
    )
    assert run(server, begun, write)["success"]
    result = run(server, begun, "import helper\nfrom kit.part import eight\nhelper.seven + eight")
    assert (result["value"], result["issues"]) == ("15", []), result["stderr"]


def test_a_chat_conversation_is_a_session_too(server: httpx.Client) -> None:
    message = {"role": "user", "content": "hello"}
    chat = {"messages": [message], "agent_type": "chat"}
    session_id = server.post("/v1/chat/completions", json=chat).json()["x_session_id"]
    run(server, session_id, "x = 1")
    assert run(server, session_id, "x")["value"] == "1"
    server.delete(f"/v1/sessions/{session_id}")


@pytest.mark.parametrize(
    ("code", "more", "stopped_by"),
    [
        pytest.param("while True: pass", {"timeout_s": 1}, "timeout", id="timeout"),
        pytest.param("import os\nos._exit(3)", {"check": False}, None, id="exit"),
        pytest.param("import os\nos.abort()", {"check": False}, "killed", id="crash"),
    ],
)
def test_what_is_killed_leaves_nothing_behind(
    server: httpx.Client, begun: str, code: str, more: dict[str, Any], stopped_by: str | None
) -> None:
    run(server, begun, "x = [1]\nopen('a.txt', 'w').write('before')")
    killed = run(server, begun, f"x.append(2)\nopen('a.txt', 'w').write('after')\n{code}", **more)
    assert killed["success"] is False
    assert killed["stopped_by"] == stopped_by
    assert any("rolled back" in note for note in killed["notes"])
    after = run(server, begun, "print(x, open('a.txt').read())")
    assert after["stdout"] == "[1] before\n", after["stderr"]


def test_the_last_program_can_be_taken_back_once(server: httpx.Client, begun: str) -> None:
    assert undo(server, begun) is False
    run(server, begun, "x = 1")
    run(server, begun, "x = 2")
    assert undo(server, begun) is True
    assert run(server, begun, "x")["value"] == "1"
    assert undo(server, begun) is True
    assert undo(server, begun) is False


def test_two_sessions_are_apart(server: httpx.Client, begun: str) -> None:
    other = begin(server)
    run(server, begun, "x = 1\nopen('a.txt', 'w').write('mine')")
    seen = run(server, other, "import os\nprint('x' in globals(), os.path.exists('a.txt'))")
    assert seen["stdout"] == "False False\n"
    assert run(server, begun, "x")["value"] == "1"
    server.delete(f"/v1/sessions/{other}")


def test_what_the_check_refuses_changes_nothing(server: httpx.Client, begun: str) -> None:
    run(server, begun, "x = 1")
    refused = run(server, begun, "import socket\nx = 2")
    assert (refused["success"], refused["returncode"]) == (False, None)
    assert refused["issues"][0]["line"] == 1
    assert run(server, begun, "x")["value"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"session_id": "session-unknown"}, 404, "session_id"),
        ({"session_id": "../x"}, 400, "session_id"),
        ({"session_id": ""}, 400, "session_id"),
        ({"session_id": 1}, 400, "session_id"),
        ({"session_id": "s", "executor": "cloud"}, 400, "executor"),
    ],
    ids=str,
)
def test_a_session_that_cannot_be_is_refused(
    server: httpx.Client, body: dict[str, Any], status: int, param: str
) -> None:
    reply = server.post("/v1/execute", json={"code": "1", **body})
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)


def test_another_owners_session_is_unknown(server: httpx.Client, settings: Settings) -> None:
    asyncio.run(_keep_session_of_somebody("theirs", settings))
    assert ask(server, "theirs", "1").status_code == 404
    assert server.post("/v1/sessions/theirs/undo").status_code == 404


async def _keep_session_of_somebody(session_id: str, settings: Settings) -> None:
    async with open_database(settings) as database:
        await SessionStore(database).append(session_id, (), owner="somebody")


def test_a_deleted_session_is_gone_with_what_ran_in_it(server: httpx.Client) -> None:
    session_id = begin(server)
    run(server, session_id, "x = 1")
    until(is_settled)
    before = seconds_used()
    with ThreadPoolExecutor() as threads:
        endless = threads.submit(ask, server, session_id, ENDLESS, timeout_s=300)
        until(lambda: grown(before, BUSY_S))
        waiting = threads.submit(ask, server, session_id, "x")
        assert server.delete(f"/v1/sessions/{session_id}").status_code == 200
        assert waiting.result().status_code == 404
    ended = endless.result().json()
    assert ended["success"] is False
    assert "deleted" in ended["notes"][0]
    assert ask(server, session_id, "x").status_code == 404
    assert server.post(f"/v1/sessions/{session_id}/undo").status_code == 404


def test_requests_to_one_session_are_served_one_after_another(
    server: httpx.Client, begun: str
) -> None:
    code = "import time\nseen = globals().setdefault('seen', [])\nn = len(seen)\n"
    code += "time.sleep(0.02)\nseen.append(n)\nlen(seen)"
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: run(server, begun, code), range(8)))
    assert sorted(int(reply["value"]) for reply in replies) == [*range(1, 9)]
    assert run(server, begun, "seen")["value"] == str([*range(8)])


def test_a_client_that_goes_ends_its_program_and_not_the_session(
    server: httpx.Client, begun: str
) -> None:
    run(server, begun, "x = 1")
    until(is_settled)
    before = seconds_used()
    address = (server.base_url.host, server.base_url.port or 80)
    body = {"code": f"x = 2\n{ENDLESS}", "session_id": begun, "timeout_s": 300}
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/execute HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode() + content)
        until(lambda: grown(before, BUSY_S))
    result = run(server, begun, "x")
    assert (result["value"], result["notes"]) == ("1", [])


def test_a_session_that_nobody_used_begins_afresh_and_says_so(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, session_idle_s=1, max_sessions=1)
    session_id = begin(client)
    run(client, session_id, "x = 1")
    until(lambda: not sandboxed_sessions(client, session_id))
    fresh = run(client, session_id, "print('x' in globals())")
    assert fresh["stdout"] == "False\n"
    [note] = fresh["notes"]
    assert "1 second" in note
    assert "afresh" in note
    assert run(client, session_id, "1")["notes"] == []


def sandboxed_sessions(client: httpx.Client, session_id: str) -> bool:
    """Whether the only session there may be is still alive: another one finds no room."""
    other = begin(client)
    status = ask(client, other, "1").status_code
    client.delete(f"/v1/sessions/{other}")
    return status == 429


def test_more_sessions_than_may_live_have_to_wait(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, max_sessions=1)
    first, second = begin(client), begin(client)
    run(client, first, "x = 1")
    refused = ask(client, second, "1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
    assert int(refused.headers["Retry-After"]) > 0
    assert "X-Should-Retry" not in refused.headers
    assert client.post("/v1/execute", json={"code": "1"}).status_code == 200
    client.delete(f"/v1/sessions/{first}")
    assert run(client, second, "1")["value"] == "1"


def test_a_server_that_was_started_again_says_that_variables_are_gone(tmp_path: Path) -> None:
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    script = write_script(tmp_path / "script.jsonl", line)
    again = load_settings(model=f"scripted:{script}")
    with running(again) as url, httpx.Client(base_url=url, timeout=60) as client:
        session_id = begin(client)
        run(client, session_id, "x = 1")
    with running(again) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert undo(client, session_id) is False
        fresh = run(client, session_id, "'x' in globals()")
        assert fresh["value"] == "False"
        assert "started again" in fresh["notes"][0]
        assert run(client, session_id, "1")["notes"] == []
