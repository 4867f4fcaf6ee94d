from __future__ import annotations

import stat
from pathlib import Path

import pytest

from backend.config.settings import Settings
from backend.errors import SandboxUnavailable
from backend.sandbox import open_executor
from backend.sandbox.doctor import diagnose
from backend.sandbox.walls.probe import explain, find_bubblewrap, remedy_for


async def test_without_bubblewrap_nothing_runs_and_the_fix_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        async with open_executor("local", settings):
            pass
    findings = {finding.topic: finding for finding in await diagnose(settings)}
    assert findings["bubblewrap"].state == "missing"
    assert "bubblewrap" in findings["bubblewrap"].remedy
    assert findings["run"].state == "missing"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("echo 'bwrap: Unknown option --size' >&2; exit 1", "0.7", id="old"),
        pytest.param(
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "No permissions",
            id="forbidden",
        ),
        pytest.param("exit 0", "without a word", id="does nothing"),
        pytest.param("kill -9 $$", "without a word", id="dies"),
    ],
)
async def test_walls_that_do_not_stand_refuse_every_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxUnavailable, match=said):
        async with open_executor("local", settings):
            pass
    assert list(settings.execution_dir.glob("run-*")) == []


def test_a_reason_is_one_line_with_something_to_do() -> None:
    error = explain("bwrap: first\nsecond: Operation not permitted")
    assert "\n" not in str(error)
    assert error.remedy
    assert "--security-opt" in remedy_for("Creating new namespace failed: Operation not permitted")


@pytest.mark.sandbox
async def test_the_doctor_looks_at_everything_and_runs_a_program(settings: Settings) -> None:
    try:
        find_bubblewrap()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    findings = {finding.topic: finding for finding in await diagnose(settings)}
    assert set(findings) == {
        "bubblewrap", "namespaces", "seccomp", "landlock", "cgroup", "walls", "imports", "packages",
        "run",
    }  # fmt: skip
    assert findings["run"].state == "ok", findings
    assert all(finding.state == "ok" or finding.remedy for finding in findings.values())
