from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.config.tool_list import BUILT_IN_TOOLS
from backend.errors import SandboxUnavailable, SettingsError
from backend.tools.at_hand import tools_at_hand
from backend.tools.python_executor_engine import open_engine
from backend.tools.registry import ToolName
from backend.tools.toolbox import arguments_of
from tests.tools.hands import Hands

ENGINE: Any = None
"""Nobody runs anything here."""


def listed(files: Sequence[str], **settings: Any) -> list[str]:
    return [tool.name for tool in tools_at_hand(files, load_settings(**settings), ENGINE)]


def test_the_settings_know_the_names_of_the_tools_there_are() -> None:
    assert set(BUILT_IN_TOOLS) == {str(name) for name in ToolName}
    assert load_settings().tool_names == BUILT_IN_TOOLS


def test_only_what_works_for_the_request_is_listed() -> None:
    assert listed(["a.csv"]) == ["run_python", "run_bash", "search_files"]
    assert listed([]) == listed(["plot.png", "a.parquet"]) == ["run_python", "run_bash"]
    assert listed(["a.csv"], enabled=False) == []


@pytest.mark.parametrize(
    ("named", "tools"),
    [
        ("python_coder", []),
        ("search_files, RUN_PYTHON,run_python ,python_coder", ["run_python", "search_files"]),
        ("run_bash,python_coder", ["run_bash"]),
    ],
)
def test_only_what_the_settings_name_is_listed(
    monkeypatch: pytest.MonkeyPatch, named: str, tools: list[str]
) -> None:
    monkeypatch.setenv("PYTHON_CODER_TOOLS", named)
    assert listed(["a.csv"]) == tools


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("run_pyton", "'run_python' is meant"),
        ("python_coder,web", "no tool 'web'. There are python_coder, run_python"),
        (" , ", "python_coder is left out"),
        ("run_bash", "python_coder is left out"),
    ],
)
def test_a_bad_name_stops_the_start_and_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, named: str, said: str
) -> None:
    monkeypatch.setenv("PYTHON_CODER_TOOLS", named)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert said in str(raised.value) and "PYTHON_CODER_TOOLS" in str(raised.value)


def test_no_two_tools_answer_to_one_name() -> None:
    tools = tools_at_hand(["a.txt"], load_settings(), ENGINE)
    names = [name for tool in tools for name in tool.aliases]
    assert len(names) == len(set(names))
    assert all(tool.name in tool.aliases for tool in tools)
    for tool in tools:
        assert tool.aliases == {"_".join(name.lower().split()) for name in tool.aliases}
        assert tool.schema["required"][0] in tool.schema["properties"]
        assert tool.description[0].islower() and tool.description.endswith(".")


@pytest.mark.sandbox
async def test_every_listed_tool_works_alone(tmp_path: Path) -> None:
    settings = load_settings(execution_dir=tmp_path / "execution")
    given = {
        "run_python": "print(open('notes.txt').read())",
        "run_bash": "cat notes.txt",
        "search_files": "plum jam",
    }
    try:
        async with open_engine(settings) as engine:
            hands = Hands(engine, settings, tmp_path)
            files = {"notes.txt": hands.write("notes.txt", "plum jam needs sugar")}
            tools = tools_at_hand(files, settings, engine)
            assert [tool.name for tool in tools] == list(given)
            for tool, text in zip(tools, given.values(), strict=True):
                result = await tool.use(arguments_of(tool, text), hands.context(files))
                assert result["success"] and "plum jam needs sugar" in result["text"]
                ran = result["isolation"] or result["details"]["read_behind"]
                assert ran == engine.isolation.as_dict()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
