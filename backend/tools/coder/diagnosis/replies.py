"""A model's word on a failure, for where the rules do not know its cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict, get_args

from backend.llm.asking import Unreadable, read_object
from backend.tools.coder.diagnosis.case import Diagnosis
from backend.types import DiagnosisKind

DIAGNOSIS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": list(get_args(DiagnosisKind))},
        "root_cause": {"type": "string"},
        "advice": {"type": "array", "items": {"type": "string"}},
        "packages": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["kind", "root_cause", "advice", "packages"],
}

_CHARS = 600
_MOST = 5
_KINDS: tuple[DiagnosisKind, ...] = get_args(DiagnosisKind)
_ALIASES: dict[str, DiagnosisKind] = {
    "logical": "logic",
    "dependency": "environment",
    "package": "environment",
    "name": "runtime",
    "type": "runtime",
    "value": "data",
    "file": "data",
    "performance": "timeout",
}


class Opinion(TypedDict):
    """A diagnosis as a model gave it, read. A key that was missing has the meaning that harms least."""

    kind: DiagnosisKind | None
    """None for what is no kind: the rules' stands."""
    root_cause: str
    advice: list[str]
    packages: list[str]


def needs_model(diagnosis: Diagnosis, former: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a model should be asked for the cause.

    Args:
        diagnosis: of the run now.
        former: programs given up before, each with its ``signature``.
    """
    if diagnosis.certain:
        return False
    again = any(each.get("signature") == diagnosis.signature for each in former)
    return again or diagnosis.kind == "logic"


def read_diagnosis(reply: str) -> Opinion:
    """Read a diagnosis' JSON.

    Raises:
        Unreadable: there is no JSON object with a cause or an advice.
    """
    value = read_object(reply)
    cause = _texts(value.get("root_cause"))
    advice = _texts(value.get("advice"))
    if not cause and not advice:
        raise Unreadable('the JSON object has neither "root_cause" nor "advice"')
    return {
        "kind": _kind(value.get("kind")),
        "root_cause": " ".join(cause)[:_CHARS],
        "advice": [each[:_CHARS] for each in advice[:_MOST]],
        "packages": _texts(value.get("packages"))[:_MOST],
    }


def with_reply(diagnosis: Diagnosis, opinion: Opinion | None) -> Diagnosis:
    """The rules' diagnosis with what the model adds to it; without an opinion it stands.

    The signature stays the rules': the same failure must be known again, whatever is said of it.
    The packages are taken only where the kind says that something is not installed.
    """
    if opinion is None:
        return diagnosis
    kind = opinion["kind"] or diagnosis.kind
    packages = tuple(opinion["packages"]) if kind == "environment" else ()
    return replace(
        diagnosis,
        kind=kind,
        root_cause=opinion["root_cause"] or diagnosis.root_cause,
        advice=tuple(opinion["advice"]) or diagnosis.advice,
        packages=diagnosis.packages or packages,
        certain=True,
    )


def _kind(said: object) -> DiagnosisKind | None:
    words = str(said or "").lower().replace("_", " ").replace("-", " ").split()
    for word in words:
        for kind in _KINDS:
            if word in (kind, f"{kind}error"):
                return kind
        if word in _ALIASES:
            return _ALIASES[word]
    return None


def _texts(value: object) -> list[str]:
    """Texts, given as one or as a list of them."""
    entries = value if isinstance(value, list) else [value]
    return [
        text
        for each in entries
        if isinstance(each, str | int | float) and (text := str(each).strip())
    ]
