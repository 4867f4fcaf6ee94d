"""Plan-and-execute: a plan, its steps, an answer that is verified, and a new plan if it must be.

plan ─┬─> python_coder ─┬─> follow ─┬─> python_coder, tool   (all whose turn it is, side by side)
  ^   ├─> tool ─────────┘           ├─> answer ─┬─> end
  |   └─> end  (a question back)    |           |            (not answered: the reason goes
  └─────────────────────────────────┴───────────┘             to the next plan)

A step that fails is tried once more with the reason; then a new plan is made with it; a third
failure ends the work, and what was found out until then is answered (``progress.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from backend.core.answering import answer_from_results
from backend.core.context import AgentContext
from backend.core.findings import (
    MACHINERY,
    findings_of,
    list_findings,
    reason_of,
)
from backend.core.plan_state import Assignment, PlanState, assign, entry_of
from backend.core.plans import (
    PlanStep,
    list_steps,
    plan_schema,
    read_plan,
    whole_request,
    with_new_ids,
)
from backend.core.progress import DoneStep, Progress, StepStatus, repeated_steps
from backend.errors import PythonCoderError
from backend.llm.asking import ask
from backend.tools.coder.checkpoints import Checkpointer, keeping_steps
from backend.tools.registry import NO_TOOL, ToolName
from backend.tools.toolbox import arguments_of
from backend.types import Event

PlanGraph = CompiledStateGraph[PlanState, AgentContext, PlanState, PlanState]


async def plan(state: PlanState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Ask for a plan, or for a new one with what was missing."""
    deps = runtime.context
    toolbox = deps.toolbox
    values = {
        **deps.prompt_values(state["request"]),
        "names": " | ".join([*toolbox.names, NO_TOOL]),
        "done": list_findings(findings_of(state)),
        "why": state["why"],
    }
    asked = await ask(
        deps.model,
        "plan",
        values,
        partial(read_plan, toolbox=toolbox),
        schema=plan_schema(toolbox),
        **deps.coder.sampling,
    )
    update: dict[str, Any] = {"plans": state["plans"] + 1, "calls": asked.calls}
    if asked.value is not None and asked.value.questions and not state["steps"]:
        return update | _ask_back(asked.value.questions, deps)
    read = asked.value.steps if asked.value is not None else []
    steps, note = read or [whole_request(state["request"])], ""
    if not read:
        why = asked.reason or "it only asks"
        note = f"The plan could not be read ({why}); the request is its one step."
    elif _misses_code(steps, state, deps):
        steps = [*steps, whole_request(state["request"], "code")]
        note = "The plan ran no program for a request that needs one; a step was added."
    again = repeated_steps(steps, state["steps"])
    if len(again) < len(steps):
        # What was done before and stands in the plan among other things is not done anew.
        steps = [step for step in steps if step["id"] not in again]
    steps = with_new_ids(steps, {step["id"] for step in state["steps"]})
    text = "\n".join(filter(None, [list_steps(steps), note]))
    deps.emit(Event(kind="plan", text=text, data={"steps": [dict(step) for step in steps]}))
    return update | {"plan": steps}


def _ask_back(questions: list[str], deps: AgentContext) -> dict[str, Any]:
    text = "\n".join(questions if len(questions) == 1 else [f"- {each}" for each in questions])
    deps.emit(Event(kind="plan", text=f"Something has to be known first:\n{text}"))
    return {"plan": [], "questions": questions, "answer": text, "success": False}


def _misses_code(steps: list[PlanStep], state: PlanState, deps: AgentContext) -> bool:
    if not deps.needs_code or findings_of(state):
        return False
    running = {ToolName.PYTHON_CODER, ToolName.RUN_PYTHON, ToolName.RUN_BASH}
    return all(step["tool"] not in running for step in steps)


