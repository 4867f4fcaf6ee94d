"""A server is backed up while it runs; another one, on PostgreSQL, has what it had."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.api.conftest import Serve
from tests.commands import run

LINE = {"stage": "chat", "reply": "ok", "repeat": True}


def test_a_restored_server_answers_with_the_same_files_and_sessions(
    serve: Serve, tmp_path: Path, postgres_url: str
) -> None:
    first = {"data_dir": tmp_path / "first"}
    second = {"data_dir": tmp_path / "second"}
    client = serve(LINE, **first)
    file = client.post("/v1/files", files={"file": ("a.csv", b"x\n1\n")}).json()
    asked = {"model": "python-coder", "messages": [{"role": "user", "content": "Hello?"}]}
    session = client.post("/v1/chat/completions", json=asked).json()["x_session_id"]
    signed = urlsplit(client.post(f"/v1/files/{file['id']}/link", json={}).json()["url"])
    kept = client.get(f"/v1/sessions/{session}/messages").json()
    assert len(kept["data"]) == 2

    target = tmp_path / "backup.tar.gz"
    written = run("backup", target, "--json", PYTHON_CODER_DATA_DIR=str(first["data_dir"]))
    assert written.document["rows"]["files"] == 1
    moved = {"PYTHON_CODER_DATA_DIR": str(second["data_dir"]), "DATABASE_URL": postgres_url}
    assert run("restore", target, **moved).error.startswith("Restored: ")

    restored = serve(LINE, **second, database_url=postgres_url)
    assert restored.get(f"/v1/files/{file['id']}").json() == file
    assert restored.get(f"/v1/files/{file['id']}/content").content == b"x\n1\n"
    assert restored.get(f"/v1/sessions/{session}/messages").json() == kept
    assert restored.get(f"{signed.path}?{signed.query}").content == b"x\n1\n"
    on = {**asked, "session_id": session}
    assert restored.post("/v1/chat/completions", json=on).status_code == 200
