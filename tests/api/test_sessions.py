from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import nbformat
import pytest

from backend.config.settings import load_settings
from tests.api.conftest import Serve, connect, running
from tests.api.test_chat import chat, text_of
from tests.api.test_presence import until
from tests.scripts import APPROVE, act, answer, generate, plan, write_script


def messages(client: httpx.Client, session_id: str) -> list[dict[str, Any]]:
    reply = client.get(f"/v1/sessions/{session_id}/messages")
    assert reply.status_code == 200, reply.text
    data = reply.json()["data"]
    assert isinstance(data, list)
    return data


def test_a_conversation_begins_by_itself_and_goes_on_by_its_id(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "4"},
        {"stage": "chat", "reply": "8", "when": r"(?s)two and two\?.*\b4\b.*twice that\?"},
    )
    first = chat(client, "two and two?", agent_type="chat").json()
    session_id = first["x_session_id"]
    second = chat(client, "twice that?", agent_type="chat", session_id=session_id)
    assert text_of(second) == "8"
    assert second.json()["x_session_id"] == session_id
    kept = messages(client, session_id)
    assert [(turn["role"], turn["content"]) for turn in kept] == [
        ("user", "two and two?"),
        ("assistant", "4"),
        ("user", "twice that?"),
        ("assistant", "8"),
    ]
    assert kept[1]["metadata"]["agent_selected"] == "chat"
    [listed] = client.get("/v1/sessions").json()["data"]
    assert (listed["id"], listed["title"], listed["message_count"]) == (
        session_id,
        "two and two?",
        4,
    )


@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
def test_both_agents_know_what_was_said_before(serve: Serve, agent_type: str) -> None:
    lines = {
        "react": [act("python_coder", "42 * 2", when=r"\b42\b")],
        "plan_execute": [plan(("python_coder", "42 * 2"), when=r"\b42\b")],
    }[agent_type]
    client = serve(
        {"stage": "chat", "reply": "It is 42."},
        *lines,
        generate("print(42 * 2)"),
        APPROVE,
        act("finish", "84", when="84"),
        answer("84", when="84"),
    )
    session_id = chat(client, "Hello, the answer?", agent_type="chat").json()["x_session_id"]
    reply = chat(
        client,
        "now multiply that by 2",
        agent_type=agent_type,
        metadata={"session_id": session_id},
    )
    assert text_of(reply) == "84"


@pytest.mark.parametrize("name", ["X-Session-Id", "X-OpenWebUI-Chat-Id", "X-Conversation-ID"])
def test_a_front_ends_header_opens_and_continues_one(serve: Serve, name: str) -> None:
    client = serve(
        {"stage": "chat", "reply": "first"},
        {"stage": "chat", "reply": "second", "when": "(?s)one.*first.*two"},
    )
    headers = {name: "chat-7"}
    assert chat(client, "one", headers, agent_type="chat").json()["x_session_id"] == "chat-7"
    assert text_of(chat(client, "two", headers, agent_type="chat")) == "second"
    assert len(messages(client, "chat-7")) == 4


def test_the_body_beats_the_headers_and_one_header_the_next(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok", "repeat": True})
    chat(client, "hello", {"X-Session-Id": "a"})
    headers = {"X-Session-Id": "b", "X-OpenWebUI-Chat-Id": "c", "X-Conversation-ID": "d"}
    assert chat(client, "hello", headers, session_id="a").json()["x_session_id"] == "a"
    assert chat(client, "hello", headers).json()["x_session_id"] == "b"
    del headers["X-Session-Id"]
    assert chat(client, "hello", headers).json()["x_session_id"] == "c"


@pytest.mark.parametrize("session_id", ["*", "../x", "a/b", "x" * 200])
def test_a_header_that_is_no_id_is_refused(client: httpx.Client, session_id: str) -> None:
    reply = chat(client, "hello", {"X-Session-Id": session_id})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "X-Session-Id"


def test_a_front_end_that_sends_its_turns_is_right_about_them(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "red"},
        {"stage": "chat", "reply": "ok", "when": "(?s)^(?!.*apple).*pear.*green.*sure"},
    )
    headers = {"X-OpenWebUI-Chat-Id": "chat-1"}
    chat(client, "an apple is", headers, agent_type="chat")
    edited = [
        {"role": "user", "content": "a pear is"},
        {"role": "assistant", "content": "green"},
        {"role": "user", "content": "sure?"},
    ]
    body = {"messages": edited, "agent_type": "chat"}
    assert text_of(client.post("/v1/chat/completions", json=body, headers=headers)) == "ok"


