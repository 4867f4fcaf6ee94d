"""Plan-and-execute: a plan, its steps, an answer that is verified, and a new plan if it must be.

plan ─> python_coder ─┬─> python_coder   (the next step)
  ^                   └─> answer ─┬─> end
  └───────────────────────────────┘      (not answered: the reason goes to the next plan)
"""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from backend.core.answering import answer_from_results
from backend.core.context import MACHINERY, AgentContext, describe_result, list_results
from backend.core.plans import PLAN_SCHEMA, PlanStep, list_steps, read_plan, whole_request
from backend.llm.asking import ask
from backend.tools.coder.checkpoints import Checkpointer
from backend.tools.registry import NO_TOOL, ToolName, list_tools
from backend.types import Event, ModelCall

StepStatus = Literal["done", "failed", "skipped", "thought"]


class DoneStep(TypedDict):
    """A step of a plan and what became of it."""

    plan: int
    id: str
    task: str
    tool: str
    status: StepStatus
    observation: str


class PlanState(TypedDict, total=False):
    """The state of one request; plain JSON values."""

    request: str
    plans: int
    plan: list[PlanStep]
    position: int
    steps: Annotated[list[DoneStep], add]
    python_coder_results: Annotated[list[dict[str, Any]], add]
    calls: Annotated[list[ModelCall], add]
    answer: str
    success: bool
    why: str
    """Why the last answer did not answer the request."""
    ending: str
    """Why no further plan is made."""


PlanGraph = CompiledStateGraph[PlanState, AgentContext, PlanState, PlanState]


def first_plan_state(request: str) -> PlanState:
    """The state to start from."""
    return {
        "request": request,
        "plans": 0,
        "plan": [],
        "position": 0,
        "steps": [],
        "python_coder_results": [],
        "calls": [],
        "answer": "",
        "success": False,
        "why": "",
        "ending": "",
    }


async def plan(state: PlanState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Ask for a plan, or for a new one with what was missing."""
    deps = runtime.context
    done = state["python_coder_results"]
    values = {
        "request": state["request"],
        "history": deps.history_text,
        "files": deps.files_text,
        "tools": list_tools(),
        "done": list_results(done) if done else "",
        "why": state["why"],
    }
    asked = await ask(
        deps.model,
        "plan",
        values,
        read_plan,
        schema=PLAN_SCHEMA,
        **deps.coder.sampling,
    )
    steps, note = asked.value or whole_request(state["request"]), ""
    if asked.value is None:
        note = f"The plan could not be read ({asked.reason}); the request is its one step."
    elif _misses_code(steps, state, deps):
        steps = [*steps, {**whole_request(state["request"])[0], "id": "code"}]
        note = "The plan ran no program for a request that needs one; a step was added."
    text = "\n".join(filter(None, [list_steps(steps), note]))
    deps.emit(Event(kind="plan", text=text, data={"steps": [dict(step) for step in steps]}))
    return {
        "plans": state["plans"] + 1,
        "plan": steps,
        "position": 0,
        "calls": asked.calls,
    }


def _misses_code(steps: list[PlanStep], state: PlanState, deps: AgentContext) -> bool:
    if not deps.needs_code or state["python_coder_results"]:
        return False
    return all(step["tool"] != ToolName.PYTHON_CODER for step in steps)


async def python_coder(state: PlanState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do the plan's next step."""
    deps = runtime.context
    step = state["plan"][state["position"]]
    update: dict[str, Any] = {"position": state["position"] + 1}
    failed = _failed_before(step, state)
    if step["tool"] == NO_TOOL:
        entry = _entry(state, step, "thought", "Left to the answer.")
    elif step["tool"] != ToolName.PYTHON_CODER:
        problem = f"There is no tool {step['tool']!r}; there is {', '.join(ToolName)}."
        entry = _entry(state, step, "skipped", problem)
    elif failed:
        entry = _entry(state, step, "skipped", f"It waits for {failed}, which failed.")
    else:
        deps.emit(Event(kind="action", text=step["task"], data={"tool": step["tool"]}))
        result = await deps.use_coder(state["request"], step["task"], state["python_coder_results"])
        result["step"] = step["id"]
        status: StepStatus = "done" if result["success"] else "failed"
        entry = _entry(state, step, status, describe_result(result))
        update["python_coder_results"] = [result]
        if result["error_kind"] in MACHINERY:
            update |= {"ending": str(result["error"]), "position": len(state["plan"])}
    deps.emit(Event(kind="observation", text=entry["observation"], data={"step": step["id"]}))
    return update | {"steps": [entry]}


def _failed_before(step: PlanStep, state: PlanState) -> str:
    fallen = [
        done["id"]
        for done in state["steps"]
        if done["plan"] == state["plans"] and done["status"] in ("failed", "skipped")
    ]
    return ", ".join(need for need in step["depends_on"] if need in fallen)


def _entry(state: PlanState, step: PlanStep, status: StepStatus, observation: str) -> DoneStep:
    return {
        "plan": state["plans"],
        "id": step["id"],
        "task": step["task"],
        "tool": step["tool"],
        "status": status,
        "observation": observation,
    }


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
        results=state["python_coder_results"],
        plan=list_steps(state["plan"]),
        why="\n".join(filter(None, [state["ending"], *undone])),
    )
    return {
        "answer": given.text,
        "success": given.success,
        "why": given.reason,
        "calls": given.calls,
    }


async def next_step(state: PlanState) -> Literal["python_coder", "answer"]:
    """The next step of the plan, or the answer when all are done."""
    return "python_coder" if state["position"] < len(state["plan"]) else "answer"


async def after_answer(
    state: PlanState, runtime: Runtime[AgentContext]
) -> Literal["plan", "__end__"]:
    """Plan again with the reason when the request is not answered and a plan is left."""
    if not state["why"] or state["ending"]:
        return "__end__"
    return "plan" if state["plans"] < runtime.context.coder.settings.max_plans else "__end__"


def build_plan_graph(checkpointer: Checkpointer | None = None) -> PlanGraph:
    """The compiled graph; it keeps nothing between requests but what the checkpointer holds."""
    builder = StateGraph(PlanState, context_schema=AgentContext)
    builder.add_node("plan", plan)
    builder.add_node("python_coder", python_coder)
    builder.add_node("answer", answer)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", next_step)
    builder.add_conditional_edges("python_coder", next_step)
    builder.add_conditional_edges("answer", after_answer)
    return builder.compile(checkpointer, name="plan_execute")
