"""The examples of ``docs/tools.md``, done as a reader would."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.tools.extra.mcp_file import ProgramEntry, UrlEntry
from backend.tools.extra.opening import open_tools
from backend.tools.registry import ToolName
from backend.tools.toolbox import ToolContext
from tests.tools.extra.conftest import tool_of

PAGE = (Path(__file__).parents[3] / "docs/tools.md").read_text(encoding="utf-8")


def block(language: str, *, after: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.partition(after)[2], re.DOTALL)
    assert found, f"no {language} after {after!r}"
    return found[1]


async def test_the_mcp_server_of_the_page_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: ToolContext
) -> None:
    (tmp_path / "stations.py").write_text(block("python", after="## An MCP server"))
    (tmp_path / "mcp.json").write_text(block("json", after="## An MCP server"))
    monkeypatch.setenv("PYTHON_CODER_MCP", "mcp.json")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    async with open_tools(load_settings()) as extras:
        result = await tool_of(extras, "rainfall").use({"station": "Bergen"}, context)
    assert result["text"] == "Bergen, 2024: 812 mm"


async def test_the_package_of_the_page_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: ToolContext
) -> None:
    project = tomllib.loads(block("toml", after="## A package"))["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\n")
    points = project["entry-points"]["python_coder.tools"]
    lines = "\n".join(f"{name} = {where}" for name, where in points.items())
    (info / "entry_points.txt").write_text(f"[python_coder.tools]\n{lines}\n")
    (tmp_path / "acme_units.py").write_text(block("python", after="## A package"))
    monkeypatch.syspath_prepend(str(tmp_path))
    async with open_tools(load_settings()) as extras:
        celsius = await tool_of(extras, "to_celsius").use({"fahrenheit": "212"}, context)
        count = await tool_of(extras, "count_inputs").use({}, context)
    assert (celsius["text"], count["text"]) == ("100.0", "0 files")


def test_the_page_names_every_tool_and_every_key() -> None:
    rows = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", PAGE, re.MULTILINE))))
    assert rows == {*ToolName, *ProgramEntry.model_fields, *UrlEntry.model_fields}
