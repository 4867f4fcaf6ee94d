"""The loop: prepare -> generate -> check -> review -> run -> assess, with rewrites and repairs.

    prepare ─> generate ─> check ─┬─> review ─┬─> run ─┬─> assess ─┬─> end
                             ^    ├─ rewrite <┘        │           │
                             ├────┘   (findings)       │           │
                             └─────── repair <─────────┴───────────┘  (error, or no answer)

At most ``PYTHON_CODE_MAX_ITERATIONS`` rewrites before a run, each checked again, the last one too;
at most ``CODE_GENERATION_MAX_RETRIES`` repairs after a failed run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from backend.errors import PythonCoderError
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.run import after_assess, after_run, assess, prepare, run
from backend.tools.coder.state import CoderContext, CoderState
from backend.tools.coder.verify import after_check, after_review, check, refuse, review
from backend.tools.coder.write import generate, repair, rewrite

CoderGraph = CompiledStateGraph[CoderState, CoderContext, CoderState, CoderState]


def after_prepare(state: CoderState) -> Literal["generate", "__end__"]:
    """A file that cannot be read ends it before the model is asked."""
    return "__end__" if state.get("error_kind") == "input" else "generate"


def after_writing(state: CoderState) -> Literal["check", "__end__"]:
    """Without a program there is nothing to check."""
    return "__end__" if state.get("error_kind") == "model" else "check"


def build_graph() -> CoderGraph:
    """The compiled loop; it keeps nothing between tasks, so one serves all."""
    builder = StateGraph(CoderState, context_schema=CoderContext)
    builder.add_node("prepare", prepare)
    builder.add_node("generate", generate)
    builder.add_node("check", check)
    builder.add_node("review", review)
    builder.add_node("rewrite", rewrite)
    builder.add_node("run", run)
    builder.add_node("repair", repair)
    builder.add_node("assess", assess)
    builder.add_node("refuse", refuse)
    builder.add_edge(START, "prepare")
    builder.add_conditional_edges("prepare", after_prepare)
    builder.add_conditional_edges("generate", after_writing)
    builder.add_conditional_edges("check", after_check)
    builder.add_conditional_edges("review", after_review)
    builder.add_conditional_edges("rewrite", after_writing)
    builder.add_conditional_edges("repair", after_writing)
    builder.add_conditional_edges("run", after_run)
    builder.add_conditional_edges("assess", after_assess)
    builder.add_edge("refuse", END)
    return builder.compile(name="python_coder")


def _first_state(
    request: str,
    context: str,
    files: Mapping[str, Path],
    facts: Sequence[Mapping[str, Any]] | None,
) -> CoderState:
    return {
        "request": request,
        "context": context,
        "files": {name: str(path) for name, path in files.items()},
        "facts": [dict(entry) for entry in facts or ()],
        "inspected": facts is not None or not files,
        "plan": "",
        "code": "",
        "iteration": 0,
        "rewrites": 0,
        "repairs": 0,
        "findings": [],
        "unchanged": False,
        "problem": "",
        "former": [],
        "modifications": [],
        "verification_history": [],
        "attempts": [],
        "calls": [],
        "timings": {},
        "artifacts": [],
        "isolation": None,
        "value": None,
        "notes": [],
        "assessment": None,
        "success": False,
        "error": None,
        "error_kind": None,
    }


def _recursion_limit(context: CoderContext) -> int:
    """More steps than the budgets can use up, so that LangGraph's own limit never ends a task."""
    settings = context.settings
    return 20 + (settings.max_retries + 1) * (4 + 3 * (settings.max_iterations + 1))


async def run_task(
    graph: CoderGraph,
    context: CoderContext,
    request: str,
    *,
    background: str = "",
    files: Mapping[str, Path] | None = None,
    facts: Sequence[Mapping[str, Any]] | None = None,
    raise_early: bool = False,
) -> dict[str, Any]:
    """Work on one task to its end.

    Args:
        graph: what ``build_graph`` gave.
        context: model, engine, store and settings to work with.
        request: what is asked for, in words.
        background: what else there is to know.
        files: name in the working directory -> path outside.
        facts: of the files, where they were inspected before; None to inspect them here.
        raise_early: raise our machinery's failure while nothing has run yet.

    Returns:
        The documented dict. Our machinery's failure is in it too, as ``error`` and
        ``error_kind``, with everything that was reached before it.

    Raises:
        PythonCoderError: only with ``raise_early``.
    """
    started = time.monotonic()
    state = _first_state(request, background, files or {}, facts)
    try:
        async for reached in graph.astream(
            state,
            {"recursion_limit": _recursion_limit(context)},
            context=context,
            stream_mode="values",
        ):
            state = reached  # type: ignore[assignment]
    except PythonCoderError as error:
        if raise_early and not state["attempts"]:
            raise
        state = failed(state, error)
    return build_result(state, total_s=time.monotonic() - started, blobs=context.blobs)
