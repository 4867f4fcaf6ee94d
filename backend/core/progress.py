"""How far a plan has got: what can be done now, what fell, and when to give up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypedDict

from backend.core.plans import PlanStep
from backend.prompts.texts import shorten

StepStatus = Literal["done", "failed", "skipped", "thought"]

TRIES = 2
"""Of one step in one plan: once more with the reason; then the plan is to blame."""
SETBACKS = 3
"""So many times something may fail, over all plans of a request."""
_REASON_CHARS = 1500


class DoneStep(TypedDict):
    """A step of a plan, and what became of one attempt at it."""

    plan: int
    wave: int
    """Steps of one wave were done side by side."""
    id: str
    task: str
    tool: str
    depends_on: list[str]
    status: StepStatus
    observation: str
    duration_s: float
    """Of this attempt; 0 where nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a request stands in its current plan."""

    plan: Sequence[PlanStep]
    number: int
    """Of the plan, from 1."""
    done: Sequence[DoneStep]
    """Attempts at all steps of all plans, in their order."""

    @cached_property
    def _attempts(self) -> dict[str, list[DoneStep]]:
        found: dict[str, list[DoneStep]] = {step["id"]: [] for step in self.plan}
        for entry in self.done:
            if entry["plan"] == self.number and entry["id"] in found:
                found[entry["id"]].append(entry)
        return found

    @property
    def wave(self) -> int:
        """The number of the next wave."""
        return 1 + max((entry["wave"] for entry in self.done), default=0)

    @property
    def left(self) -> list[PlanStep]:
        """Steps of which nothing was done yet, in the plan's order."""
        return [step for step in self.plan if not self._attempts[step["id"]]]

    @cached_property
    def setbacks(self) -> int:
        """How many waves had a step that failed."""
        return len({entry["wave"] for entry in self.done if entry["status"] == "failed"})

    @cached_property
    def ready(self) -> list[PlanStep]:
        """Steps whose turn it is: what they wait for is done, or they are tried once more."""
        return [step for step in self.plan if self._is_ready(step)]

    @property
    def is_stuck(self) -> bool:
        """A step has failed, and nothing else can be done."""
        failed = any(self._status(step["id"]) == "failed" for step in self.plan)
        return failed and not self.ready

    @property
    def gives_up(self) -> bool:
        """It has failed so often that another plan would fail as well."""
        return self.setbacks >= SETBACKS

    def with_done(self, entry: DoneStep) -> Progress:
        """The same with one more attempt."""
        return replace(self, done=[*self.done, entry])

    def fallen_for(self, step: PlanStep) -> str:
        """The steps for whose failure this one cannot be done; '' while it may be."""
        fallen = [need for need in step["depends_on"] if self._has_fallen(need)]
        return ", ".join(fallen)

    def note_on(self, step: PlanStep, why: str) -> str:
        """What to tell whoever does a step: how it failed before, or why there is a new plan."""
        attempts = self._attempts[step["id"]]
        if attempts:
            reason = shorten(attempts[-1]["observation"], _REASON_CHARS)
            return f"It was tried before, and this is what came of it; avoid that:\n{reason}"
        return f"What was missing before: {why}" if why else ""

    def failure(self) -> str:
        """Which steps failed, how often, and why."""
        parts = []
        for step in self.plan:
            attempts = self._attempts[step["id"]]
            if attempts and attempts[-1]["status"] == "failed":
                reason = shorten(attempts[-1]["observation"], _REASON_CHARS)
                times = f"{len(attempts)} times" if len(attempts) > 1 else "once"
                parts.append(f"Step {step['id']} ({step['task']}) failed {times}: {reason}")
        return "\n".join(parts)

    def _status(self, step_id: str) -> StepStatus | None:
        attempts = self._attempts.get(step_id)
        return attempts[-1]["status"] if attempts else None

    def _is_ready(self, step: PlanStep) -> bool:
        status = self._status(step["id"])
        if status == "failed":
            return self._may_be_tried_again(step["id"])
        ended = ("done", "thought")
        return (
            status is None
            and all(self._status(need) in ended for need in step["depends_on"])
            and all(self._is_over(before) for before in step["after"])
        )

    def _is_over(self, step_id: str) -> bool:
        return self._status(step_id) in ("done", "thought") or self._has_fallen(step_id)

    def _may_be_tried_again(self, step_id: str) -> bool:
        return len(self._attempts[step_id]) < TRIES and not self.gives_up

    def _has_fallen(self, step_id: str) -> bool:
        status = self._status(step_id)
        if status == "failed":
            return not self._may_be_tried_again(step_id)
        return status == "skipped"


def repeated_steps(steps: Sequence[PlanStep], done: Sequence[DoneStep]) -> set[str]:
    """Ids of the steps that ask for exactly what an earlier plan's step has done."""
    known = {(entry["tool"], *entry["task"].split()) for entry in done if entry["status"] == "done"}
    return {step["id"] for step in steps if (step["tool"], *step["task"].split()) in known}
