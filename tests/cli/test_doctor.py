from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.commands import Done, files_below, needs_sandbox, run
from tests.ollama_server import OllamaServer
from tests.postgres import Cluster
from tests.scripts import use_script


def findings(done: Done) -> dict[str, dict[str, str]]:
    return {finding["topic"]: finding for finding in done.document["findings"]}


def test_a_model_server_that_is_missing_is_named_with_what_starts_it() -> None:
    done = run("doctor", "--no-run")
    assert done.status == 3
    line = done.out.splitlines().index(
        next(line for line in done.out.splitlines() if line.startswith("MISSING"))
    )
    assert "cannot be reached" in done.out.splitlines()[line]
    assert "ollama serve" in done.out.splitlines()[line + 1]


def test_a_model_that_is_missing_is_named_with_what_pulls_it(ollama_server: OllamaServer) -> None:
    model = findings(run("doctor", "--no-run", "--json", "--model", "qwen3:8b"))["model"]
    assert model["state"] == "missing"
    assert "ollama pull qwen3:8b" in model["remedy"]


@pytest.mark.parametrize(
    ("model", "with_tools", "said"),
    [
        ("ollama:gpt-oss:20b", True, "native tool calls, which Ollama says"),
        ("ollama:gpt-oss:20b", False, "JSON by a schema"),
        ("openai:gpt-oss:20b", False, "unless the server refuses them"),
    ],
)
def test_in_which_form_a_model_is_asked_for_actions_is_told(
    ollama_server: OllamaServer, model: str, with_tools: bool, said: str
) -> None:
    ollama_server.models_with_tools = {"gpt-oss:20b"} if with_tools else set()
    found = findings(run("doctor", "--no-run", "--json", "--model", model))
    assert said in found["actions"]["what"]
    assert ollama_server.chats == []


def test_the_model_that_chooses_actions_is_the_one_that_is_looked_at(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.models = ["gpt-oss:20b", "small:1b"]
    ollama_server.models_with_tools = {"small:1b"}
    done = run("doctor", "--no-run", "--json", PYTHON_CODER_STAGES="act model=ollama:small:1b")
    assert findings(done)["actions"]["what"].startswith("ollama:small:1b: asked for as native")


@pytest.mark.sandbox
@needs_sandbox
def test_a_machine_that_has_everything_is_healthy(
    ollama_server: OllamaServer, tmp_path: Path
) -> None:
    done = run("doctor", "--json")
    assert done.status == 0
    found = findings(done)
    assert found["model"]["state"] == "ok"
    assert found["run"]["what"].startswith("a program ran in")
    assert "tier" in found["walls"]["what"]
    assert files_below(tmp_path) == []


def test_without_bubblewrap_the_command_that_installs_it_is_shown(tmp_path: Path) -> None:
    done = run("doctor", "--json", PATH=str(tmp_path))
    assert done.status == 3
    assert findings(done)["bubblewrap"]["state"] == "missing"
    assert "bubblewrap" in findings(done)["bubblewrap"]["remedy"]


def test_the_sources_of_the_settings_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl")
    (tmp_path / ".env").write_text("PYTHON_CODE_TIMEOUT=7\n")
    (tmp_path / "python-coder.yaml").write_text("PYTHON_CODE_MAX_MEMORY: 256\n")
    done = run("doctor", "--no-run", "--json", PYTHON_CODE_ENABLED="false")
    sources = findings(done)["settings"]
    listed = " ".join(
        entry["what"] for entry in done.document["findings"] if entry["topic"] == "settings"
    )
    assert "PYTHON_CODER_MODEL from the environment" in listed
    assert str(tmp_path / ".env") in listed
    assert str(tmp_path / "python-coder.yaml") in listed
    assert sources["state"] == "note"
    assert "switched off" in sources["what"]


def test_a_folder_that_cannot_be_made_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "data"
    done = run("doctor", "--no-run", "--json", PYTHON_CODER_DATA_DIR=str(folder))
    assert done.status == 3
    assert findings(done)["data"]["state"] == "missing"
    assert "PYTHON_CODER_DATA_DIR" in findings(done)["data"]["remedy"]


def test_mcp_servers_are_started_and_their_tools_named(tmp_path: Path) -> None:
    server = Path(__file__).parents[1] / "tools" / "extra" / "weather_server.py"
    servers = {
        "weather": {"command": sys.executable, "args": [str(server), "stdio"]},
        "lost": {"command": "no-such-program-here"},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    named = str(tmp_path / "mcp.json")
    done = run("doctor", "--json", PYTHON_CODER_MCP=named)
    weather, lost = [each for each in done.document["findings"] if each["topic"] == "mcp"]
    assert weather["state"] == "ok"
    assert "forecast, together, broken" in weather["what"]
    assert lost["state"] == "note"
    assert "no-such-program-here" in lost["what"]
    named_only = run("doctor", "--json", "--no-run", PYTHON_CODER_MCP=named)
    assert findings(named_only)["mcp"]["what"] == "lost: no-such-program-here, not tried"


def test_a_bad_file_of_mcp_servers_is_missing_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"a": {"command": 7, "arg": []}}}')
    named = str(tmp_path / "mcp.json")
    mcp = findings(run("doctor", "--json", "--no-run", PYTHON_CODER_MCP=named))["mcp"]
    assert mcp["state"] == "missing"
    assert "mcpServers.a" in mcp["what"]


def test_a_database_is_reached_or_named_without_its_password(postgres: Cluster) -> None:
    with postgres.database(encoding="SQL_ASCII") as url:
        narrow = findings(run("doctor", "--no-run", "--json", DATABASE_URL=url))["database"]
    assert (narrow["state"], "SQL_ASCII" in narrow["what"]) == ("missing", True)
    with postgres.database() as url:
        there = findings(run("doctor", "--no-run", "--json", DATABASE_URL=url))["database"]
    assert there["state"] == "ok"
    assert there["what"].startswith("PostgreSQL ")
    gone = "postgresql://me:secret@127.0.0.1:9/coder"
    done = run("doctor", "--no-run", DATABASE_URL=gone)
    assert done.status == 3
    assert "MISSING  database   postgresql://me:***@127.0.0.1:9/coder cannot be reached" in done.out
    assert "secret" not in done.out
    other = findings(run("doctor", "--no-run", "--json", DATABASE_URL="mysql://h/x"))["database"]
    assert "'mysql'" in other["what"]
