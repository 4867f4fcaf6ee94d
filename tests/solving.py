"""A task through the real door, and what has to be so of every result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import python_coder_tool
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS

DOCUMENTED = {
    *("success", "code", "output", "error", "error_kind", "execution_time", "iterations"),
    *("modifications", "verification_history", "plan", "language", "packages", "installed"),
    *("value", "outputs", "typed_outputs", "tests", "test_report", "improvement", "facts"),
    *("artifacts", "attempts", "assessment", "usage", "calls", "timings", "isolation", "notes"),
}
TIMINGS = {"generation_s", "verification_s", "execution_s", "improvement_s", "total_s"}
PARTS = {*TIMINGS, "preparation_s", "installation_s"} - {"total_s"}
GOOD: tuple[dict[str, Any], ...] = (APPROVE, ASSESS)
"""A model that objects to nothing."""

Play = Callable[..., None]


async def solve(query: str = "Do it", **more: Any) -> dict[str, Any]:
    """The result of a task; what is no argument of the door's is an option."""
    own = ("context", "file_paths", "inputs", "model", "use_cache", "emit")
    arguments = {name: more.pop(name) for name in own if name in more}
    result = await python_coder_tool.execute_code_task(query, options=Options(**more), **arguments)
    require_documented(result)
    return result


def require_documented(result: dict[str, Any]) -> None:
    """Every key, plain JSON values, and seconds that can be."""
    assert set(result) >= DOCUMENTED
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["error"] is None) == (result["error_kind"] is None)
    timings = result["timings"]
    assert set(timings) >= TIMINGS
    parts = [timings[name] for name in PARTS if name in timings]
    assert all(seconds >= 0 for seconds in timings.values())
    assert sum(parts) <= timings["total_s"] + 0.001 * len(parts)
    assert result["execution_time"] == timings["execution_s"]


def prompts_of(server: OllamaServer) -> list[str]:
    """The text of each call, in the order they came."""
    return ["\n".join(each["content"] for each in chat.body["messages"]) for chat in server.chats]
