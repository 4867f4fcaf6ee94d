"""``audit``: every way to have a program run is on record, and told."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.request_context import in_request
from backend.store.audit import AuditTrail
from tests.commands import PATIENCE_S, needs_sandbox, run, start
from tests.scripts import APPROVE, act, generate, use_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]


def programs(*args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("audit", "--json", *args).document["programs"]
    return found


def test_programs_of_the_command_line_and_of_agents_are_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.csv").write_text("a\n1\n2\n", encoding="utf-8")
    use_script(
        monkeypatch,
        tmp_path / "script.jsonl",
        act("run_bash", "echo shell"),
        act("run_python", "print('tool')"),
        act("python_coder", "Sum them"),
        generate("print('coder')"),
        APPROVE,
        act("finish", "Done."),
    )
    (tmp_path / "p.py").write_text("print('file')", encoding="utf-8")
    (tmp_path / "bad.py").write_text("import ctypes", encoding="utf-8")
    assert run("run", "p.py").status == 0
    assert run("run", "bad.py").status == 1
    assert run("run", "--no-check", "-", stdin="raise SystemExit(3)").status == 1
    asked = run("ask", "Sum data.csv", "-f", "data.csv", "--agent", "react", "--json").document
    found = programs("--code")
    assert [each["code"] for each in found] == [
        "print('file')",
        "import ctypes",
        "raise SystemExit(3)",
        "echo shell",
        "print('tool')",
        "print('coder')",
    ], "what looks into files is ours, and not on record"
    assert [each["outcome"] for each in found] == [
        *("success", "refused", "failed", "success", "success", "success")
    ]
    assert [each["verdict"] for each in found[:3]] == ["passed", "refused", "unchecked"]
    assert {each["source"] for each in found[:3]} == {"python-coder run"}
    assert {each["run_id"] for each in found[3:]} == {asked["run_id"]}
    assert {each["owner"] for each in found[3:]} == {"local"}

    told = run("audit", "--outcome", "refused", "--code")
    assert told.out.splitlines()[1:] == ["    import ctypes"]
    assert "refused" in told.out.splitlines()[0]
    assert len(programs("--run", str(asked["run_id"])[:12])) == 3
    today = datetime.now(UTC).astimezone().date().isoformat()
    filters = ("--since", today, "--until", today, "--owner", "local", "--limit", "2")
    newest = programs(*filters)
    assert [each["sha256"] for each in newest] == [each["sha256"] for each in found[-2:]]
    assert "code" not in newest[0]


def test_no_program_runs_that_cannot_be_put_on_record(tmp_path: Path) -> None:
    audit = tmp_path / "data" / "audit"
    audit.mkdir(parents=True)
    (audit / f"{datetime.now(UTC).date()}.jsonl").symlink_to("/dev/full")
    refused = run("run", "-", stdin="print('ran')")
    assert (refused.status, refused.out) == (3, "")
    assert "no program runs without it" in refused.error
    off = run("run", "-", stdin="print('ran')", PYTHON_CODER_AUDIT="off")
    assert (off.status, off.out) == (0, "ran\n")


def test_a_program_whose_process_was_killed_has_no_known_end(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("while True: pass", encoding="utf-8")
    process = start("run", "--timeout", "300", "p.py")
    try:
        audit, files = tmp_path / "data" / "audit", list[Path]()
        for _ in range(PATIENCE_S * 20):
            if process.poll() is not None or (files := list(audit.glob("*.jsonl"))):
                break
            time.sleep(0.05)
        assert process.poll() is None
        assert json.loads(files[0].read_bytes())["code"] == "while True: pass"
        assert programs()[0]["outcome"] == "running"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert programs()[0]["outcome"] == "unknown"
    assert "unknown" in run("audit").out


def test_nothing_on_record_is_said(tmp_path: Path) -> None:
    told = run("audit")
    assert (told.status, told.out) == (0, "")
    assert f"There are none on record in {tmp_path / 'data' / 'audit'}" in told.error


def test_an_owner_stands_there_whole_so_that_it_can_be_asked_for(tmp_path: Path) -> None:
    owner = "owner-0123456789abcdef"
    trail = AuditTrail(tmp_path / "data" / "audit", days=0)
    with in_request(owner=owner):
        trail.keys_changed("created", [{"id": "key-1", "owner": "somebody"}])
    assert f"  {owner} created" in run("audit", "--owner", "somebody").out
