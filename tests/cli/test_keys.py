from __future__ import annotations

import json
import time
from pathlib import Path

from tests.commands import files_below, run


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    made = run("keys", "create", "--name", "laptop", "--role", "admin", "--expires", "30", "--json")
    key = made.document
    assert (key["name"], key["role"], made.status) == ("laptop", "admin", 0)
    assert abs(key["expires_at"] - time.time() - 30 * 86400) < 3600
    listed = run("keys", "list", "--json")
    assert [each["id"] for each in listed.document["keys"]] == [key["id"]]
    assert key["key"] not in listed.out
    secret = key["key"].rpartition("-")[2].encode()
    assert not [path for path in files_below(tmp_path) if secret in path.read_bytes()]
    assert run("keys", "revoke", "laptop").status == 0
    [gone] = run("keys", "list", "--json").document["keys"]
    assert gone["revoked_at"] is not None
    assert "revoked" in run("keys", "list").out


def test_without_json_the_key_alone_is_on_stdout() -> None:
    first = run("keys", "create", "--name", "a", "--owner", "local")
    assert first.out.startswith("pc-")
    assert len(first.out.splitlines()) == 1
    assert "owner local" in first.err
    assert "From now on every request needs a key" in first.err
    again = run("keys", "create", "--name", "a")
    assert (again.status, again.out) == (2, "")
    assert "'a'" in again.error


def test_mistakes_are_told() -> None:
    for expires in ("0", "soon", "2020-01-01", "99999999999"):
        done = run("keys", "create", "--name", "a", "--expires", expires)
        assert done.status == 2
        assert done.out == ""
    assert run("keys", "revoke", "nobody", "--json").document["exit_status"] == 2
    assert json.loads(run("keys", "list", "--json").out) == {"keys": []}


def test_doing_without_keys_has_to_be_meant() -> None:
    run("keys", "create", "--name", "a")
    assert run("keys", "off").status == 2
    assert len(run("keys", "list", "--json").document["keys"]) == 1
    assert run("keys", "off", "--yes", "--json").document["forgotten"] == 1
    assert run("keys", "list", "--json").document["keys"] == []
