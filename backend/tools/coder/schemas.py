"""JSON schemas and readers of the loop's small decisions: the review and the assessment."""

from __future__ import annotations

from typing import Any, TypedDict

from backend.llm.asking import Unreadable, read_object

VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["approve", "revise"]},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "severity": {"type": "string", "enum": ["blocking", "advisory"]},
                    "topic": {"type": "string"},
                    "message": {"type": "string"},
                },
                "required": ["severity", "topic", "message"],
            },
        },
    },
    "required": ["verdict", "findings"],
}

JUDGEMENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answers_request": {"type": "boolean"},
        "answer": {"type": "string"},
        "reason": {"type": "string"},
        "missing": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answers_request", "answer", "reason", "missing"],
}


class Verdict(TypedDict):
    """A review, read."""

    revise: bool
    """True only with a blocking finding: 'revise' without one counts as approval."""
    findings: list[dict[str, Any]]


class Judgement(TypedDict):
    """An answer or assessment, read. A key that was missing has the meaning that harms least."""

    answers_request: bool
    answer: str
    reason: str
    missing: list[str]


def read_verdict(reply: str) -> Verdict:
    """Read a review's JSON.

    Raises:
        Unreadable: there is no JSON object with a verdict.
    """
    value = read_object(reply, "verdict")
    verdict = str(value["verdict"]).strip().lower()
    if not verdict.startswith(("approve", "revise")):
        raise Unreadable('the verdict is neither "approve" nor "revise"')
    raw = value.get("findings")
    findings = [_finding(entry) for entry in raw] if isinstance(raw, list) else []
    blocking = any(finding["severity"] == "blocking" for finding in findings)
    return {"revise": verdict.startswith("revise") and blocking, "findings": findings}


def _finding(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        return {"severity": "advisory", "topic": "", "message": str(entry)}
    message = str(entry.get("message") or "").strip()
    # What does not say what is wrong gives nobody anything to put right.
    is_blocking = message and str(entry.get("severity")).lower() == "blocking"
    return {
        "severity": "blocking" if is_blocking else "advisory",
        "topic": str(entry.get("topic") or ""),
        "message": message,
    }


def read_judgement(reply: str) -> Judgement:
    """Read an answer's or assessment's JSON.

    Raises:
        Unreadable: there is no JSON object with at least one of its keys.
    """
    value = read_object(reply)
    if not {"answers_request", "answer"} & set(value):
        raise Unreadable('the JSON object has neither "answers_request" nor "answer"')
    missing = value.get("missing")
    answers = value.get("answers_request", True)
    answer = value.get("answer")
    return {
        "answers_request": str(answers).strip().lower() not in ("false", "no", "0"),
        "answer": answer if isinstance(answer, str) else "" if answer is None else str(answer),
        "reason": str(value.get("reason") or ""),
        "missing": [str(entry) for entry in missing if entry] if isinstance(missing, list) else [],
    }


def shortfall(judgement: Judgement) -> str:
    """Why the request is not answered and what is missing; '' when it is answered."""
    if judgement["answers_request"]:
        return ""
    said = [judgement["reason"].strip(), *(each.strip() for each in judgement["missing"])]
    return "; ".join(dict.fromkeys(filter(None, said))) or "no reason was given"
