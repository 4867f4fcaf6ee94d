"""A failed run as a model is told of it: what, why, where, with which values, and what it printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.prompts.texts import shorten
from backend.tools.coder.diagnosis.case import Case, Diagnosis, shell_line
from backend.types import ExecutionResult, FailureFrame, Language

_CHARS = 2400
_ERROR_CHARS = 500
_CAUSE_CHARS = 700
_ADVICE_CHARS = 250
_MOST_ADVICE = 5
_WHERE_CHARS = 1000
_PRINTED_CHARS = 500
_LINE_CHARS = 160
_VALUE_CHARS = 300
_AROUND = 2
_MOST_FRAMES = 4


def describe(
    diagnosis: Diagnosis,
    result: ExecutionResult,
    code: str,
    *,
    language: Language = "python",
) -> str:
    """What went wrong in at most some 2,500 characters; its first line is the error itself.

    Args:
        diagnosis: what was found.
        result: the run.
        code: the program.
        language: what it is written in.
    """
    case = Case(result=result, code=code, language=language)
    error = shorten(error_of(case, diagnosis), _ERROR_CHARS)
    parts = [error]
    cause = diagnosis.root_cause.strip()
    if cause and cause not in error:
        parts.append(f"Cause: {shorten(cause, _CAUSE_CHARS)}")
    advice = [each for each in diagnosis.advice if each.strip()][:_MOST_ADVICE]
    parts += [f"- {shorten(each, _ADVICE_CHARS)}" for each in advice]
    if where := "\n".join(_where(case)):
        parts.append(f"Where it was:\n{shorten(where, _WHERE_CHARS)}")
    if result.notes:
        parts.append(shorten(" ".join(result.notes), _ADVICE_CHARS))
    if printed := result.stdout.strip():
        room = max(_CHARS - sum(len(part) + 1 for part in parts) - 120, _PRINTED_CHARS)
        head = "It printed:" if result.success else "It printed before that:"
        parts.append(f"{head}\n{shorten(printed, min(room, _PRINTED_CHARS * 2))}")
    return shorten("\n".join(parts), _CHARS)


def error_of(case: Case, diagnosis: Diagnosis) -> str:
    """The shortest form of what happened, in one line or a few."""
    by = case.result.stopped_by
    if by in ("killed", "cancelled"):
        return f"It was ended from outside ({by})."
    if by:
        return f"It was stopped by the {by} limit."
    if case.failure is not None:
        return f"{case.failure.type}: {case.failure.message}".removesuffix(": ")
    if case.result.success or case.result.returncode is None:
        return diagnosis.root_cause
    return case.last_line or f"It ended with exit status {case.result.returncode}."


def _where(case: Case) -> Iterator[str]:
    lines = case.code.splitlines()
    if case.language == "bash":
        number = None if case.result.success else shell_line(case.stderr)
        yield from _around(lines, number) if number else ()
        return
    frames = case.failure.frames if case.failure else ()
    for frame in _chosen(frames):
        yield from _frame(frame, lines, is_last=frame is frames[-1])


def _chosen(frames: Sequence[FailureFrame]) -> list[FailureFrame]:
    """The outermost and the innermost ones; of a recursion, each line once."""
    once = {(frame.line, frame.function): frame for frame in frames}
    kept = list(once.values())
    return kept if len(kept) <= _MOST_FRAMES else [kept[0], *kept[1 - _MOST_FRAMES :]]


def _frame(frame: FailureFrame, lines: Sequence[str], *, is_last: bool) -> Iterator[str]:
    is_ours = 0 < frame.line <= len(lines) and lines[frame.line - 1].strip() == frame.source
    if frame.function != "<module>":
        yield f"in {frame.function}:"
    if is_ours:
        yield from _around(lines, frame.line, _AROUND if is_last else 0)
    else:
        yield f"> {frame.line:>4} | {frame.source[:_LINE_CHARS]}"
    for name, text in frame.variables.items():
        yield f"         {name} = {text[:_VALUE_CHARS]}"


def _around(lines: Sequence[str], number: int, around: int = _AROUND) -> Iterator[str]:
    first, last = max(1, number - around), min(len(lines), number + around // 2)
    for each in range(first, last + 1):
        marker = ">" if each == number else " "
        yield f"{marker} {each:>4} | {lines[each - 1][:_LINE_CHARS]}"
