"""What makes two failures the same one."""

from __future__ import annotations

import re

from backend.tools.coder.diagnosis.case import Case
from backend.types import DiagnosisKind

_CHARS = 200
_QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`[^`\n]*`")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d.,:/-]*(?:e[-+]?\d+)?")
_NAMES_COUNT = frozenset(
    {"NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "AttributeError"}
)
"""Two missing names are two mistakes; two values that cannot be converted are one."""


def signature_of(kind: DiagnosisKind, case: Case, about: str = "") -> str:
    """The same for the same failure, whatever its line numbers, addresses and quoted values.

    Args:
        kind: what it was found to be.
        case: the run.
        about: what it is about, where the words of the message vary more than that.
    """
    if about:
        return f"{kind}: {about}"[:_CHARS]
    message = case.message or case.last_line
    return f"{kind}: {case.type}: {_general(message, keep=case.type in _NAMES_COUNT)}"[:_CHARS]


def _general(message: str, *, keep: bool) -> str:
    line = message.strip().partition("\n")[0][: 5 * _CHARS]
    if not keep:
        line = _QUOTED.sub("'…'", line)
    return " ".join(_NUMBER.sub("#", _ADDRESS.sub("#", line)).split())
