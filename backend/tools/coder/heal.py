"""What follows a run that did not do what it should: the cause, and the way to go on.

A rule mends what it can for certain; a package that lacks is installed where that is allowed; else
the model repairs, told of the cause, and in another way each time the same failure comes again.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

from langgraph.runtime import Runtime

from backend.errors import BudgetExceeded, ModelError, ModelUnavailable
from backend.foreign_code import in_turn
from backend.llm.asking import ask
from backend.prompts.texts import OBSERVATION_CHARS, list_facts, list_former, shorten
from backend.sandbox.fixes import Fixed, known_files
from backend.sandbox.packages import missing_module
from backend.tools.coder.approve import approve_install
from backend.tools.coder.diagnosis import (
    DIAGNOSIS_SCHEMA,
    Diagnosis,
    describe,
    diagnose,
    needs_model,
    read_diagnosis,
    with_reply,
)
from backend.tools.coder.state import (
    Attempt,
    CoderContext,
    CoderState,
    Diagnosed,
    Former,
    files_at_hand,
    retries_of,
    updated,
)
from backend.tools.coder.strategies import Strategy, seen_before, strategy
from backend.types import Event, ExecutionResult

Step = Literal["", "repair", "check", "install", "diagnose"]
"""Where to go from a failed run; '' for the end."""


async def find_cause(
    state: CoderState, deps: CoderContext, result: ExecutionResult, shortfall: str = ""
) -> Diagnosis:
    """Say by rule why a run did not do what it should.

    Args:
        state: the program is the one in it.
        deps: what the steps work with.
        result: the run.
        shortfall: why the output of a program that ran is not what was asked for.
    """
    return await in_turn(
        state["code"],
        lambda: diagnose(
            result,
            code=state["code"],
            facts=state["facts"],
            installed=deps.engine.installed,
            language=state["language"],
            shortfall=shortfall,
        ),
    )


def tell(state: CoderState, found: Diagnosis, result: ExecutionResult) -> str:
    """A failed run as a model and a person are told of it; the error is its first line."""
    return describe(found, result, state["code"], language=state["language"])


async def treat(
    state: CoderState, deps: CoderContext, result: ExecutionResult, found: Diagnosis
) -> dict[str, Any]:
    """Choose how to go on after a run that did not do what it should.

    Args:
        state: the run's attempt is the last one in it.
        deps: what the steps work with.
        result: the run.
        found: its diagnosis.
    """
    if deps.session is not None:
        # Whatever comes next begins with what this one began with.
        await deps.session.take_back()
    update = _failed(tell(state, found, result))
    state = updated(state, update)
    if state["repairs"] >= retries_of(state, deps):
        return update | {"step": "", "attempts": _noted(state, found, "no repair is left")}
    fixed = await in_turn(state["code"], lambda: _mend(state, deps, result))
    if fixed is not None:
        return update | _mended(state, deps, found, fixed)
    if needs_model(found, state["former"]):
        return update | {"step": "diagnose", "attempts": _noted(state, found, "")}
    return update | _go_on(state, deps, found)


def _failed(problem: str) -> dict[str, Any]:
    return {"problem": problem, "success": False, "error": problem, "error_kind": "program"}


def _go_on(state: CoderState, deps: CoderContext, found: Diagnosis) -> dict[str, Any]:
    chosen = strategy(found, state["former"])
    step = _step(state, deps, chosen, found)
    told = chosen.instruction
    if again := _said_again(state):
        told = f"{again} {told}"
    return {
        "step": step,
        "instruction": told,
        "fresh": chosen.fresh,
        "packages": [*state["packages"], *found.packages],
        "attempts": _noted(state, found, told if step else "given up: " + told),
    }


def _said_again(state: CoderState) -> str:
    if state["phase"] != "repair":
        return ""
    if state["unchanged"]:
        return "Your last repair changed nothing."
    number = seen_before(state["code"], state["former"], language=state["language"])
    return "" if number is None else f"Your last repair was attempt {number + 1} again."


def _step(state: CoderState, deps: CoderContext, chosen: Strategy, found: Diagnosis) -> Step:
    match chosen.action:
        case "end":
            return ""
        case "install":
            tried = set(found.packages) <= set(state["packages"])
            return "repair" if tried or deps.engine.packages is None else "install"
    return "repair"


def _noted(
    state: CoderState, found: Diagnosis, done: str, by: Literal["rule", "model"] = "rule"
) -> list[Attempt]:
    """The attempts, the last one with its diagnosis."""
    diagnosed: Diagnosed = {
        "kind": found.kind,
        "root_cause": found.root_cause,
        "advice": list(found.advice),
        "packages": list(found.packages),
        "signature": found.signature,
        "certain": found.certain,
        "by": by,
        "strategy": done,
    }
    *before, last = state["attempts"]
    error = state["problem"] if last["error"] is None else last["error"]
    return [*before, {**last, "diagnosis": diagnosed, "error": error.partition("\n")[0] or None}]


# --- by rule


def _mend(state: CoderState, deps: CoderContext, result: ExecutionResult) -> Fixed | None:
    if result.success or state["language"] != "python":
        return None
    wrong = result.failure or result.stderr
    if not wrong:
        return None
    files = files_at_hand(state, deps)
    known = known_files(files, state["facts"])
    return deps.engine.fix(state["code"], wrong, files, known=known, names=deps.names)


def _mended(
    state: CoderState, deps: CoderContext, found: Diagnosis, fixed: Fixed
) -> dict[str, Any]:
    change = "; ".join(fixed.changes)
    iteration = state["iteration"] + 1
    deps.emit(Event(kind="repair", text=f"Mended by rule: {change}"))
    deps.emit(Event(kind="code", text=fixed.code, data={"iteration": iteration}))
    former: Former = {
        "code": state["code"],
        "diagnosis": state["problem"],
        "signature": found.signature,
    }
    return {
        "step": "check",
        "code": fixed.code,
        "iteration": iteration,
        "phase": "repair",
        "unchanged": False,
        "rewrites": 0,
        "repairs": state["repairs"] + 1,
        "former": [former],
        "attempts": _noted(state, found, f"mended by rule: {change}"),
    }


# --- a package


async def install(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Install what the program lacks, if the operator allows it; else the model does without."""
    deps = runtime.context
    installer = deps.engine.packages
    assert installer is not None, "the way here is over an installer"
    started = time.monotonic()
    modules = [name.removesuffix(".py") for name in state["files"]]
    lacking = await asyncio.to_thread(installer.missing, state["code"], modules)
    names = list(dict.fromkeys([*filter(None, [missing_module(state["problem"])]), *lacking]))
    deps.emit(Event(kind="repair", text=f"Looking for {', '.join(names)}"))
    if refused := await approve_install(deps, names):
        return refused
    done = await installer.install(names)
    update: dict[str, Any] = {
        "installed": list(done.distributions),
        "timings": {"installation_s": time.monotonic() - started},
    }
    if done.names and not done.refused:
        deps.emit(Event(kind="repair", text=f"Installed {', '.join(done.distributions)}"))
        return update | {"step": "run"}
    # The operator reads of it in the notes; the model has the strategy's instruction.
    why = " ".join(done.refused.values())
    deps.emit(Event(kind="repair", text=why))
    return update | {"step": "repair", "remarks": [why]}


