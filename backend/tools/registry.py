"""The tools an agent may name, and what a model writes when it means one of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from enum import StrEnum


class ToolName(StrEnum):
    """The tools there are; ``finish`` and ``none`` are no tools."""

    PYTHON_CODER = "python_coder"


DESCRIPTIONS: Mapping[ToolName, str] = {
    ToolName.PYTHON_CODER: (
        "writes, checks and runs a Python program. The input is the task in words: what to "
        "calculate, read or plot, with file and column names."
    ),
}

FINISH = "finish"
NO_TOOL = "none"

_ALIASES: Mapping[str, frozenset[str]] = {
    ToolName.PYTHON_CODER: frozenset(
        "python_coder coder code python generate generate_code write_code code_generation "
        "run_python python_code run_code execute execute_code code_interpreter interpreter "
        "python_repl repl python_tool python_interpreter programming".split()
    ),
    FINISH: frozenset("finish final final_answer answer done respond reply complete end".split()),
    NO_TOOL: frozenset("none no_tool null nothing reasoning think thinking llm".split()),
}
_CLOSE_ENOUGH = 0.8


def find_tool(named: str) -> str | None:
    """The tool, ``finish`` or ``none`` that a model means, or None for something unknown.

    Bold, backticks, quotes, words around it, other spellings and small slips are understood.
    """
    words = re.findall(r"[a-z]+", named.lower())
    whole = "_".join(words)
    if not whole:
        return NO_TOOL
    for tool, aliases in _ALIASES.items():
        if whole in aliases:
            return str(tool)
    padded = f"_{whole}_"
    if len(words) <= 6:
        for tool, aliases in _ALIASES.items():
            long = (alias for alias in aliases if "_" in alias or alias in ("coder", FINISH))
            if any(f"_{alias}_" in padded for alias in long):
                return str(tool)
    close = difflib.get_close_matches(
        whole, [str(tool) for tool in ToolName] + [FINISH], n=1, cutoff=_CLOSE_ENOUGH
    )
    return close[0] if close else None


def list_tools() -> str:
    """One line a tool, for a prompt."""
    return "\n".join(f"- {tool}: {DESCRIPTIONS[tool]}" for tool in ToolName)