async def python_coder(state: Assignment, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do a step of the plan with ``python_coder``."""
    deps, step = runtime.context, state["step"]
    use = partial(
        deps.use_coder,
        state["request"],
        step["task"],
        step=step["id"],
        number=state["number"],
        findings=state["findings"],
        note=state["note"],
    )
    return await _do(state, deps, "python_coder_results", use)


async def tool(state: Assignment, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do a step of the plan with another tool."""
    deps, step = runtime.context, state["step"]
    arguments = arguments_of(deps.toolbox[step["tool"]], step["task"])
    use = partial(deps.use_tool, step["tool"], arguments, step=step["id"], given=step["task"])
    return await _do(state, deps, "tool_results", use)


async def _do(
    assignment: Assignment,
    deps: AgentContext,
    key: str,
    use: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Do a step; where our machinery fails, what is done beside it comes to its end first."""
    if deps.failures:
        return {}
    step = assignment["step"]
    data = {"tool": step["tool"], "step": step["id"]}
    deps.emit(Event(kind="action", text=step["task"], data=data))
    try:
        result = await use()
    except PythonCoderError as error:
        if error.error_kind not in MACHINERY:
            raise
        deps.failures.append(error)
        return {}
    deps.made_files.note(assignment["findings"])
    result = deps.made_files.keep_apart(result, step=step["id"], wave=assignment["wave"])
    return {key: [result]} | _observe(assignment, deps, result)


def _observe(assignment: Assignment, deps: AgentContext, result: dict[str, Any]) -> dict[str, Any]:
    status: StepStatus = "done" if result["success"] else "failed"
    entry = entry_of(assignment["plan"], assignment["wave"], assignment["step"], status, result)
    deps.emit(Event(kind="observation", text=entry["observation"], data={"step": entry["id"]}))
    update: dict[str, Any] = {"steps": [entry]}
    if result["error_kind"] in MACHINERY:
        update["ending"] = reason_of(result)
    return update


async def follow(state: PlanState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Settle what need not or cannot be done, and say why, when the plan did not work out."""
    deps = runtime.context
    if deps.failures:
        raise deps.failures[0]
    known = deps.toolbox.names
    progress = Progress(plan=state["plan"], number=state["plans"], done=state["steps"])
    entries: list[DoneStep] = []
    for step in progress.left:
        if step["tool"] == NO_TOOL:
            settled: tuple[StepStatus, str] = "thought", "Left to the answer."
        elif step["tool"] not in known:
            problem = f"There is no tool {step['tool']!r}; there is {', '.join(known)}."
            settled = "skipped", problem
        elif waits := progress.fallen_for(step):
            settled = "skipped", f"It waits for {waits}, which failed."
        else:
            continue
        entry = entry_of(state["plans"], progress.wave, step, *settled)
        entries.append(entry)
        progress = progress.with_done(entry)
        deps.emit(Event(kind="observation", text=entry["observation"], data={"step": step["id"]}))
    update: dict[str, Any] = {"steps": entries}
    if progress.is_stuck:
        update["why"] = progress.failure()
        if progress.gives_up or state["plans"] >= deps.coder.settings.max_plans:
            update["ending"] = progress.failure()
    return update


async def next_steps(state: PlanState) -> list[Send] | str:
    """All steps whose turn it is, side by side; the answer, or a new plan, when none is left."""
    progress = Progress(plan=state["plan"], number=state["plans"], done=state["steps"])
    if state["ending"]:
        return "answer"
    if progress.ready:
        return assign(state, progress)
    return "plan" if progress.is_stuck else "answer"


async def after_plan(state: PlanState) -> str:
    """A question back is the answer; a plan is followed."""
    return "__end__" if state["questions"] else "follow"


async def answer(state: PlanState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Answer from the results, and verify that they hold what was asked."""
    undone = [
        f"{step['id']} was {step['status']}: {step['observation']}"
        for step in state["steps"]
        if step["plan"] == state["plans"] and step["status"] == "skipped"
    ]
    given = await answer_from_results(
        runtime.context,
        request=state["request"],
        findings=findings_of(state),
        plan=list_steps(state["plan"]),
        why="\n".join(filter(None, [state["ending"], *undone])),
    )
    return {
        "answer": given.text,
        "success": given.success,
        "why": given.reason,
        "calls": given.calls,
    }


async def after_answer(state: PlanState, runtime: Runtime[AgentContext]) -> str:
    """Plan again with the reason when the request is not answered and a plan is left."""
    if not state["why"] or state["ending"]:
        return "__end__"
    return "plan" if state["plans"] < runtime.context.coder.settings.max_plans else "__end__"


def build_plan_graph(checkpointer: Checkpointer | None = None) -> PlanGraph:
    """The compiled graph; it keeps nothing between requests but what the checkpointer holds."""
    graph: PlanGraph = keeping_steps(_planning_and_following(), checkpointer)
    return graph


@cache
def _planning_and_following() -> PlanGraph:
    builder = StateGraph(PlanState, context_schema=AgentContext)
    builder.add_node("plan", plan)
    builder.add_node("follow", follow)
    builder.add_node("python_coder", python_coder, input_schema=Assignment)
    builder.add_node("tool", tool, input_schema=Assignment)
    builder.add_node("answer", answer)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", after_plan, ["follow", "__end__"])
    builder.add_conditional_edges("follow", next_steps, ["python_coder", "tool", "answer", "plan"])
    builder.add_edge("python_coder", "follow")
    builder.add_edge("tool", "follow")
    builder.add_conditional_edges("answer", after_answer, ["plan", "__end__"])
    return builder.compile(name="plan_execute")
