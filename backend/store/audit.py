"""The audit trail: every program that was to run, and what became of it; every change of a key.

One JSON object a line, one file a day (UTC) below ``DATA_DIR/audit``, nobody else's to read. A line
is one ``write`` at the file's end: several processes share a file, and what was written outlives
the process, killed or not. A program that cannot be put on record is not run.

A line about a program is not waited for until it is on the disk: two waits would be added to each.
One about keys is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pwd
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from backend.config.settings import Settings
from backend.errors import StoreUnavailable
from backend.request_context import current_request
from backend.store.processes import this_process
from backend.types import Artifact, ExecutionRequest, ExecutionResult, Issue

Verdict = Literal["passed", "refused", "overruled", "unchecked"]
"""Of the static check. ``overruled``: it was against it, but programs may run in part."""
KeyChange = Literal["created", "revoked", "forgotten"]
Outcome = Literal["success", "failed", "stopped", "refused", "cancelled", "error"]

FIRST = b'{"record":'
"""How every line begins. It stands nowhere else in one: quotes inside of strings are escaped."""


class AuditTrail:
    """Appends to the trail. Nothing is kept open between two lines."""

    def __init__(self, folder: Path, *, days: int, executor: str = "") -> None:
        """Say where, and for how many days it is kept (0: for good)."""
        self._folder = folder
        self._days = days
        self._executor = executor
        self._process = this_process()
        self._pruned_on: date | None = None

    @classmethod
    def of(cls, settings: Settings, *, executor: str = "") -> AuditTrail | None:
        """The trail as the settings want it; None where none is kept. Reads the working folder."""
        if not settings.audit:
            return None
        return cls(trail_folder(settings), days=settings.audit_days, executor=executor)

    def began(
        self, request: ExecutionRequest, verdict: Verdict, issues: Sequence[Issue] = ()
    ) -> str:
        """Put a program on record that is about to run, or that the check refused.

        Returns:
            Under what ``ended`` names it.

        Raises:
            StoreUnavailable: it cannot be written; the program must not be run.
        """
        program_id = secrets.token_hex(8)
        who = current_request()
        code = request.code if request.on_record is None else request.on_record
        self._append(
            {
                "record": "refused" if verdict == "refused" else "began",
                "id": program_id,
                "at": _now().isoformat(timespec="milliseconds"),
                "owner": who.owner,
                "key_id": who.key_id,
                "request_id": who.request_id,
                "run_id": who.run_id,
                "session_id": who.session_id,
                "source": who.source,
                "process": self._process,
                "executor": self._executor,
                "language": request.language,
                "verdict": verdict,
                "issues": sorted({issue.kind for issue in issues}),
                "files": list(request.files),
                "sha256": hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest(),
                "code": code,
                **({"checks": list(request.checks)} if request.checks else {}),
            }
        )
        return program_id

    def ended(self, program_id: str, result: ExecutionResult) -> None:
        """Put on record what became of a program. It has run: a failure is only logged."""
        outcome: Outcome = "success" if result.success else "failed"
        self._end(
            {
                "record": "ended",
                "id": program_id,
                "at": _now().isoformat(timespec="milliseconds"),
                "outcome": "stopped" if result.stopped_by else outcome,
                "stopped_by": result.stopped_by,
                "returncode": result.returncode,
                "seconds": round(result.duration_s, 4),
                "tier": result.isolation.tier if result.isolation else None,
                "stdout_bytes": _size(result.stdout),
                "stderr_bytes": _size(result.stderr),
                "artifacts": [_described(each) for each in result.artifacts],
            }
        )

    def broke_off(self, program_id: str, outcome: Outcome) -> None:
        """Put on record that a program was ended from outside, or by a fault of ours."""
        at = _now().isoformat(timespec="milliseconds")
        self._end({"record": "ended", "id": program_id, "at": at, "outcome": outcome})

    def keys_changed(self, change: KeyChange, keys: Sequence[Mapping[str, Any]]) -> None:
        """Put on record that API keys were made, revoked or, all of them, forgotten.

        Args:
            change: which of these.
            keys: what is known of each, never anything of its secret.

        Raises:
            StoreUnavailable: it cannot be written; it must not happen.
        """
        who = current_request()
        common = {
            "at": _now().isoformat(timespec="milliseconds"),
            "change": change,
            "owner": who.owner,
            "key_id": who.key_id,
            "user": "" if who.key_id else _system_user(),
            "request_id": who.request_id,
            "source": who.source,
        }
        self._append(
            *({"record": "key", "id": secrets.token_hex(8), **common, "key": key} for key in keys),
            is_safe=True,
        )

    def _end(self, record: dict[str, Any]) -> None:
        try:
            self._append(record)
        except StoreUnavailable as error:
            logging.getLogger("backend.audit").error("A program's end is not on record. %s", error)

    def _append(self, *records: dict[str, Any], is_safe: bool = False) -> None:
        """Add lines; ``is_safe``: wait until not even a power failure loses them."""
        lines = (json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in records)
        today = _now().date()
        try:
            if today != self._pruned_on:
                self._prune(today)
            _write(self._folder / f"{today.isoformat()}.jsonl", b"".join(lines), is_safe=is_safe)
        except OSError as error:
            raise StoreUnavailable(
                f"The audit trail in {self._folder} cannot be written ({error.strerror}), and no "
                "program runs without it, nor does a key change.",
                "Make room there, or set PYTHON_CODER_AUDIT=off.",
            ) from error

    def _prune(self, today: date) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._pruned_on = today
        if not self._days:
            return
        oldest = today - timedelta(days=self._days)
        for day, path in days_of(self._folder):
            if day < oldest:
                with suppress(FileNotFoundError):  # another process was quicker
                    path.unlink()


def days_of(folder: Path) -> list[tuple[date, Path]]:
    """The trail's files, the oldest first."""
    found = []
    for path in folder.glob("*.jsonl"):
        with suppress(ValueError):
            day = date.fromisoformat(path.stem)
            if path.stem == day.isoformat():  # and not a week's, which reads as one
                found.append((day, path))
    return sorted(found)


def trail_folder(settings: Settings) -> Path:
    """Where the trail lies, whether or not one is kept. Reads the working folder."""
    return settings.data_dir.absolute() / "audit"


def _write(path: Path, line: bytes, *, is_safe: bool) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:  # somebody removed the folder
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, flags, 0o600)
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            with suppress(OSError):
                os.write(descriptor, b"\n")
            raise OSError(None, "the disk is full")
        if is_safe:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _system_user() -> str:
    """Who runs this process, by name where it has one."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _described(artifact: Artifact) -> dict[str, Any]:
    digest = hashlib.sha256(artifact.content).hexdigest()
    return {"name": artifact.name, "size": artifact.size, "sha256": digest}


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _now() -> datetime:
    return datetime.now(UTC)
