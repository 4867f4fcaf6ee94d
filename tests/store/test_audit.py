"""The audit trail: written so that nothing runs without it, read so that nothing stops it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.errors import RequestError, StoreUnavailable
from backend.request_context import in_request
from backend.store.audit import AuditTrail
from backend.store.audit_reading import Wanted, read_trail
from backend.store.database import open_database
from backend.store.keys import open_keys
from backend.types import Artifact, ExecutionRequest, ExecutionResult, Isolation, Issue

RESULT = ExecutionResult(
    success=True,
    returncode=0,
    stdout="4\n",
    stderr="",
    duration_s=0.25,
    isolation=Isolation(executor="local", tier="B", walls=()),
    artifacts=(Artifact(name="a.txt", media_type="text/plain", size=3, content=b"abc"),),
)
WRITER = """\
import sys
from pathlib import Path
from backend.store.audit import AuditTrail
from backend.types import ExecutionRequest
trail = AuditTrail(Path(sys.argv[1]), days=0)
count = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    trail.began(ExecutionRequest(code=f"{sys.argv[3]} {number} " + "x" * 5_000), "passed")
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def trail_file(folder: Path) -> Path:
    return folder / f"{datetime.now(UTC).date()}.jsonl"


def test_a_program_is_on_record_with_who_asked_and_what_became_of_it(folder: Path) -> None:
    trail = AuditTrail(folder, days=90, executor="local")
    request = ExecutionRequest(code="print(2 + 2)", files={"in.csv": "/somewhere/in.csv"})
    with in_request(owner="alice", key_id="key-1", request_id="r-1", run_id="run-1"):
        trail.ended(trail.began(request, "passed"), RESULT)
    (entry,) = read_trail(folder, Wanted(), limit=10)
    document = entry.as_dict()
    for key, value in {
        "owner": "alice",
        "key_id": "key-1",
        "request_id": "r-1",
        "run_id": "run-1",
        "language": "python",
        "executor": "local",
        "verdict": "passed",
        "files": ["in.csv"],
        "code": "print(2 + 2)",
        "sha256": hashlib.sha256(b"print(2 + 2)").hexdigest(),
        "outcome": "success",
        "returncode": 0,
        "seconds": 0.25,
        "tier": "B",
        "stdout_bytes": 2,
    }.items():
        assert document[key] == value, key
    assert document["artifacts"][0]["name"] == "a.txt"
    assert document["artifacts"][0]["sha256"].startswith("ba7816bf")
    assert stat.S_IMODE(trail_file(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_no_good_text_is_on_record_all_the_same(folder: Path) -> None:
    code = 'print(\'\ud800 \u2028 \x00 {"record":"ended"\')\n'
    AuditTrail(folder, days=90).began(ExecutionRequest(code=code), "unchecked")
    (entry,) = read_trail(folder, Wanted(), limit=10)
    assert entry.began["code"] == code


def test_a_refused_program_is_on_record(folder: Path) -> None:
    issue = Issue(kind="blocked_import", message="No.", severity="security")
    AuditTrail(folder, days=90).began(ExecutionRequest(code="import ctypes"), "refused", [issue])
    (entry,) = read_trail(folder, Wanted(outcome="refused"), limit=10)
    assert (entry.began["verdict"], entry.began["issues"]) == ("refused", ["blocked_import"])


def test_what_cannot_be_written_is_told(folder: Path) -> None:
    folder.mkdir()
    trail_file(folder).symlink_to("/dev/full")
    with pytest.raises(StoreUnavailable, match="no program runs without it"):
        AuditTrail(folder, days=90).began(ExecutionRequest(code="1"), "passed")


def test_several_processes_and_one_that_is_killed_leave_whole_lines(folder: Path) -> None:
    def start(count: int, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(folder), str(count), name]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    writers = [start(200, "a"), start(200, "b"), start(5000, "killed")]
    for process in writers:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in writers[:2]:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    during = read_trail(folder, Wanted(), limit=100_000)
    writers[2].send_signal(signal.SIGKILL)
    writers[2].communicate()
    after = read_trail(folder, Wanted(), limit=100_000)
    by_name: dict[str, list[int]] = {}
    for entry in after:
        name, number, _ = entry.began["code"].split(" ")
        by_name.setdefault(name, []).append(int(number))
        assert entry.outcome == ("unknown" if name == "killed" else "running")
    assert by_name["a"] == by_name["b"] == list(range(200))
    assert by_name["killed"] == list(range(len(by_name["killed"])))
    assert {entry.outcome for entry in during} == {"running"}
    for process in writers[:2]:
        process.communicate("\n")
    over = read_trail(folder, Wanted(), limit=100_000)
    assert {entry.outcome for entry in over} == {"unknown"}


def test_a_line_that_was_never_finished_hides_none_behind_it(folder: Path) -> None:
    trail = AuditTrail(folder, days=90)
    trail.began(ExecutionRequest(code="first"), "passed")
    path = trail_file(folder)
    torn = path.read_bytes()[:-20]
    with path.open("ab") as file:
        file.write(torn)
    trail.began(ExecutionRequest(code="second"), "passed")
    with path.open("ab") as file:
        file.write(torn)
    found = read_trail(folder, Wanted(), limit=10)
    assert [entry.began["code"] for entry in found] == ["first", "second"]


def test_a_program_over_midnight_has_its_end_in_the_next_file(folder: Path) -> None:
    folder.mkdir()
    began = {"record": "began", "id": "p", "at": "2026-01-01T23:59:59.000+00:00", "code": "1"}
    ended = {"record": "ended", "id": "p", "at": "2026-01-02T00:00:01.000+00:00"}
    for day, record in (("2026-01-01", began), ("2026-01-02", ended | {"outcome": "failed"})):
        text = json.dumps(record, separators=(",", ":")) + "\n"
        (folder / f"{day}.jsonl").write_text(text, encoding="utf-8")
    (entry,) = read_trail(folder, Wanted(), limit=10)
    assert entry.outcome == "failed"
    until = datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert read_trail(folder, Wanted(until=until), limit=10) == []


@pytest.mark.parametrize(("days", "left"), [(90, 2), (0, 3)], ids=["90", "for_good"])
def test_what_is_old_is_removed_with_the_next_program(folder: Path, days: int, left: int) -> None:
    folder.mkdir()
    today = datetime.now(UTC).date()
    for age in (90, 91):
        (folder / f"{today - timedelta(days=age)}.jsonl").touch()
    others: list[Path] = [folder / "notes.jsonl", folder / "2020-01-01.txt"]
    for path in others:
        path.touch()
    AuditTrail(folder, days=days).began(ExecutionRequest(code="1"), "passed")
    kept = [path for path in folder.iterdir() if path not in others]
    assert len(kept) == left
    assert all(path.exists() for path in others)
    assert date.fromisoformat(min(kept).stem) == today - timedelta(days=91 if not days else 90)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(owner="alice"), "ac"),
        (Wanted(run="run-1"), "ab"),
        (Wanted(run="run-12"), "b"),
        (Wanted(session="s"), "c"),
        (Wanted(outcome="refused"), "c"),
        (Wanted(since=datetime(2020, 1, 1, tzinfo=UTC)), "abc"),
        (Wanted(until=datetime(2020, 1, 1, tzinfo=UTC)), ""),
    ],
    ids=["owner", "run", "longer", "session", "outcome", "since", "until"],
)
def test_programs_are_found_by_what_is_known_of_them(
    folder: Path, wanted: Wanted, found: str
) -> None:
    trail = AuditTrail(folder, days=90)
    with in_request(owner="alice", run_id="run-11"):
        trail.began(ExecutionRequest(code="a"), "passed")
    with in_request(owner="bob", run_id="run-12"):
        trail.began(ExecutionRequest(code="b"), "passed")
    with in_request(owner="alice", session_id="s"):
        trail.began(ExecutionRequest(code="c"), "refused")
    assert "".join(each.began["code"] for each in read_trail(folder, wanted, limit=10)) == found


