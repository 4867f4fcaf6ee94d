"""From what was seen of a run to its result."""

from __future__ import annotations

import os
import signal

from backend.sandbox.executors.local.capture import Capture
from backend.sandbox.executors.local.claims import (
    charts_of,
    failure_of,
    html_of,
    names_of,
    outputs_of,
    text_of,
)
from backend.sandbox.executors.local.report import Report
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import FLOOD_BYTES, MIB, VALUE_BYTES, Limits
from backend.types import ExecutionResult, Isolation, StoppedBy

_LEAST_CPU_S = 0.7
"""The limit is a whole number of seconds, counted roughly: less than this is under all of them."""
_BY_SIGNAL: dict[int, StoppedBy] = {
    signal.SIGXCPU: "cpu",
    signal.SIGXFSZ: "disk",
}
_BY_KEEPER: dict[str, StoppedBy] = {
    "memory": "memory",
    "processes": "processes",
    "disk": "disk",
    "cpu": "cpu",
}


def result_of(
    report: Report,
    stdout: Capture,
    stderr: Capture,
    ours: StoppedBy | None,
    duration_s: float,
    limits: Limits,
    isolation: Isolation,
) -> ExecutionResult:
    """The result of a run that has ended.

    Args:
        report: what the keeper saw.
        stdout: what was printed.
        stderr: what was printed there.
        ours: why the host stopped it, if it did.
        duration_s: seconds it took.
        limits: what it was allowed.
        isolation: the walls that stood.
    """
    stopped_by = _stopped_by(report, ours)
    returncode = os.waitstatus_to_exitcode(report.status) if report.ended else -signal.SIGKILL
    out, err = stdout.finish(), stderr.finish()
    cut = {"stdout": out.truncated, "stderr": err.truncated}
    notes = list(report.notes)
    if not report.done:
        notes.append("Not handed out: what there was no time left to read.")
    cut["artifacts"] = any("no regular files" not in note for note in notes)
    if stopped_by is not None:
        notes.insert(0, _sentence(stopped_by, returncode, limits))
    notes += _session_notes(report)
    # What was rolled back has not been done, whatever its exit status.
    success = returncode == 0 and stopped_by is None and not report.back
    asked = outputs_of(report.claims.get(wire.OUTPUTS) if success else None)
    return ExecutionResult(
        success=success,
        returncode=returncode,
        stdout=out.text,
        stderr=err.text,
        stopped_by=stopped_by,
        duration_s=duration_s,
        artifacts=tuple(report.artifacts),
        truncated=tuple(name for name, is_cut in cut.items() if is_cut),
        isolation=isolation,
        value=text_of(report.claims.get(wire.VALUE), VALUE_BYTES),
        html=html_of(report.claims.get(wire.HTML)),
        charts=charts_of(report.claims.get(wire.CHARTS)),
        failure=None if success else failure_of(report.claims.get(wire.FAILURE)),
        outputs=asked.values,
        checks=asked.checks,
        names=None if report.back else names_of(report.claims.get(wire.NAMES)),
        rolled_back=report.back,
        notes=tuple(notes),
    )


def _session_notes(report: Report) -> list[str]:
    if report.back and report.stays == "files":
        return [
            "The program's process did not come to its end, so the session was rolled back: its "
            "variables are as they were before this program. Its files are not: there are too many."
        ]
    if report.back:
        return [
            "The program's process did not come to its end, so the session was rolled back: its "
            "variables and files are as they were before this program."
        ]
    if report.lost:
        return [f"The session was lost with this program: {report.lost}. Open another one."]
    if report.stays == "files":
        return ["The session has too many files to be rolled back; its variables still can be."]
    if report.stays:
        return [
            f"{report.stays} threads of this session go on in the background. As long as they do, a "
            "program that is killed takes with it everything since before they were started."
        ]
    return []


def _stopped_by(report: Report, ours: StoppedBy | None) -> StoppedBy | None:
    if not report.ended:
        return ours or "killed"
    if ours == "memory":
        return ours  # the kernel has ended it
    if report.stopped == "host":
        return ours
    if report.stopped:
        return _BY_KEEPER.get(report.stopped, "killed")
    if os.WIFSIGNALED(report.status):
        reason = _BY_SIGNAL.get(os.WTERMSIG(report.status), "killed")
        # Anyone can send that signal to himself.
        return "killed" if reason == "cpu" and report.cpu_s < _LEAST_CPU_S else reason
    return None


def _sentence(stopped_by: StoppedBy, returncode: int, limits: Limits) -> str:
    sentences: dict[StoppedBy, str] = {
        "timeout": f"Stopped after {limits.timeout_s:g} s: make it faster, or raise the time-out "
        "(PYTHON_CODE_TIMEOUT).",
        "memory": f"Stopped above {limits.memory_mb} MB of memory: use less, or raise the limit "
        "(PYTHON_CODE_MAX_MEMORY).",
        "cpu": "Stopped at its limit of CPU seconds.",
        "processes": f"Stopped for starting processes without end; {limits.processes} at a time "
        "are allowed (PYTHON_CODE_MAX_PROCESSES).",
        "disk": f"Stopped for writing more than {limits.disk_mb} MB or too many files "
        "(PYTHON_CODE_MAX_DISK).",
        "output": f"Stopped after printing {FLOOD_BYTES // MIB} MB.",
        "killed": f"Ended by {_signal_name(returncode)}, which none of the limits sent.",
        "cancelled": "Cancelled.",
    }
    return sentences[stopped_by]


def _signal_name(returncode: int) -> str:
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
