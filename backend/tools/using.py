"""Using a tool, whoever wrote it: whatever it does, the agents get a result they can keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from backend.errors import PythonCoderError
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.toolbox import Tool, ToolContext, ToolResult, told


async def use(tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    """Use a tool; what it raises, or gives back that is no result, is told in the result.

    The text of the result is as long as a model gets to see at the most, and its details are
    plain JSON values.

    Raises:
        PythonCoderError: our machinery failed.
    """
    failure: BaseException
    try:
        return _kept(await tool.use(arguments, context))
    except PythonCoderError:
        raise
    except asyncio.CancelledError as error:
        asked = asyncio.current_task()
        if asked is None or asked.cancelling():
            raise
        failure = error  # nobody stopped us: a scope of the tool's own came to its end
    except (Exception, SystemExit) as error:
        failure = error
    what = f"{tool.name} failed: {type(failure).__name__}: {failure}"
    return told(shorten(what, OBSERVATION_CHARS), success=False)


def _kept(given: Any) -> ToolResult:
    is_result = isinstance(given, Mapping) and isinstance(given.get("success"), bool)
    if not is_result or not isinstance(given.get("text"), str):
        raise TypeError(f"it gave back no result but {shorten(repr(given), 300)}")
    text = given["text"].encode(errors="replace").decode()  # half a surrogate pair goes nowhere
    return {
        "success": given["success"],
        "text": shorten(text, OBSERVATION_CHARS),
        "artifacts": list(given.get("artifacts") or ()),
        "isolation": given.get("isolation"),
        "error_kind": given.get("error_kind"),
        "details": _plain(given.get("details") or {}),
    }


def _plain(value: Any) -> dict[str, Any]:
    text = json.dumps(value, default=str, skipkeys=True)
    plain: dict[str, Any] = json.loads(text, parse_constant=str)
    return plain