def test_a_folder_that_was_removed_comes_again(folder: Path) -> None:
    trail = AuditTrail(folder, days=90)
    trail.began(ExecutionRequest(code="1"), "passed")
    os.unlink(trail_file(folder))
    folder.rmdir()
    trail.began(ExecutionRequest(code="2"), "passed")
    assert len(read_trail(folder, Wanted(), limit=10)) == 1


async def test_keys_that_are_made_revoked_and_forgotten_are_on_record_with_who_did_it(
    folder: Path,
) -> None:
    settings = load_settings(data_dir=folder.parent)
    async with open_database(settings) as database, open_keys(database, settings) as keys:
        with in_request(owner="boss", key_id="key-1", request_id="r-1", source="POST /v1/keys"):
            key, text = await keys.create(name="laptop", role="admin", owner="alice")
        with pytest.raises(RequestError):
            await keys.create(name="laptop")
        with in_request(source="python-coder keys"):
            for _ in range(2):
                await keys.revoke("laptop")
            await keys.create(name="other", owner="bob")
            assert await keys.forget_all() == 2
        AuditTrail(folder, days=0).began(ExecutionRequest(code="print(1)"), "passed")
        found = read_trail(folder, Wanted(only_keys=True), limit=10)
        told = [(each.outcome, each.began["key"]["name"]) for each in found]
        assert told == [
            ("created", "laptop"),
            ("revoked", "laptop"),
            ("created", "other"),
            ("forgotten", "laptop"),
            ("forgotten", "other"),
        ]
        made, revoked = (each.as_dict() for each in found[:2])
        by = {"owner": "boss", "key_id": "key-1", "user": "", "source": "POST /v1/keys"}
        assert by.items() <= made.items()
        assert {"id": key.id, "role": "admin", "owner": "alice"}.items() <= made["key"].items()
        assert revoked["user"]
        assert text.rpartition("-")[2] not in trail_file(folder).read_text()
        about = Wanted(owner="alice")
        assert len(read_trail(folder, about, limit=10)) == 3
        assert len(read_trail(folder, Wanted(), limit=10)) == 6

        # What cannot be put on record does not happen.
        trail_file(folder).unlink()
        trail_file(folder).mkdir()
        with pytest.raises(StoreUnavailable, match="nor does a key change"):
            await keys.create(name="secretly")
        assert await keys.list() == []