def test_turns_sent_with_the_first_request_are_kept(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "8"},
        {"stage": "chat", "reply": "16", "when": r"(?s)two\?.*\b4\b.*twice\?.*\b8\b.*again\?"},
    )
    sent = [
        {"role": "user", "content": "two and two?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "twice?"},
    ]
    body = {"messages": sent, "agent_type": "chat"}
    first = client.post("/v1/chat/completions", json=body).json()
    reply = chat(client, "again?", agent_type="chat", session_id=first["x_session_id"])
    assert text_of(reply) == "16"


def test_a_file_stays_with_its_conversation(serve: Serve) -> None:
    read = "print('sum', sum(int(x) for x in open('data.csv').read().split()[1:]))"
    client = serve(
        act("python_coder", "sum of x"),
        generate(read),
        APPROVE,
        act("finish", "9", when="sum 9"),
        act("python_coder", "sum of x again", when="again"),
        generate(read),
        act("finish", "still 9", when="sum 9"),
    )
    file_id = client.post("/v1/files", files={"file": ("data.csv", b"x\n4\n5\n")}).json()["id"]
    first = chat(client, "Compute the sum of x", agent_type="react", file_ids=[file_id]).json()
    session_id = first["x_session_id"]
    second = chat(client, "Compute it again", agent_type="react", session_id=session_id)
    assert text_of(second) == "still 9"
    client.delete(f"/v1/files/{file_id}")
    assert messages(client, session_id)[0]["metadata"]["file_ids"] == [file_id]


def test_pictures_of_an_old_answer_have_links_that_work(serve: Serve) -> None:
    client = serve(
        act("python_coder", "write"),
        generate("open('a.txt', 'w').write('x')"),
        APPROVE,
        act("finish", "Done."),
    )
    session_id = chat(client, "Write a file", agent_type="react").json()["x_session_id"]
    turn = messages(client, session_id)[1]
    assert turn["content"] == "Done."
    [artifact] = turn["metadata"]["artifacts"]
    assert client.get(artifact["url"]).content == b"x"


def test_a_deleted_conversation_is_gone(client: httpx.Client) -> None:
    session_id = chat(client, "hello").json()["x_session_id"]
    assert client.delete(f"/v1/sessions/{session_id}").json()["deleted"] is True
    assert client.get(f"/v1/sessions/{session_id}/messages").status_code == 404
    unknown = chat(client, "hello", session_id=session_id)
    assert (unknown.status_code, "Leave it out to begin one" in unknown.text) == (404, True)
    assert client.get("/v1/sessions").json()["data"] == []


PLOT = (
    "import pathlib, struct, zlib\n"
    "rows = zlib.compress(b'\\0\\xff')\n"
    "def part(kind, data):\n"
    "    crc = struct.pack('>I', zlib.crc32(kind + data))\n"
    "    return struct.pack('>I', len(data)) + kind + data + crc\n"
    "head = struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0)\n"
    "image = part(b'IHDR', head) + part(b'IDAT', rows) + part(b'IEND', b'')\n"
    "pathlib.Path('plot.png').write_bytes(b'\\x89PNG\\r\\n\\x1a\\n' + image)\n"
    "pathlib.Path('table.csv').write_text('a\\n1\\n')\n"
    "print('drawn')"
)
LINES: tuple[dict[str, Any], ...] = (
    {"stage": "chat", "when": "never", "reply": "", "delay_s": 600},
    {"stage": "chat", "reply": "ok"},
    act("finish", "There it is.", when="Observation: drawn"),
    act("python_coder", "draw"),
    {**generate("while True:\n    pass"), "when": "forever"},
    generate(PLOT),
    APPROVE,
)


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server whose agent draws a picture and writes a table, and whose talk can take for ever."""
    folder = tmp_path_factory.mktemp("drawing")
    script = write_script(folder / "script.jsonl", *({**line, "repeat": True} for line in LINES))
    settings = load_settings(
        model=f"scripted:{script}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
        preimport="none",
        pool_size=1,
        timeout_s=300,
    )
    with running(settings) as url, connect(url) as client:
        yield client


def with_a_file(words: str = "Hello?", agent: str = "chat") -> dict[str, Any]:
    """A request with a file inside its message."""
    inside = {"filename": "inside.csv", "file_data": base64.b64encode(b"x\n1\n").decode()}
    content = [{"type": "text", "text": words}, {"type": "file", "file": inside}]
    return {"messages": [{"role": "user", "content": content}], "agent_type": agent}


def drawn(client: httpx.Client, **more: Any) -> dict[str, Any]:
    """A conversation with a picture and a table, about a file that came inside its message."""
    body = with_a_file("Compute and draw", "react") | more
    headers = {"X-Session-Id": f"drawing-{secrets.token_hex(4)}"}
    reply = client.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    completion: dict[str, Any] = reply.json()
    return completion


def test_what_came_inside_a_conversation_without_a_name_goes_with_it(
    drawing: httpx.Client,
) -> None:
    files = {each["id"] for each in drawing.get("/v1/files").json()["data"]}
    first, second = (
        drawing.post("/v1/chat/completions", json=with_a_file()).json()["x_session_id"]
        for _ in range(2)
    )
    assert drawing.delete(f"/v1/sessions/{first}").status_code == 200
    [kept] = drawing.get(f"/v1/sessions/{second}/files").json()["data"]
    assert drawing.get(f"/v1/files/{kept['id']}/content").content == b"x\n1\n"
    assert drawing.delete(f"/v1/sessions/{second}").status_code == 200
    assert {each["id"] for each in drawing.get("/v1/files").json()["data"]} == files


def test_a_session_is_described_renamed_and_its_files_are_listed(drawing: httpx.Client) -> None:
    uploaded = drawing.post("/v1/files", files={"file": ("data.csv", b"y\n2\n")}).json()["id"]
    session_id = drawn(drawing, file_ids=[uploaded])["x_session_id"]
    path = f"/v1/sessions/{session_id}"
    described = drawing.get(path).json()
    assert (described["title"], described["message_count"]) == ("Compute and draw", 2)
    renamed = drawing.patch(path, json={"title": " My \n plot "})
    assert (renamed.status_code, renamed.json()["title"]) == (200, "My plot")
    assert drawing.get(path).json() == renamed.json()
    assert drawing.patch(path, json={"title": " "}).status_code == 400
    files = drawing.get(f"{path}/files").json()["data"]
    names = {file["filename"] for file in files}
    assert names == {"data.csv", "inside.csv", "plot.png", "table.csv"}
    assert [file["created_at"] for file in files] == sorted(file["created_at"] for file in files)
    for missing in ("", "/files", "/notebook"):
        assert drawing.get(f"/v1/sessions/nobody{missing}").status_code == 404
    unknown = drawing.patch("/v1/sessions/nobody", json={"title": "x"})
    assert (unknown.status_code, "Leave it out" in unknown.text) == (404, False)
    assert "GET /v1/sessions names" in unknown.json()["error"]["message"]


def test_a_conversation_is_downloaded_as_a_notebook(drawing: httpx.Client) -> None:
    session_id = drawn(drawing)["x_session_id"]
    chat(drawing, "thanks", session_id=session_id, agent_type="chat")
    reply = drawing.get(f"/v1/sessions/{session_id}/notebook")
    assert reply.headers["content-type"] == "application/x-ipynb+json"
    assert f'filename="{session_id}.ipynb"' in reply.headers["content-disposition"]
    notebook = nbformat.reads(reply.text, as_version=4)
    nbformat.validate(notebook)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "markdown", "code", "markdown", "markdown", "markdown", "markdown"]
    (program,) = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert program.source == PLOT
    assert program.outputs[0].text == "drawn\n"
    picture = next(each for each in program.outputs if each.output_type == "display_data")
    (file_id,) = [
        file["id"]
        for file in drawing.get(f"/v1/sessions/{session_id}/files").json()["data"]
        if file["filename"] == "plot.png"
    ]
    assert (
        base64.b64decode(picture.data["image/png"])
        == drawing.get(f"/v1/files/{file_id}/content").content
    )
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert "Compute and draw" in texts[1]
    assert "`table.csv`" in texts[2]
    assert texts[3:] == ["There it is.", "## Question\n\n    thanks", "ok"]


def test_deleting_a_conversation_deletes_what_it_brought(drawing: httpx.Client) -> None:
    uploaded = drawing.post("/v1/files", files={"file": ("data.csv", b"y\n3\n")}).json()["id"]
    done = drawn(drawing, file_ids=[uploaded])
    session_id, run_id = done["x_session_id"], done["x_agent_metadata"]["run_id"]
    links = [artifact["url"] for artifact in done["x_agent_metadata"]["artifacts"]]
    files = [file["id"] for file in drawing.get(f"/v1/sessions/{session_id}/files").json()["data"]]
    assert len(files) == 4
    assert drawing.delete(f"/v1/sessions/{session_id}").json()["deleted"] is True
    assert drawing.get(f"/v1/runs/{run_id}").status_code == 404
    assert [drawing.get(link).status_code for link in links] == [404, 404]
    there = [each for each in files if drawing.get(f"/v1/files/{each}").status_code == 200]
    assert there == [uploaded], "what was uploaded by itself stays"
    assert drawing.delete(f"/v1/sessions/{session_id}").status_code == 404


@pytest.mark.parametrize("how", ["background", "attended", "queued"])
def test_what_is_under_way_in_a_deleted_conversation_ends_and_nothing_comes_back(
    drawing: httpx.Client, how: str
) -> None:
    session_id = drawing.post("/v1/sessions").json()["id"]
    body = {
        "messages": [{"role": "user", "content": "Compute forever"}],
        "agent_type": "react",
        "session_id": session_id,
    }
    with ThreadPoolExecutor(1) as thread:
        if how == "attended":
            asked = thread.submit(drawing.post, "/v1/chat/completions", json=body)
        else:
            drawing.post("/v1/runs", json=body)
        if how == "queued":  # it waits for its turn in the session
            drawing.post("/v1/runs", json=body)
        query = {"session_id": session_id}
        until(lambda: drawing.get("/v1/runs", params=query).json()["data"])
        assert drawing.delete(f"/v1/sessions/{session_id}").json()["deleted"] is True
        if how == "attended":
            assert asked.result(30).status_code in {404, 499}
    assert drawing.get("/v1/runs", params=query).json()["data"] == []
    assert drawing.get(f"/v1/sessions/{session_id}/messages").status_code == 404
