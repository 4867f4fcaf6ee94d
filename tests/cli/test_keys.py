from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from backend.cli.app import run_command
from tests.commands import PATIENCE_S, Done, files_below, needs_sandbox, run, start
from tests.scripts import use_script

Keys = Callable[..., Done]


@pytest.fixture
def keys(capsys: pytest.CaptureFixture[str]) -> Keys:
    """``python-coder keys`` in this process."""

    def command(*args: str) -> Done:
        status = run_command(["keys", *args])
        out, err = capsys.readouterr()
        return Done(status=status, out=out, err=err)

    return command


def test_a_key_is_made_listed_and_revoked(keys: Keys, tmp_path: Path) -> None:
    made = keys("create", "--name", "laptop", "--role", "admin", "--expires", "30", "--json")
    key = made.document
    assert (key["name"], key["role"], made.status) == ("laptop", "admin", 0)
    assert abs(key["expires_at"] - time.time() - 30 * 86400) < 3600
    listed = keys("list", "--json")
    assert [each["id"] for each in listed.document["keys"]] == [key["id"]]
    assert key["key"] not in listed.out
    secret = key["key"].rpartition("-")[2].encode()
    assert not [path for path in files_below(tmp_path) if secret in path.read_bytes()]
    assert keys("revoke", "laptop").status == 0
    [gone] = keys("list", "--json").document["keys"]
    assert gone["revoked_at"] is not None
    assert "revoked" in keys("list").out
    on_record = run("audit", "--keys", "--json").document["keys"]
    assert [each["change"] for each in on_record] == ["created", "revoked"]
    assert {each["source"] for each in on_record} == {"python-coder keys"}
    line = run("audit", "--owner", key["owner"]).out
    assert f"admin key {key['id']} 'laptop'" in line
    assert "none that fit on record in" in run("audit", "--owner", "nobody").error
    again = keys("revoke", key["id"])
    day = time.strftime("%Y-%m-%d", time.localtime(gone["revoked_at"]))
    assert (again.status, f"was revoked on {day} already" in again.err) == (0, True)


def test_without_json_the_key_alone_is_on_stdout(keys: Keys) -> None:
    first = keys("create", "--name", "a", "--owner", "local")
    assert first.out.startswith("pc-")
    assert len(first.out.splitlines()) == 1
    assert "owner local" in first.err
    assert "From now on every request needs a key" in first.err
    again = keys("create", "--name", "a")
    assert (again.status, again.out) == (2, "")
    assert "'a'" in again.error


@pytest.mark.parametrize("expires", ["0", "soon", "2020-01-01", "9" * 11, "\u0663"], ids=ascii)
def test_a_time_that_is_none_is_told(keys: Keys, expires: str) -> None:
    done = keys("create", "--name", "a", "--expires", expires)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert keys("list", "--json").document == {"keys": []}


def test_a_key_expires_at_the_end_of_a_day(keys: Keys) -> None:
    key = keys("create", "--name", "a", "--expires", "2099-12-31", "--json").document
    assert time.localtime(key["expires_at"])[:5] == (2100, 1, 1, 0, 0)


def test_a_key_that_is_not_there_is_told(keys: Keys) -> None:
    assert keys("revoke", "nobody", "--json").document["exit_status"] == 2


def test_doing_without_keys_has_to_be_meant(keys: Keys) -> None:
    keys("create", "--name", "a")
    assert keys("off").status == 2
    assert len(keys("list", "--json").document["keys"]) == 1
    assert keys("off", "--yes", "--json").document["forgotten"] == 1
    assert keys("list", "--json").document["keys"] == []


@pytest.mark.sandbox
@needs_sandbox
def test_with_a_key_a_server_can_be_bound_where_others_reach_it(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", {"stage": "chat", "reply": "ok"})
    key = keys("create", "--name", "a", "--json").document["key"]
    process = start("serve", "--host", "0.0.0.0", "--port", "0", "--json")
    try:
        assert process.stdout is not None
        announced = json.loads(b"".join(iter(process.stdout.readline, b"}\n")) + b"}")
        port = announced["url"].rpartition(":")[2]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            assert client.get("/health").status_code == 200
            assert client.get("/v1/files").status_code == 401
            assert client.get("/v1/files", headers={"X-API-Key": key}).status_code == 200
            # Whatever becomes of its keys, it is not for everybody.
            assert keys("off", "--yes").status == 0
            assert client.get("/v1/files", headers={"Host": "localhost"}).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert announced["wants_keys"] is True
    assert "/v1 (for whoever has an API key)" in err.decode()
