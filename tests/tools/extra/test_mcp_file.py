"""The file of MCP servers: what it may say, and how it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.errors import SettingsError
from backend.tools.extra.mcp_file import ProgramServer, UrlServer, read_servers
from backend.tools.extra.opening import open_tools


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "mcp.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_both_kinds_of_server_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0")
    monkeypatch.delenv("NOT_SET", raising=False)
    servers = {
        "files": {"command": "npx", "args": ["-y", "${NOT_SET:-server}"], "env": {"PORT": 7}},
        "there": {"command": "serve", "cwd": "sub", "type": "stdio"},
        "web": {"url": "https://u:p@host/mcp?key=k", "headers": {"Authorization": "B ${TOKEN}"}},
        "old": {"url": "http://host/sse", "type": "sse"},
        "off": {"command": "never", "disabled": True},
    }
    files, there, web, old = read_servers(written(tmp_path, {"mcpServers": servers, "more": 1}))
    assert files == ProgramServer(
        name="files", command="npx", args=("-y", "server"), env={"PORT": "7"}
    )
    assert isinstance(there, ProgramServer)
    assert there.cwd == tmp_path / "sub"
    assert isinstance(web, UrlServer)
    assert web.headers == {"Authorization": "B t0"}
    assert web.place == "https://host/mcp"
    assert "t0" not in repr(web)
    assert isinstance(old, UrlServer)
    assert (web.transport, old.transport) == ("http", "sse")


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ('{"mcpServers": {\n  "a": }', "line 2, column 8", "no JSON"),
        ("[]", "mcpServers", "an object of this name"),
        ({"servers": {}}, "mcpServers", "an object of this name"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "'a'", "twice"),
        ({"mcpServers": {"a": {}}}, "mcpServers.a", 'either "command" or "url"'),
        ({"mcpServers": {"a": "npx"}}, "mcpServers.a", 'either "command" or "url"'),
        (
            {"mcpServers": {"a": {"command": "x", "url": "http://y"}}},
            "mcpServers.a",
            'either "command" or "url"',
        ),
        (
            {"mcpServers": {"a": {"command": "x", "arg": []}}},
            "mcpServers.a.arg",
            "Allowed there: args, command, cwd, disabled, env, transport, type",
        ),
        (
            {"mcpServers": {"a": {"command": "x", "args": "-y"}}},
            "mcpServers.a.args",
            "a valid list",
        ),
        ({"mcpServers": {"a": {"command": ""}}}, "mcpServers.a.command", "at least 1"),
        ({"mcpServers": {"a": {"url": "host/mcp"}}}, "mcpServers.a.url", "^https?://"),
        (
            {"mcpServers": {"a": {"url": "http://host", "transport": "ws"}}},
            "mcpServers.a.transport",
            "'http', 'streamable-http'",
        ),
        (
            {"mcpServers": {"a": {"url": "http://${NOT_SET}/mcp"}}},
            "mcpServers.a",
            "NOT_SET is not set",
        ),
    ],
)
async def test_a_bad_file_stops_the_start_and_names_file_place_and_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, place: str, what: str
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    path = written(tmp_path, content)
    monkeypatch.setenv("PYTHON_CODER_MCP", str(path))
    with pytest.raises(SettingsError) as refused:
        async with open_tools(load_settings()):
            raise AssertionError("it must not start")
    assert str(path) in str(refused.value)
    assert place in str(refused.value)
    assert what in str(refused.value)


def test_a_file_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"PYTHON_CODER_MCP is '.*none\.json'.*No such file"):
        read_servers(tmp_path / "none.json")
