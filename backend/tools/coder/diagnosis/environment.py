"""Programs that need what is not there: a package, the network, a keyboard, a right."""

from __future__ import annotations

import re
import sys

from backend.sandbox.packages.names import distributions_for
from backend.sandbox.policy.imports import SAFE_PACKAGES
from backend.sandbox.policy.nearest import nearest
from backend.sandbox.policy.packages import alternatives, imported_as, is_package
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of

_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")
_NO_PACKAGE = re.compile(r"'([\w.]+)' is not a package")
_WANTS_PACKAGE = re.compile(
    r"(?:dependency '|tried using: '|install (?:the )?[`'\"]?|package [`'\"]|requires [`'\"]?)"
    r"([A-Za-z][\w-]*)"
)
_NO_PACKAGES_NAME = frozenset({"it", "one", "the", "this", "them", "a", "via", "or", "with", "pip"})
_NETWORK_TYPES = frozenset(
    "URLError HTTPError gaierror herror ConnectionError ConnectionRefusedError ConnectTimeout "
    "ConnectionResetError MaxRetryError NewConnectionError NameResolutionError SSLError ProxyError "
    "ConnectError ClientConnectorError RemoteDisconnected".split()
)
_NETWORK_WORDS = re.compile(
    r"name resolution|Name or service not known|Network is unreachable|getaddrinfo|"
    r"Could not resolve|Failed to resolve|urlopen error|Max retries exceeded"
)
_NETWORK_SOURCE = re.compile(r"\b(socket|requests|urllib|http|urlopen|connect|smtplib|ftplib)\b")
_COMMANDS = re.compile(r"subprocess|Popen|check_output|check_call|os\.exec|os\.spawn")
_SHOWN = 3
_CHAIN_CHARS = 4000


def no_module(case: Case) -> Diagnosis | None:
    """A package, or a part of one, is not there."""
    if case.type == "ModuleNotFoundError" and (found := _NO_MODULE.search(case.message)):
        return _missing(case, found[1])
    if case.type in ("ImportError", "ModuleNotFoundError", "ValueError") and (
        wanted := _WANTS_PACKAGE.search(case.message)
    ):
        name = wanted[1]
        if case.type != "ValueError" and name.lower() not in _NO_PACKAGES_NAME:
            return _lacking(case, name)
    return None


def _missing(case: Case, module: str) -> Diagnosis:
    top, _, rest = module.partition(".")
    is_there = top in sys.stdlib_module_names or top in (case.installed or ())
    if _NO_PACKAGE.search(case.message) or (rest and is_there):
        near = _near_part(case, top, rest)
        return _wrong_name(case, f"The package {top!r} has no part {rest or module!r}.{near}")
    proper = imported_as(top)
    if proper and proper != top and _has(case, proper.partition(".")[0]):
        return _wrong_name(case, f"There is no module {top!r}: it is imported as {proper!r}.")
    if near_names := _slips(case, top):
        return _wrong_name(case, f"There is no module {top!r}. Did you mean {near_names[0]!r}?")
    return _lacking(case, top)


def _has(case: Case, top: str) -> bool:
    return case.installed is None or top in case.installed or top in sys.stdlib_module_names


def _slips(case: Case, top: str) -> list[str]:
    """What was probably meant, where the name is nobody's."""
    if is_package(top):
        return []
    known = [name for name in SAFE_PACKAGES if _has(case, name)]
    return nearest(top, known, n=1)


def _near_part(case: Case, top: str, rest: str) -> str:
    parts = [
        each.removeprefix(f"{top}.") for each in case.installed or () if each.startswith(f"{top}.")
    ]
    near = nearest(rest, parts, n=1)
    return f" Did you mean {f'{top}.{near[0]}'!r}?" if near else ""


def _wrong_name(case: Case, cause: str) -> Diagnosis:
    return Diagnosis(
        kind="import",
        root_cause=cause,
        advice=("Correct the import.",),
        signature=signature_of("import", case),
    )


def _lacking(case: Case, top: str) -> Diagnosis:
    distribution = distributions_for(top)[0]
    instead = alternatives(top, case.installed)
    advice = "Use what is installed in its place"
    if instead:
        advice += f": {' or '.join(instead[:_SHOWN])}"
    return Diagnosis(
        kind="environment",
        root_cause=f"The package {top!r} is not installed.",
        advice=(f"{advice}.", "The program itself cannot install packages."),
        packages=(distribution,),
        signature=signature_of("environment", case, about=f"no package {distribution}"),
    )


def no_network(case: Case) -> Diagnosis | None:
    """It wanted to reach another machine."""
    if case.failure is None:
        return None
    chain = case.failure.message[:_CHAIN_CHARS]
    refused = case.type == "PermissionError" and case.frame is not None
    by_source = refused and _NETWORK_SOURCE.search(case.frame.source if case.frame else "")
    network = case.type in _NETWORK_TYPES or _NETWORK_WORDS.search(chain)
    if not (network or (by_source and "Errno 1]" in chain)):
        return None
    return Diagnosis(
        kind="environment",
        root_cause="It wants to reach the network, which programs here do not have.",
        advice=(
            "Read the data from the input files in the working directory.",
            "If the data is in none of them, say so with print() and end; do not invent it.",
        ),
        signature="environment: network",
    )


def nobody_types(case: Case) -> Diagnosis | None:
    """It waited for a keyboard."""
    if case.type != "EOFError" or "reading a line" not in case.message:
        return None
    return Diagnosis(
        kind="environment",
        root_cause="It waits for input(), and nobody types here.",
        advice=("Set the values in the program, or read them from an input file.",),
        signature="environment: input",
    )


def not_allowed(case: Case) -> Diagnosis | None:
    """It wanted to write where it may not, or to start what is not there."""
    if case.failure is None or case.type not in ("PermissionError", "OSError", "FileNotFoundError"):
        return None
    source = case.frame.source if case.frame else ""
    if _COMMANDS.search(source):
        cause = "It wants to start another program, which is not possible here."
        advice = "Do it in Python itself: pathlib and shutil for files, pandas for data."
        about = "command"
    elif case.type == "FileNotFoundError":
        return None
    elif "Read-only file system" in case.message or case.type == "PermissionError":
        cause = "It writes to a file that is read-only, or where programs may not write."
        advice = "Write to a new name in the working directory; input files cannot be changed."
        about = "read-only"
    elif "No space left" in case.message:
        cause, about = "There is no room left for what it writes.", "disk"
        advice = "Write less, and only results."
    else:
        return None
    return Diagnosis(
        kind="environment",
        root_cause=f"{cause} {case.message}",
        advice=(advice,),
        signature=f"environment: {about}",
    )
