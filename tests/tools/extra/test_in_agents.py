"""A tool of an MCP server in a request, from the model's words to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Answer, Ask
from tests.commands import needs_sandbox
from tests.scripts import act, answer, plan, use_script
from tests.tools.extra.conftest import as_program

pytestmark = [pytest.mark.sandbox, needs_sandbox]


async def ask(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"weather": as_program()}}), encoding="utf-8")
    monkeypatch.setenv("PYTHON_CODER_MCP", str(path))
    async with open_assistant(load_settings()) as assistant:
        question = Ask(question="What is the forecast for Oslo?", agent_type=agent)  # type: ignore[arg-type]
        return await assistant.run(question)


async def test_the_react_agent_uses_it_and_mends_its_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(
        monkeypatch,
        tmp_path / "script.jsonl",
        act("weather.forecast", '{"days": "3"}', when="forecast: The forecast for a city."),
        act("**forecast**", '{"city": "Oslo", "days": "3"}', when="city is missing"),
        act("finish", "Rain.", when="Oslo: rain for 3 days"),
    )
    given = await ask("react", tmp_path, monkeypatch)
    assert (given.success, given.text) == (True, "Rain.")
    assert [(each["tool"], each["success"]) for each in given.tool_results] == [
        ("forecast", False),
        ("forecast", True),
    ]


async def test_a_plan_s_step_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_script(
        monkeypatch,
        tmp_path / "script.jsonl",
        plan(("forecast", '{"city": "Oslo"}')),
        answer("Rain.", when="Oslo: rain for 1 days"),
    )
    given = await ask("plan_execute", tmp_path, monkeypatch)
    assert given.text == "Rain."
    assert given.tool_results[0]["tool"] == "forecast"
