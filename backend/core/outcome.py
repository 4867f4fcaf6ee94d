"""From what an agent's graph ended with to the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from backend.core.requests import Answer
from backend.core.router import Route
from backend.observing import Deed
from backend.tools.coder.state import add_seconds
from backend.types import AgentName, ArtifactRef, Event, Isolation, ModelCall
from backend.usage import total_usage

_SPEAK_FOR: Mapping[AgentName, frozenset[str]] = {
    "react": frozenset({"sequence", "code", "data"}),
    "plan_execute": frozenset({"breadth", "steps", "code", "data"}),
    "chat": frozenset({"talk"}),
}


def route_event(agent: AgentName, mode: str, chosen: Route) -> Event:
    """Which agent answers, and why."""
    terms = [
        term
        for kind, found in chosen.matched_terms.items()
        if kind in _SPEAK_FOR[agent]
        for term in found
    ]
    why = f"because of: {', '.join(terms) or 'no known term'}"
    if chosen.by == "model":
        why = "chosen by a model"
    if mode == "explicit":
        why = "as asked"
    return Event(kind="route", text=f"{agent}, {why}", data=chosen.as_dict() | {"agent": agent})


def answer_from(
    state: Mapping[str, Any],
    *,
    agent: AgentName,
    mode: Literal["explicit", "auto"],
    model: str,
    chosen: Route,
) -> Answer:
    """The answer of a graph's last state, with what all its uses of the coder took."""
    results: Sequence[dict[str, Any]] = state.get("python_coder_results", [])
    others: Sequence[dict[str, Any]] = state.get("tool_results", [])
    calls: Sequence[ModelCall] = state["calls"]
    timings: dict[str, float] = {"model_s": sum(call["duration_s"] for call in calls)}
    usage_calls = list(calls)
    for result in results:
        timings = add_seconds(timings, result["timings"])
        usage_calls += result["calls"]
    ran = [*results, *others]
    isolation = next((r["isolation"] for r in reversed(ran) if r["isolation"]), None)
    return Answer(
        text=state["answer"],
        success=state["success"],
        agent=agent,
        mode=mode,
        model=model,
        scores=chosen.scores,
        matched_terms=chosen.matched_terms,
        chosen_by=chosen.by if mode == "auto" else None,
        steps=[dict(step) for step in state.get("steps", [])],
        python_coder_results=list(results),
        tool_results=list(others),
        questions=list(state.get("questions", [])),
        artifacts=[_reference(entry) for result in ran for entry in result["artifacts"]],
        calls=list(calls),
        usage=total_usage(usage_calls),
        timings={key: round(seconds, 4) for key, seconds in timings.items()},
        refusal=state.get("refusal"),
        approval=state.get("approval"),
        isolation=None
        if isolation is None
        else Isolation(
            executor=isolation["executor"],
            tier=isolation["tier"],
            walls=tuple(isolation["walls"]),
        ),
    )


def tell_deed(deed: Deed, answer: Answer) -> None:
    """What came of a request, for whoever watches: names and numbers only."""
    deed.name = answer.agent
    deed.outcome = "success" if answer.success else "failed"
    if answer.approval is not None:
        deed.outcome = "waiting"
    deed.facts |= {"model": answer.model, "cached": answer.cached}
    if answer.run_id is not None:
        deed.facts["run_id"] = answer.run_id
    if answer.cached:
        return  # it used up nothing now
    deed.facts["input_tokens"] = answer.usage["input_tokens"]
    deed.facts["output_tokens"] = answer.usage["output_tokens"]
    changes = [each for result in answer.python_coder_results for each in result["modifications"]]
    by_rule = sum(each.get("by") == "rule" for each in changes)
    deed.facts["repairs_by_rule"] = by_rule
    deed.facts["repairs_by_model"] = len(changes) - by_rule


def _reference(entry: Mapping[str, Any]) -> ArtifactRef:
    return ArtifactRef(
        name=entry["name"],
        media_type=entry["media_type"],
        size=entry["size"],
        sha256=entry["sha256"],
    )