async def after_install(state: CoderState) -> Literal["run", "repair", "__end__"]:
    """Run the same program again, where it has what it lacked; end where that was refused."""
    match state["step"]:
        case "run" | "repair" as step:
            return step
    return "__end__"


# --- by a model


async def diagnose_by_model(state: CoderState, runtime: Runtime[CoderContext]) -> dict[str, Any]:
    """Ask the model for the cause that no rule knows; without an opinion the rules' word stands."""
    deps = runtime.context
    started = time.monotonic()
    last = state["attempts"][-1]
    noted = last["diagnosis"]
    assert noted is not None, "the way here is over a diagnosis"
    found = Diagnosis(
        kind=noted["kind"],
        root_cause=noted["root_cause"],
        advice=tuple(noted["advice"]),
        packages=tuple(noted["packages"]),
        signature=noted["signature"],
        certain=noted["certain"],
    )
    values = {
        "request": state["request"],
        "files": list_facts(state["facts"]),
        "variables": deps.variables_text(state["language"]),
        "attempts": list_former(state["former"], state["language"]),
        "language": state["language"],
        "code": state["code"],
        "error": shorten(state["problem"], OBSERVATION_CHARS),
        "output": shorten(last["stdout"], OBSERVATION_CHARS),
    }
    opinion, calls = None, []
    try:
        asked = await ask(
            deps.model, "diagnose", values, read_diagnosis, schema=DIAGNOSIS_SCHEMA, **deps.sampling
        )
        opinion, calls = asked.value, asked.calls
    except (BudgetExceeded, ModelError, ModelUnavailable) as error:
        calls = list(error.calls)
    found = with_reply(found, opinion)
    update = _go_on(state, deps, found)
    update["attempts"][-1]["diagnosis"]["by"] = "model" if opinion else "rule"
    if opinion:
        said = "\n".join([found.root_cause, *(f"- {each}" for each in found.advice)])
        update["problem"] = f"{state['problem']}\nThe cause, on a closer look: {said}"
        deps.emit(Event(kind="repair", text=f"The cause: {found.root_cause}"))
    return update | {"calls": calls, "timings": {"improvement_s": time.monotonic() - started}}


async def after_treatment(
    state: CoderState,
) -> Literal["repair", "check", "install", "diagnose", "__end__"]:
    """The way that was chosen."""
    match state["step"]:
        case "repair" | "check" | "install" | "diagnose" as step:
            return step
    return "__end__"
