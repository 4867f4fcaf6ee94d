"""The names of actions: the tools of the house, and the two that are none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from backend.tools.toolbox import Toolbox


class ToolName(StrEnum):
    """The tools of the house; others come from MCP servers and entry points."""

    PYTHON_CODER = "python_coder"
    RUN_PYTHON = "run_python"
    RUN_BASH = "run_bash"
    SEARCH_FILES = "search_files"


FINISH = "finish"
NO_TOOL = "none"


def _text_argument(name: str, description: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": description}}
    return {"type": "object", "properties": properties, "required": [name]}


@dataclass(frozen=True, kw_only=True)
class ActionDescription:
    """An action that the agents do themselves, as prompts and models see it."""

    name: str
    description: str
    aliases: frozenset[str]
    schema: Mapping[str, Any] = field(default_factory=dict)


CODER = ActionDescription(
    name=ToolName.PYTHON_CODER,
    description="writes, checks, runs and repairs a Python program. The input is the task in "
    "words: what to calculate, read or plot, with file and column names.",
    aliases=frozenset(
        "python_coder coder code python generate generate_code write_code code_generation "
        "python_code run_code execute execute_code code_interpreter interpreter python_tool "
        "python_interpreter use_coder programming".split()
    ),
    schema=_text_argument("task", "The task in words, with file and column names."),
)

FINISHING = ActionDescription(
    name=FINISH,
    description="the request is answered. The input is the full answer for the user, with the "
    "numbers from the observations.",
    aliases=frozenset("finish final final_answer answer done respond reply complete end".split()),
    schema=_text_argument("answer", "The full answer for the user."),
)

_NO_TOOL_ALIASES = frozenset("none no_tool null nothing reasoning think thinking llm".split())


def find_action(named: str, toolbox: Toolbox) -> str | None:
    """The tool, ``finish`` or ``none`` that a model means; None for something unknown.

    Bold, backticks, quotes, words around it, other spellings and small slips are understood.
    """
    whole = "_".join(re.findall(r"[a-z0-9]+", named.lower()))
    if not whole or (whole in _NO_TOOL_ALIASES and whole not in toolbox):
        return NO_TOOL
    return Toolbox([*toolbox, FINISHING]).find(named)
