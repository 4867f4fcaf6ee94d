"""The step with the tests: the caller's own, and those that the model writes where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime

from backend.errors import BudgetExceeded, ModelError, ModelUnavailable
from backend.prompts.texts import list_facts
from backend.store.told import told_what
from backend.tools.coder.diagnosis import Diagnosis
from backend.tools.coder.heal import after_treatment, treat
from backend.tools.coder.proof.judging import Judgement, Mistake, drop_mistakes, judge
from backend.tools.coder.proof.testing import TestReport, report_of, run_tests
from backend.tools.coder.proof.texts_of_tests import SuiteText
from backend.tools.coder.proof.writing_tests import write_tests
from backend.tools.coder.state import CoderContext, CoderState, result_of, updated
from backend.tools.coder.task import options_of
from backend.types import Event, ModelCall


def wants_tests(state: CoderState) -> bool:
    """Whether a program that ran well has to pass tests as well."""
    options = state["options"]
    if options["skip_tests"] or state["language"] != "python":
        return False
    return bool(state["tests"]) or options["write_tests"]


async def test(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Run the tests; a mistake of the program's is repaired, one of a written test's is mended.

    What the caller's tests expect is the bar: they are never changed, dropped or outvoted.
    """
    started = time.monotonic()
    work = _Testing(state, runtime.context)
    update = await work.run()
    return update | {"timings": {"verification_s": time.monotonic() - started}}


async def after_test(
    state: CoderState, runtime: Runtime[CoderContext]
) -> Literal["assess", "repair", "check", "install", "diagnose", "__end__"]:
    """Judge the output of a program that passed, treat the others."""
    if state["success"]:
        return "assess" if runtime.context.assess else "__end__"
    return await after_treatment(state)


class _Testing:
    """One visit to the step."""

    def __init__(self, state: CoderState, deps: CoderContext) -> None:
        self._state = state
        self._deps = deps
        self._agreed = options_of(state["options"]).agreed(deps.inputs)
        self._tests = [SuiteText(by=each["by"], source=each["source"]) for each in state["tests"]]
        self._calls: list[ModelCall] = []
        self._remarks: list[str] = []
        self._reports: list[TestReport] = []

    async def run(self) -> dict[str, Any]:
        if self._is_to_write():
            await self._write(())
        judgement = await self._judged()
        if judgement is not None and judgement.mistakes:
            await self._mend(judgement.mistakes)
            judgement = await self._judged()
            if judgement is not None and judgement.mistakes:
                self._drop(judgement.mistakes)
                judgement = await self._judged()
        update: dict[str, Any] = {
            "tests": [dict(each) for each in self._tests],
            "test_reports": [report.as_dict() for report in self._reports],
            "calls": self._calls,
            "remarks": self._remarks,
        }
        if judgement is None or judgement.verdict in ("passed", "test_at_fault"):
            return update
        state = updated(self._state, update)
        result = result_of(state["attempts"][-1])
        return update | await treat(state, self._deps, result, _failed(judgement))

    def _is_to_write(self) -> bool:
        wanted: bool = self._state["options"]["write_tests"]
        # Once: whatever was dropped of them since was wrong.
        return wanted and not self._state["test_reports"] and self._may_write()

    def _may_write(self) -> bool:
        """Written tests are programs, too: where each is asked about, there are none."""
        if self._deps.approvals.mode != "always":
            return True
        remark = "No tests were written: programs run here when they are approved."
        if remark not in self._state["remarks"]:
            self._remarks.append(remark)
        return False

    async def _judged(self) -> Judgement | None:
        """What the tests say; None where there are none."""
        if not self._tests:
            return None
        state, deps = self._state, self._deps
        deps.emit(Event(kind="run", text="Running the tests"))
        report = await run_tests(
            deps.engine,
            state["code"],
            self._tests,
            files=deps.files,
            variables=deps.inputs,
        )
        earlier = [report_of(each) for each in state["test_reports"]] + self._reports
        self._reports.append(report)
        counts = ", ".join(f"{number} {name}" for name, number in report.counts().items() if number)
        deps.emit(Event(kind="output", text=counts or report.trouble, data=report.as_dict()))
        return judge(
            report,
            self._tests,
            declared=self._agreed.outputs.names,
            checks=self._agreed.constraints.checks,
            earlier=earlier,
        )

    async def _mend(self, mistakes: Sequence[Mistake]) -> None:
        """Let the model write its wrong tests anew; without an answer they are dropped."""
        kept = [each for each in self._tests if each["by"] == "caller"]
        before = self._tests
        self._tests = kept
        if not await self._write(mistakes):
            self._tests = before
            self._drop(mistakes)
            return
        self._note("written anew", mistakes)

    async def _is_risky(self, tests: str) -> bool:
        needed = await self._deps.approvals.needed(tests, "python", list(self._state["files"]))
        return needed is not None

    def _drop(self, mistakes: Sequence[Mistake]) -> None:
        self._tests, dropped = drop_mistakes(self._tests, mistakes)
        self._note("dropped", dropped)

    def _note(self, done: str, mistakes: Sequence[Mistake]) -> None:
        for each in mistakes:
            name = each.function or "the tests as a whole"
            self._remarks.append(f"Of the written tests, {name} was {done}: {each.why}.")

    async def _write(self, mistakes: Sequence[Mistake]) -> bool:
        state, agreed = self._state, self._agreed
        try:
            asked = await write_tests(
                self._deps.model,
                request=state["request"],
                code=state["code"],
                outputs=agreed.outputs.describe(),
                constraints=agreed.constraints.describe(),
                files=list_facts(state["facts"]),
                tests=self._tests,
                mistakes=mistakes,
            )
        except (BudgetExceeded, ModelError, ModelUnavailable) as error:
            self._calls += error.calls
            self._remarks.append(f"No tests were written: {told_what(error)}")
            return False
        self._calls += asked.calls
        if asked.value is None:
            self._remarks.append(f"No tests were written: {asked.reason}.")
            return False
        if await self._is_risky(asked.value):
            self._remarks.append("The written tests were left out: they would need an approval.")
            return False
        self._tests.append(SuiteText(by="model", source=asked.value))
        self._deps.emit(Event(kind="code", text=asked.value, data={"tests": True}))
        return True


def _failed(judgement: Judgement) -> Diagnosis:
    head, *others = judgement.problem.splitlines()
    return Diagnosis(
        kind="test",
        root_cause=judgement.problem,
        advice=("Mend the program, not the expectation.",),
        signature=f"test: {len(others)}: {head[:60]}",
    )
