"""The loop: prepare -> generate -> check -> review -> run -> test -> assess, with rewrites and repairs.

    prepare ─> generate ─> check ─┬─> review ─┬─> run ─┬─> test ─┬─> assess ─┬─> end
                             ^    ├─ rewrite <┘        │         │           │
                             ├────┘   (findings)       └─────────┴───────────┤  (error, or no answer)
                             └─── repair, install, diagnose, or a rule <─────┘

At most ``PYTHON_CODE_MAX_ITERATIONS`` rewrites before a run, each checked again, the last one too;
at most ``CODE_GENERATION_MAX_RETRIES`` repairs after a failed run. Steps that nobody asked for (a
look into no files, tests, the judgement) are left out. How a failed run is treated: ``heal.py``. Where
the user is asked first, ``approve`` stands before the run; there the graph may wait for days.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from backend.errors import ApprovalNeeded, PythonCoderError, RequestError
from backend.tools.coder.approve import after_approval, approve
from backend.tools.coder.assess import assess
from backend.tools.coder.checkpoints import Checkpointer, keeping_steps, stream_states
from backend.tools.coder.heal import (
    after_install,
    after_treatment,
    diagnose_by_model,
    install,
)
from backend.tools.coder.prepare import needs_preparation, prepare
from backend.tools.coder.proof.inputs import check_inputs
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.run import run
from backend.tools.coder.state import CoderContext, CoderState, iterations_of, retries_of
from backend.tools.coder.task import Task
from backend.tools.coder.test import after_test, test, wants_tests
from backend.tools.coder.verify import after_check, after_review, check, refuse, review
from backend.tools.coder.write import generate, repair, rewrite
from backend.tools.languages import detect_language

CoderGraph = CompiledStateGraph[CoderState, CoderContext, CoderState, CoderState]


async def first_step(state: CoderState) -> Literal["prepare", "generate"]:
    """Nothing is looked into where there is nothing."""
    return "prepare" if needs_preparation(state) else "generate"


async def after_prepare(state: CoderState) -> Literal["generate", "__end__"]:
    """A file that cannot be read ends it before the model is asked."""
    return "__end__" if state.get("error_kind") == "input" else "generate"


async def after_writing(state: CoderState) -> Literal["check", "__end__"]:
    """Without a program there is nothing to check."""
    return "__end__" if state.get("error_kind") == "model" else "check"


async def after_run(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["test", "assess", "repair", "check", "install", "diagnose", "__end__"]:
    """A good run is tested and judged where that is wanted; another one is treated."""
    if state["success"] and wants_tests(state):
        return "test"
    return await after_test(state, runtime)


def build_graph(checkpointer: Checkpointer | None = None) -> CoderGraph:
    """The compiled loop; it keeps nothing between tasks, so one serves all.

    Args:
        checkpointer: where the steps of tasks are kept that have a thread; None to keep none.
    """
    graph: CoderGraph = keeping_steps(_loop(), checkpointer)
    return graph


@cache
def _loop() -> CoderGraph:
    builder = StateGraph(CoderState, context_schema=CoderContext)
    builder.add_node("prepare", prepare)
    builder.add_node("generate", generate)
    builder.add_node("check", check)
    builder.add_node("review", review)
    builder.add_node("rewrite", rewrite)
    builder.add_node("approve", approve)
    builder.add_node("run", run)
    builder.add_node("test", test)
    builder.add_node("diagnose", diagnose_by_model)
    builder.add_node("install", install)
    builder.add_node("repair", repair)
    builder.add_node("assess", assess)
    builder.add_node("refuse", refuse)
    builder.add_conditional_edges(START, first_step)
    builder.add_conditional_edges("prepare", after_prepare)
    builder.add_conditional_edges("generate", after_writing)
    builder.add_conditional_edges("check", after_check)
    builder.add_conditional_edges("review", after_review)
    builder.add_conditional_edges("rewrite", after_writing)
    builder.add_conditional_edges("approve", after_approval)
    builder.add_conditional_edges("repair", after_writing)
    builder.add_conditional_edges("run", after_run)
    builder.add_conditional_edges("test", after_test)
    builder.add_conditional_edges("assess", after_treatment)
    builder.add_conditional_edges("diagnose", after_treatment)
    builder.add_conditional_edges("install", after_install)
    builder.add_edge("refuse", END)
    return builder.compile(name="python_coder")


def _first_state(task: Task) -> CoderState:
    options = task.options.as_dict()
    agreed = task.options.agreed(task.inputs)
    return {
        "request": task.request,
        "context": task.background,
        "options": options,
        "files": {name: str(path) for name, path in task.files.items()},
        "facts": [dict(entry) for entry in task.facts or ()],
        "inspected": task.facts is not None or not task.files,
        "contract": agreed.describe(task.inputs),
        "language": task.options.language or detect_language(task.request),
        "plan": "",
        "code": "",
        "iteration": 0,
        "rewrites": 0,
        "repairs": 0,
        "checked": [],
        "findings": [],
        "unchanged": False,
        "problem": "",
        "instruction": "",
        "fresh": False,
        "step": "",
        "packages": [],
        "former": [],
        "modifications": [],
        "verification_history": [],
        "attempts": [],
        "calls": [],
        "timings": {},
        "installed": [],
        "tests": [dict(each) for each in agreed.tests],
        "test_reports": [],
        "outputs": None,
        "improvement": None,
        "baseline": None,
        "artifacts": [],
        "isolation": None,
        "value": None,
        "notes": [],
        "remarks": list(agreed.constraints.remarks),
        "assessment": None,
        "success": False,
        "error": None,
        "error_kind": None,
    }


def _recursion_limit(state: CoderState, context: CoderContext) -> int:
    """More steps than the budgets can use up, so that LangGraph's own limit never ends a task."""
    rounds = retries_of(state, context) + 1
    return 20 + rounds * (8 + 3 * (iterations_of(state, context) + 1))


