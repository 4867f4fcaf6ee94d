"""Bash scripts, by what they leave on stderr and by their exit status."""

from __future__ import annotations

import re

from backend.sandbox.policy.nearest import nearest
from backend.tools.coder.diagnosis.case import Case, Diagnosis, shell_line
from backend.tools.coder.diagnosis.data import missing_file
from backend.types import DiagnosisKind

_NO_COMMAND = re.compile(r"(?:^|: )([^\s:]+): command not found", re.MULTILINE)
_NO_FILE = re.compile(
    r"(?:cannot (?:open|access|stat) )?'?([^\s':]+)'?:? No such file or directory"
)
_UNBOUND = re.compile(r"([^\s:]+): unbound variable")
_SYNTAX = re.compile(r"syntax error|unexpected EOF|unexpected end of file")
_NETWORK = re.compile(
    r"[Cc]ould not resolve|Temporary failure in name resolution|Network is unreachable|unable to resolve"
)
_READ_ONLY = re.compile(r"Read-only file system")
_DENIED = re.compile(r"Permission denied|Operation not permitted|cannot execute|Is a directory")
_COMMANDS = (
    "awk basename bash bc cat chmod comm cp csplit cut date dd df diff dirname du echo env expand "
    "expr false file find fold grep gunzip gzip head id join less ls md5sum mkdir mktemp mv nl od "
    "paste printf pwd python3 readlink realpath rev rm rmdir sed seq sha256sum shuf sleep sort "
    "split stat sum tac tail tar tee test touch tr true truncate uniq unzip wc which xargs yes zip"
).split()


def complained(case: Case) -> Diagnosis | None:
    """What a script's shell, or a command in it, said last."""
    if case.language != "bash" or case.result.success:
        return None
    stderr, last = case.stderr, case.last_line
    if found := _NO_COMMAND.search(stderr):
        return _no_command(found[1])
    if _SYNTAX.search(stderr):
        return _said(
            "syntax",
            f"The script is no Bash{_where(case)}: {last}",
            "Close every quote, if, for, while, case and bracket.",
            about="syntax",
        )
    if found := _UNBOUND.search(stderr):
        return _said(
            "runtime",
            f"The variable {found[1]!r} has no value.",
            f"Give it one, or write ${{{found[1]}:-}}.",
            about=f"unbound {found[1]}",
        )
    if _NETWORK.search(stderr):
        return _said(
            "environment",
            "It wants to reach the network, which programs here do not have.",
            "Read the input files in the working directory.",
            about="network",
        )
    if _READ_ONLY.search(stderr):
        return _said(
            "environment",
            f"It writes where it may not: {last}",
            "Write to a new name in the working directory; input files cannot be changed.",
            about="read-only",
        )
    if found := _NO_FILE.search(stderr):
        return missing_file(case, found[1])
    if case.result.returncode == 126 or _DENIED.search(stderr):
        return _said(
            "environment",
            f"It may not do that: {last}",
            "Run a script with bash NAME, and do without other rights.",
            about="denied",
        )
    return _by_status(case, last)


def _where(case: Case) -> str:
    line = shell_line(case.stderr)
    return f" in line {line}" if line else ""


def _no_command(name: str) -> Diagnosis:
    near = nearest(name, _COMMANDS, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return _said(
        "environment",
        f"There is no command {name!r}.{meant}",
        f"Use {near[0]!r}."
        if near
        else "Use coreutils, grep, sed and awk; nothing can be installed.",
        about=f"command {name}",
    )


def _by_status(case: Case, last: str) -> Diagnosis:
    status = case.result.returncode
    if not last:
        cause = f"A command ended with exit status {status} and said nothing."
        advice = (
            "grep does so where it finds nothing, and test where it does not hold: add || true."
        )
        return _said("runtime", cause, advice, about=f"status {status}", certain=status == 1)
    return _said(
        "runtime",
        f"It ended with exit status {status}: {last[:300]}",
        "",
        about=_program_of(last),
        certain=False,
    )


def _program_of(line: str) -> str:
    return re.sub(r"\d+", "#", line.partition(": ")[0])[:60] or "a command"


def _said(
    kind: DiagnosisKind, cause: str, advice: str, *, about: str, certain: bool = True
) -> Diagnosis:
    return Diagnosis(
        kind=kind,
        root_cause=cause,
        advice=(advice,) if advice else (),
        signature=f"{kind}: bash {about}",
        certain=certain,
    )
