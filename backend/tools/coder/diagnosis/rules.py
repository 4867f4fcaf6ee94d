"""The order in which the rules are asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from backend.tools.coder.diagnosis import data, environment, hints, limits, outcome, python, shell
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of
from backend.types import ExecutionResult, Language

_Rule = Callable[[Case], Diagnosis | None]

_RULES: Sequence[_Rule] = (
    outcome.refused,
    outcome.tests,
    limits.stopped,
    outcome.ran,
    shell.complained,
    limits.out_of_memory,
    python.no_python,
    environment.no_module,
    environment.no_network,
    environment.nobody_types,
    environment.not_allowed,
    python.no_member,
    python.no_name,
    data.no_column,
    data.no_file,
    data.no_table,
    data.unreadable,
    data.not_convertible,
    python.no_key,
    hints.known,
    python.own_assertion,
    outcome.left,
)
"""The first that knows what it was has said it; what is more particular comes before the rest."""


def diagnose(
    result: ExecutionResult,
    *,
    code: str,
    facts: Sequence[Mapping[str, Any]] = (),
    installed: Collection[str] | None = None,
    language: Language = "python",
    shortfall: str = "",
    failed_tests: Sequence[str] = (),
) -> Diagnosis:
    """Say what went wrong with a run, why, and what to do.

    Args:
        result: the run; one that succeeded, too, where its output is not what was asked for.
        code: the program.
        facts: what was found in its input files (see ``describe_files``).
        installed: import names of the packages that programs have; None if that is not known.
        language: what the program is written in.
        shortfall: why the output of a program that ran does not answer the request.
        failed_tests: what failed of the tests, one text each.
    """
    case = Case(
        result=result,
        code=code,
        language=language,
        facts=facts,
        installed=installed,
        shortfall=shortfall,
        failed_tests=failed_tests,
    )
    return next(filter(None, (rule(case) for rule in _RULES)), None) or _unknown(case)


def _unknown(case: Case) -> Diagnosis:
    what = f"{case.type}: {case.message}".rstrip(": ") if case.failure else ""
    said = what or case.last_line
    status = f"It ended with exit status {case.result.returncode}"
    return Diagnosis(
        kind="runtime",
        root_cause=f"{status}: {said[:500]}" if said else f"{status} and said nothing.",
        signature=signature_of("runtime", case),
        certain=False,
    )
