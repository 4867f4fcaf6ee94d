"""Mending a program without asking a model, where there is exactly one way to do it.

Nothing is guessed: what is wrong is named by the static check or by the interpreter, what takes its
place is the only candidate, and the mended program is checked again before it is handed out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from backend.foreign_code import MAX_CODE_CHARS
from backend.sandbox.fixes.editing import mended, parsed
from backend.sandbox.fixes.failures import read_failure
from backend.sandbox.fixes.runtime import Failed, mendings_of
from backend.sandbox.fixes.texts import mended_text
from backend.sandbox.policy import blocking, examine
from backend.sandbox.policy.findings import Finding, Mending, NewImport, Surroundings
from backend.sandbox.policy.known import FileFormat, KnownFiles, known_files
from backend.sandbox.policy.walk import Program
from backend.types import Failure, Issue

__all__ = ["FileFormat", "Fixed", "KnownFiles", "fix", "known_files"]

_MAX_MENDINGS = 100
_LONE_RETURN = re.compile(r"\r(?!\n)")
"""The interpreter counts lines by it, too; whoever edits by lines would miss."""
_FORESEEN = ("missing_file", "missing_column", "undefined_name", "endless_loop", "input")
_SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A mended program."""

    code: str
    changes: tuple[str, ...]
    """What was changed, each a sentence without its full stop."""


def fix(
    code: str,
    wrong: Iterable[Issue] | Failure | str,
    *,
    known: KnownFiles | None = None,
    installed: Collection[str] | None = None,
    known_modules: Collection[str] = (),
    names: Collection[str] = (),
) -> Fixed | None:
    """Mend what is named wrong with a Python program, and nothing else.

    Args:
        code: the whole program.
        wrong: the issues of ``check`` before a run; or how a run failed: its ``Failure``, or what
            it said on stderr.
        known: the files in the working directory; None: nothing is known of any.
        installed: as in ``check``.
        known_modules: as in ``check``.
        names: as in ``check``.

    Returns:
        The mended program; None where nothing can be mended for certain.
    """
    if len(code) > MAX_CODE_CHARS or "\0" in code or _LONE_RETURN.search(code):
        return None
    around = Surroundings(
        known_modules=known_modules,
        files=None if known is None else known.files,
        columns=None if known is None else known.columns,
        installed=installed,
        names=names,
        foresee=True,
    )
    try:
        if isinstance(wrong, str | Failure):
            failure = read_failure(wrong)
            return None if failure is None else _after_run(code, failure, known, around)
        return _before_run(code, list(wrong), around)
    except RecursionError:  # nested deeply enough for the compiler, not for a walk over the tree
        return None


def _before_run(code: str, issues: list[Issue], around: Surroundings) -> Fixed | None:
    if any(issue.kind == "syntax" for issue in issues):
        return _readable(code, around)
    named = {(issue.kind, issue.line) for issue in issues}
    found = [each for each in examine(code, "python", around) if _is_certain(each)]
    mendings = [
        each.mending
        for each in found
        if each.mending and (each.issue.kind, each.issue.line) in named
    ]
    return _verified(code, mendings, around)


def _readable(code: str, around: Surroundings) -> Fixed | None:
    """The program as Python, and then what the check could not see before."""
    step = mended_text(code)
    if step is None:
        return None
    code, changes = step
    further = _before_run(code, [each.issue for each in examine(code, "python", around)], around)
    if further is None:
        return Fixed(code=code, changes=changes)
    return Fixed(code=further.code, changes=(*changes, *further.changes))


def _is_certain(found: Finding) -> bool:
    """An import that is lacking may be added where a name is only perhaps used, too."""
    lasting = isinstance(found.mending, NewImport) or found.issue.kind == "display"
    return lasting or found.issue.severity == "error"


def _after_run(
    code: str, failure: Failure, known: KnownFiles | None, around: Surroundings
) -> Fixed | None:
    if failure.type in _SYNTAX_ERRORS:
        return _readable(code, around)
    tree = parsed(code)
    if tree is None:
        return None
    findings = examine(code, "python", around)
    failed = Failed(Program(tree), failure, known or KnownFiles(files=()), findings)
    return _verified(code, mendings_of(failed), around)


def _verified(code: str, mendings: list[Mending], around: Surroundings) -> Fixed | None:
    """The mended program, if it is one and the check has nothing new against it."""
    if not mendings:
        return None
    new, changes = mended(code, mendings[:_MAX_MENDINGS])
    if new == code or parsed(new) is None:
        return None
    if _refused(new, around) - _refused(code, around):
        return None
    return Fixed(code=new, changes=changes)


def _refused(code: str, around: Surroundings) -> set[tuple[str, str]]:
    """What the check does not allow; what it foresees may only have come to light."""
    against = blocking(each.issue for each in examine(code, "python", around))
    return {(issue.kind, issue.message) for issue in against if issue.kind not in _FORESEEN}
