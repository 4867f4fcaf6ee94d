"""The account at the end: where the files are, and what the answer took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.cli.output import one_line, size_text

if TYPE_CHECKING:
    from backend.core.requests import Answer
    from backend.types import ExecutionResult, Isolation
    from backend.usage import UsageTotals

_SHOWN_FILES = 12


def files_line(names: Sequence[str], written: Sequence[Path], folder: Path | None) -> str:
    """One line about the files that were made; '' when there are none.

    Args:
        names: as the programs gave them.
        written: where they were put, when they were.
        folder: where they were put; None when nowhere.
    """
    if not names:
        return ""
    if folder is not None:
        shown = ", ".join(str(path.relative_to(folder)) for path in written[:_SHOWN_FILES])
        return f"Files in {folder}: {shown}{_more(written)}"
    shown = ", ".join(names[:_SHOWN_FILES])
    count = "1 file was" if len(names) == 1 else f"{len(names)} files were"
    return f"{count} made ({shown}{_more(names)}); with -o DIR they are written to a folder."


def _more(entries: Sequence[object]) -> str:
    left = len(entries) - _SHOWN_FILES
    return f" and {left} more" if left > 0 else ""


def answer_line(answer: Answer) -> str:
    """Agent, model, calls, tokens, seconds and walls of an answer."""
    taken = _taken([answer.model], answer.usage, answer.timings)
    known = {"cached": answer.cached, "resumed": answer.resumed, "run_id": answer.run_id}
    return ", ".join(
        [f"agent {answer.agent}", *taken, walls_text(answer.isolation), *_from_record(known)]
    )


def task_line(result: Mapping[str, Any]) -> str:
    """Model, calls, tokens, seconds and walls of a task's result."""
    from backend.types import Isolation

    known = result["isolation"]
    isolation = Isolation(**{**known, "walls": tuple(known["walls"])}) if known else None
    models = list(dict.fromkeys(call["model"] for call in result["calls"]))
    taken = _taken(models, result["usage"], result["timings"])
    return ", ".join([*taken, walls_text(isolation), *_from_record(result)])


def _from_record(known: Mapping[str, Any]) -> list[str]:
    if known.get("cached"):
        return [f"known from {known['run_id']} (--no-cache asks anew)"]
    return [f"{known['run_id']} gone on with"] if known.get("resumed") else []


def _taken(
    models: Sequence[str], usage: UsageTotals, timings: Mapping[str, float]
) -> Sequence[str]:
    shown = ["scripted (a recorded conversation)" if m == "scripted" else m for m in models]
    return [
        *(f"model {model}" for model in shown),
        "1 call" if usage["calls"] == 1 else f"{usage['calls']} calls",
        f"{usage['input_tokens']:,} + {usage['output_tokens']:,} tokens",
        f"{timings.get('total_s', 0.0):.1f} s",
    ]


def run_line(result: ExecutionResult) -> str:
    """How a program ended, and inside what."""
    if result.returncode is None and result.stopped_by is None:
        return "The program was not run: the static check refuses it (--no-check runs it all the same)."
    if result.stopped_by:
        ended = f"Stopped by the {result.stopped_by} limit"
    elif result.success:
        ended = "Done"
    else:
        ended = f"Ended with exit status {result.returncode}"
    cut = f", {' and '.join(result.truncated)} cut" if result.truncated else ""
    return f"{ended} after {result.duration_s:.2f} s{cut}, {walls_text(result.isolation)}"


def walls_text(isolation: Isolation | None) -> str:
    """Which sandbox it was, and how good."""
    if isolation is None:
        return "no program was run"
    return f"sandbox {isolation.executor}, tier {isolation.tier}"


def artifact_line(name: str, size: int) -> str:
    """A file as it is made."""
    return f"{one_line(name, 80)} ({size_text(size)})"