async def _require_inputs(task: Task) -> None:
    """Refuse variables that no program could get, before a model is asked for one."""
    if not task.inputs:
        return
    try:
        await asyncio.to_thread(check_inputs, task.inputs)
    except ValueError as error:
        raise RequestError(str(error), param="inputs") from None


async def run_task(
    graph: CoderGraph,
    context: CoderContext,
    task: Task,
    *,
    thread: str | None = None,
    within: bool = False,
    raise_early: bool = False,
) -> dict[str, Any]:
    """Work on one task to its end.

    Args:
        graph: what ``build_graph`` gave.
        context: model, engine, store and settings to work with.
        task: what is asked for.
        thread: under which name the steps are kept, where the graph has a checkpointer. A thread
            that was interrupted goes on after its last finished step, whatever ``task`` says.
        within: as a part of the graph around, which keeps the steps and answers what they ask.
        raise_early: raise our machinery's failure while nothing has run yet, and that somebody
            has to decide about a program, or did not want it to run.

    Returns:
        The documented dict. Our machinery's failure is in it too, as ``error`` and
        ``error_kind``, with everything that was reached before it. A program that has to be
        approved by somebody who is not here is in ``approval``; the thread goes on when it is
        worked on again.

    Raises:
        PythonCoderError: only with ``raise_early``.
    """
    started = time.monotonic()
    state = _first_state(task)
    session = context.session.part() if context.session else None
    context = replace(context, files=task.files, session=session)
    if session is not None:
        state["remarks"] = [*state["remarks"], *session.tell()]
    if context.approvals.asks and graph.checkpointer is None and not within:
        # What stands still has to be kept meanwhile.
        graph, thread = graph.copy({"checkpointer": InMemorySaver()}), "task"
    asked: dict[str, Any] | None = None
    try:
        await _require_inputs(task)
        async for reached in stream_states(
            graph,
            state,
            context,
            thread=thread,
            most_steps=_recursion_limit(state, context),
            answer=None if within else context.approvals.answer,
        ):
            state = reached
    except ApprovalNeeded as error:
        if raise_early:
            error.calls = tuple(state["calls"])
            raise
        state, asked = failed(state, error), error.asked
    except PythonCoderError as error:
        if raise_early and not state["attempts"]:
            raise
        state = failed(state, error)
    refusal = context.approvals.refusal
    if raise_early and refusal is not None:
        refusal.calls = tuple(state["calls"])
        raise refusal
    total_s = time.monotonic() - started
    return build_result(state, total_s=total_s, blobs=context.blobs) | {"approval": asked}
