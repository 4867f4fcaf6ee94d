"""The image, the compose file and the unit: what can be known of them without running them, and what can be run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click import Context

from backend.cli.app import group
from backend.config.names import READ_ELSEWHERE
from backend.config.settings import Settings
from tests.commands import PATIENCE_S, needs_sandbox
from tests.scripts import write_script

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
UNIT = (ROOT / "packaging" / "python-coder.service").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
VARIABLES = {str(field.alias) for field in Settings.model_fields.values()}
INSTRUCTION = re.compile(r"^([A-Z]+) ((?:[^\n\\]|\\.|\\\n)+)", re.MULTILINE)


def instructions(kind: str) -> list[str]:
    return [
        text.replace("\\\n", " ") for word, text in INSTRUCTION.findall(DOCKERFILE) if word == kind
    ]


def directives() -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE)


def test_the_image_is_made_of_the_distribution_and_the_lock_and_runs_as_nobody_special() -> None:
    assert {each.split()[0] for each in instructions("FROM")} == {"debian:12"}
    assert any("--require-hashes -r requirements.lock" in each for each in instructions("RUN"))
    assert not re.search(r"--(extra-)?index-url|--find-links|https?://(?!127\.0\.0\.1)", DOCKERFILE)
    assert instructions("USER") == ["10001:10001"]
    for each in instructions("COPY"):
        if not each.startswith("--from"):
            missing = [name for name in each.split()[:-1] if not (ROOT / name).exists()]
            assert missing == []
    ignored = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    sent = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    own = [each for each in instructions("COPY") if not each.startswith("--from")]
    assert sent == {name for each in own for name in each.split()[:-1]}


def test_every_step_is_a_script_that_a_shell_reads() -> None:
    steps = [*instructions("RUN"), (ROOT / "docker" / "entrypoint.sh").read_text(encoding="utf-8")]
    for step in steps:
        done = subprocess.run(["sh", "-n"], input=step, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, ""), step


def test_compose_gives_the_server_what_its_sandbox_needs_and_no_more() -> None:
    document: dict[str, Any] = yaml.safe_load(COMPOSE)
    assert set(document["services"]) == {"server", "ollama", "postgres"}
    server = document["services"]["server"]
    assert (ROOT / "docker" / server["build"]["context"]).resolve() == ROOT
    assert (ROOT / server["build"]["dockerfile"]).is_file()
    assert server["cap_drop"] == ["ALL"]
    assert not {"privileged", "cap_add"} & set(server)
    assert all(f"`security_opt: {option}`" in PAGE for option in server["security_opt"])
    assert set(server["environment"]) <= VARIABLES
    environments = re.findall(r"\b(PYTHON_COD\w+)", COMPOSE)
    assert {*environments} - VARIABLES == set()
    assert {name.split(":")[0] for name in server["volumes"]} <= set(document["volumes"])
    grace = int(server["stop_grace_period"].removesuffix("s"))
    assert grace >= Settings.model_fields["drain_s"].default + 30


def test_the_unit_leaves_the_sandbox_what_it_needs() -> None:
    found = directives()
    assert ("Delegate", "yes") in found
    refused = {
        *("RestrictNamespaces", "PrivateUsers", "ProtectProc", "ProcSubset", "ProtectHostname"),
        *("ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups"),
        *("MemoryDenyWriteExecute", "SystemCallFilter"),
    }
    assert not refused & {name for name, _ in found}
    assert all(f"`{name}`" in PAGE for name in refused)
    named = {value.partition("=")[0] for name, value in found if name == "Environment"}
    assert named <= VARIABLES
    assert int(dict(found)["TimeoutStopSec"]) >= Settings.model_fields["drain_s"].default + 30


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "python-coder.service"
    # What it starts is not there before it is installed.
    unit.write_text(re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", UNIT), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], text=True, capture_output=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.sandbox
@needs_sandbox
def test_the_entry_point_says_the_tier_and_becomes_the_server(tmp_path: Path) -> None:
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    script = write_script(tmp_path / "script.jsonl", line)
    process = subprocess.Popen(
        ["sh", ROOT / "docker" / "entrypoint.sh", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ)
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHON_CODER_MODEL": f"scripted:{script}",
        },
    )
    try:
        assert process.stdout is not None
        document = "".join(iter(process.stdout.readline, "}\n")) + "}"
        health = httpx.get(f"{json.loads(document)['url']}/health", trust_env=False).json()
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    told = re.search(r"^ok +walls +tier ([ABC]): ", err, re.MULTILINE)
    assert told is not None, err
    assert told[1] == health["sandbox"]["tier"]
    assert process.returncode == 0, err


def test_the_page_names_only_settings_that_there_are() -> None:
    named = set(re.findall(r"\bPYTHON_COD\w+", PAGE))
    assert named - VARIABLES - READ_ELSEWHERE == set()
    commands = set(re.findall(r"^python-coder (\w+)|`python-coder (\w+)", PAGE, re.MULTILINE))
    assert {first or second for first, second in commands} <= set(
        group.list_commands(Context(group))
    )


def daemon() -> str:
    """Why no image can be built here; '' where one can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True)
    return "" if done.returncode == 0 else "no docker daemon runs here"


def test_the_image_builds_and_answers_in_the_tier_that_it_reports(tmp_path: Path) -> None:
    if why := daemon():
        pytest.skip(why)
    name = "python-coder-test"
    build = ["docker", "build", "-q", "-f", "docker/Dockerfile", "-t", name, "."]
    subprocess.run(build, cwd=ROOT, check=True)
    options = [
        f"--security-opt={each}=unconfined" for each in ("seccomp", "apparmor", "systempaths")
    ]
    program = "import json,sys; print(json.dumps([6 * 7]))"
    run = ["docker", "run", "--rm", "-i", "--cap-drop=ALL", *options, name]
    ran = subprocess.run(
        [*run, "run", "--json", "-"], input=program, text=True, capture_output=True, check=True
    )
    result = json.loads(ran.stdout)
    assert result["stdout"] == "[42]\n"
    assert result["isolation"]["tier"] in ("A", "B")
