"""The first step: what is known of the files, the language, and the program to be improved."""

from __future__ import annotations

import time
from typing import Any

from langgraph.runtime import Runtime

from backend.tools.coder.improving import measure
from backend.tools.coder.state import CoderContext, CoderState
from backend.tools.python_executor_engine import describe_files
from backend.types import Event


def needs_preparation(state: CoderState) -> bool:
    """Whether there is anything to look into before the model is asked."""
    return not state["inspected"] or bool(state["options"]["focus"])


async def prepare(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Look into the input files inside the sandbox, and at what a given program does."""
    started = time.monotonic()
    deps = runtime.context
    update: dict[str, Any] = {}
    if not state["inspected"]:
        update |= await _look_into_files(state, deps)
    if state["options"]["focus"] and "error" not in update:
        update["baseline"] = await measure(state, deps)
    return update | {"timings": {"preparation_s": time.monotonic() - started}}


async def _look_into_files(state: CoderState, deps: CoderContext) -> dict[str, Any]:
    facts = await describe_files(deps.engine, deps.files)
    text = "Looked into " + ", ".join(state["files"])
    deps.emit(Event(kind="files", text=text, data={"facts": facts}))
    update: dict[str, Any] = {"facts": facts, "inspected": True}
    if unreadable := unreadable_files(facts):
        update |= {"success": False, "error_kind": "input", "error": unreadable}
    return update


def unreadable_files(facts: list[dict[str, Any]]) -> str:
    """One sentence about the files that cannot be read; '' when all can."""
    broken = [f"{entry['name']!r}: {entry['error']}" for entry in facts if entry.get("error")]
    if not broken:
        return ""
    return (
        f"An input file cannot be read. {'; '.join(broken)}. "
        "Check that the file is whole and that its ending tells its type."
    )
