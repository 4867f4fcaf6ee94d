"""Improving a program that is given: what it does now, what is asked, and whether that came of it."""

from __future__ import annotations

import math
import re
from typing import Any

from backend.prompts.texts import shorten
from backend.tools.coder.state import CoderContext, CoderState, Improvement, said_of
from backend.types import ExecutionRequest, ExecutionResult, Focus

RUNS = 3
"""The given program runs so often, the least time counts, and what differs from run to run is not
held against the improved one."""
_SHOWN_CHARS = 2000
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_TOLERANCE = 1e-6
"""Relative: another order of summing floats is no other result."""

_ASKED: dict[Focus, str] = {
    "fix": "Find what is wrong with this program and correct it. Change nothing else.",
    "optimise": (
        "Make this program faster: a better algorithm, vectorised operations, no work done twice. "
        "It has to print exactly what it prints now."
    ),
    "robustness": (
        "Make this program robust: missing and malformed values, empty inputs, wrong types and "
        "absent columns are handled with a clear message. With the present inputs it has to print "
        "exactly what it prints now."
    ),
}


async def _runs_of(
    code: str, state: CoderState, deps: CoderContext, *, check: bool
) -> list[ExecutionResult]:
    """Several runs, so that the times of two programs can be compared. One that fails runs once."""
    request = ExecutionRequest(
        code=code,
        language=state["language"],
        files=deps.files,
        variables=deps.inputs,
        checked=None if check else said_of(state),
    )
    results: list[ExecutionResult] = []
    for _ in range(RUNS):
        result = await deps.engine.execute(request, check=check)
        results.append(result)
        if not result.success or result.duration_s > deps.settings.timeout_s / RUNS:
            break
    return results


async def measure(state: CoderState, deps: CoderContext) -> dict[str, Any]:
    """Run the program to be improved as it is."""
    results = await _runs_of(state["options"]["code"], state, deps, check=True)
    first = results[0]
    outputs = {result.stdout for result in results}
    return {
        "success": all(result.success for result in results),
        "stdout": first.stdout,
        "error": _error(first),
        "steady": len(outputs) == 1,
        "duration_s": min(result.duration_s for result in results),
    }


def _error(result: ExecutionResult) -> str:
    if result.success:
        return ""
    if result.isolation is None:
        return "\n".join(issue.message for issue in result.issues)
    return "\n".join([*result.notes, result.stderr.strip()])


def improvement_asked(state: CoderState) -> str:
    """What the model is told of a program to work on; '' where there is none."""
    focus: Focus | None = state["options"]["focus"]
    if not state["options"]["code"]:
        return ""
    asked = _ASKED[focus] if focus else "Change it as far as the request asks for."
    baseline = state["baseline"]
    if baseline is None:
        return asked
    if not baseline["success"]:
        return f"{asked}\n\nAs it is, it fails:\n{shorten(baseline['error'], _SHOWN_CHARS)}"
    printed = shorten(baseline["stdout"].rstrip(), _SHOWN_CHARS) or "(nothing)"
    return f"{asked}\n\nAs it is, it takes {baseline['duration_s']:.3g} s and prints:\n{printed}"


async def improvement_of(
    state: CoderState, deps: CoderContext, result: ExecutionResult
) -> Improvement | None:
    """What a run of the new program says of the improvement; None where there was none asked.

    Its time is taken as the given program's was: that run may have handed out values as well.
    """
    baseline, focus = state["baseline"], state["options"]["focus"]
    if baseline is None or focus is None:
        return None
    same: bool | None = None
    if baseline["success"] and baseline["steady"] and result.success:
        same = same_output(baseline["stdout"], result.stdout)
    after_s: float | None = None
    if result.success and (same is not False or focus == "fix"):
        runs = await _runs_of(state["code"], state, deps, check=False)
        after_s = min((each.duration_s for each in runs if each.success), default=None)
    return {
        "focus": focus,
        "before_s": baseline["duration_s"],
        "after_s": after_s,
        "same_output": same,
    }


def shortcoming(improvement: Improvement | None, state: CoderState, printed: str) -> str:
    """Why the new program does not do what the given one did; '' when it does.

    A program that is to be fixed may well print something else.
    """
    if improvement is None or improvement["focus"] == "fix" or improvement["same_output"] is None:
        return ""
    if improvement["same_output"]:
        return ""
    baseline = state["baseline"] or {}
    return (
        "The output is not what the given program prints with the same inputs.\n"
        f"The given program prints:\n{shorten(baseline['stdout'].rstrip(), _SHOWN_CHARS)}\n"
        f"The new one prints:\n{shorten(printed.rstrip(), _SHOWN_CHARS)}"
    )


def same_output(left: str, right: str) -> bool:
    """Whether two outputs are the same text, numbers compared as numbers."""
    if left.split() == right.split():
        return True
    if _NUMBER.sub("#", left).split() != _NUMBER.sub("#", right).split():
        return False
    pairs = zip(_NUMBER.findall(left), _NUMBER.findall(right), strict=True)
    return all(
        math.isclose(float(a), float(b), rel_tol=_TOLERANCE, abs_tol=1e-12) for a, b in pairs
    )
