"""The house's own tools for a request: only those that work for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from backend.config.settings import Settings
from backend.tools.input_files import Engine
from backend.tools.running import run_bash, run_python
from backend.tools.search_files import SearchFiles, is_of_use
from backend.tools.toolbox import Tool

_SHELL_FOLDERS = "/bin:/usr/bin"
"""The sandbox shows programs these of the host's."""


def tools_at_hand(files: Iterable[str], settings: Settings, engine: Engine) -> list[Tool]:
    """The tools beside ``python_coder``, which the agents do themselves.

    They are made for one request: ``search_files`` keeps what it read.

    Args:
        files: names of the request's files; without one that has text there is nothing to search.
        settings: which tools there are to be; none where running code is switched off.
        engine: what reads files.
    """
    if not settings.enabled:
        return []
    named = settings.tool_names
    tools: list[Tool] = []
    if "run_python" in named:
        tools.append(run_python())
    if "run_bash" in named and shutil.which("bash", path=_SHELL_FOLDERS):
        tools.append(run_bash())
    if "search_files" in named and is_of_use(files):
        tools.append(SearchFiles(engine))
    return tools
