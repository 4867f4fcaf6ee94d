"""The list of the house's own tools that agents may use: read, held to those there are."""

from __future__ import annotations

import difflib
from typing import Final

BUILT_IN_TOOLS: Final = ("python_coder", "run_python", "run_bash", "search_files")
"""In the order in which they are listed to a model."""


def read_tool_list(text: str) -> tuple[str, ...]:
    """The names in a list with commas, each once, in the order of ``BUILT_IN_TOOLS``.

    Raises:
        ValueError: a name is none of them, or ``python_coder`` is left out.
    """
    names = [name for name in (part.strip().lower() for part in text.split(",")) if name]
    for name in names:
        if name not in BUILT_IN_TOOLS:
            near = difflib.get_close_matches(name, BUILT_IN_TOOLS, n=1)
            meant = f"; {near[0]!r} is meant" if near else ""
            raise ValueError(f"there is no tool {name!r}{meant}. There are {_listed()}")
    if "python_coder" not in names:
        raise ValueError(
            "python_coder is left out, to which the agents leave what no plan and no other tool "
            f"does. Name it, and any of {_listed()}"
        )
    return tuple(name for name in BUILT_IN_TOOLS if name in names)


def _listed() -> str:
    return ", ".join(BUILT_IN_TOOLS)
