"""What the tools found out, in words: for the next step, for the answer, and for the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backend.prompts.fences import fenced
from backend.prompts.texts import describe_output, shorten

StepFinding = Mapping[str, Any]
"""What came of a step: the documented dict of ``python_coder``, or another tool's result, each
with ``step`` (the step's id) and ``task`` (what the tool was given)."""

MACHINERY = frozenset(("sandbox", "disabled", "model", "budget"))
"""Kinds of error that no model can mend by answering something else."""

_CODE_CHARS = 2000
_TASK_CHARS = 1500


def findings_of(state: Mapping[str, Any]) -> list[StepFinding]:
    """The last finding of each step, in the order in which the steps were first done."""
    found = {
        each["step"]: each for each in (*state["python_coder_results"], *state["tool_results"])
    }
    done = dict.fromkeys(step["id"] for step in state["steps"])
    return [found[step_id] for step_id in done if step_id in found]


def has_run(findings: Sequence[StepFinding]) -> bool:
    """Whether anything was found out by a program."""
    return any(each.get("isolation") is not None or "code" in each for each in findings)


def describe(finding: StepFinding) -> str:
    """What a step came to, as an observation: what was printed whole up to 6 KB."""
    if "text" in finding:
        return str(finding["text"])
    if not finding["success"]:
        printed = finding["output"].strip()
        before = f"\nIt printed before that:\n{shorten(printed, 2000)}" if printed else ""
        return f"It failed: {shorten(finding['error'] or 'no reason is known', 3000)}{before}"
    files = [entry["name"] for entry in finding["artifacts"]]
    return describe_output(finding["output"], finding.get("value"), files)


def list_findings(findings: Sequence[StepFinding]) -> str:
    """Every finding with its program or its input, and what it came to."""
    return "\n\n".join(_entry(each) for each in findings)


def _entry(finding: StepFinding) -> str:
    head = f"Result of {finding['step']}"
    if "text" in finding:
        given = shorten(finding["task"], _TASK_CHARS)
        return f"{head} ({finding['tool']})\n{fenced(given, '')}\n{describe(finding)}"
    program = fenced(shorten(finding["code"], _CODE_CHARS), finding["language"])
    return f"{head}\n{program}\n{describe(finding)}"


def last_words(findings: Sequence[StepFinding], why: str) -> str:
    """An answer made by rule from what was found out, when the model gives none."""
    good = [finding for finding in findings if finding["success"]]
    if not good:
        tried = f" The last attempt failed: {reason_of(findings[-1])}" if findings else ""
        return f"The request could not be answered: {why}{tried}"
    shown = "\n\n".join(describe(finding) for finding in good)
    source = "the program" if all("code" in finding for finding in good) else "the tools"
    return f"{why} This is what {source} printed:\n\n{shown}"


def reason_of(finding: StepFinding) -> str:
    """Why it failed, in words."""
    return str(finding["text"] if "text" in finding else finding["error"] or "no reason is known")


def seconds_of(finding: StepFinding) -> float:
    """How long it took, model calls included."""
    seconds: float = finding["duration_s"] if "text" in finding else finding["timings"]["total_s"]
    return seconds


def failure_mark(finding: StepFinding) -> str:
    """The same for the same failure, whatever its line numbers and values; '' for a success."""
    if finding["success"]:
        return ""
    attempts = finding.get("attempts") or [{}]
    diagnosis = attempts[-1].get("diagnosis")
    if diagnosis:
        return str(diagnosis["signature"])
    words = " ".join(reason_of(finding).split())[:300]
    return re.sub(r"\d+", "0", words)
