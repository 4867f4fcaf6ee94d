"""Tools from elsewhere beside those of the house: each is found by its name."""

from __future__ import annotations

import pytest

from backend.tools.extra.foreign_tool import ForeignTool
from backend.tools.extra.names import safe_name, unique_names
from backend.tools.extra.opening import OWN_NAMES
from backend.tools.registry import CODER, FINISH, NO_TOOL, ToolName, find_action
from backend.tools.running import run_bash, run_python
from backend.tools.toolbox import Toolbox


def foreign(name: str) -> ForeignTool:
    return ForeignTool(name=name, description="", aliases=frozenset(), schema={}, tool=run_python())


@pytest.mark.parametrize("name", [*ToolName, FINISH, NO_TOOL, "Final Answer"])
def test_no_tool_from_elsewhere_gets_the_name_of_an_action_of_ours(name: str) -> None:
    (given,) = unique_names([("acme", name)], OWN_NAMES)
    assert given == safe_name(f"acme_{name}")


@pytest.mark.parametrize("name", ["bash", "execute_code", "think", "getWeather"])
def test_a_tool_is_found_by_its_name_though_it_is_another_s_alias(name: str) -> None:
    box = Toolbox([CODER, run_python(), run_bash(), foreign(name)])
    assert find_action(name, box) == name
    assert find_action(f"**{name}**", box) == name
