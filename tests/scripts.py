"""Writing a scripted model's file, and the replies that tests put into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

APPROVE = {
    "stage": "review",
    "reply": '{"verdict": "approve", "findings": []}',
    "repeat": True,
}
ASSESS = {
    "stage": "assess",
    "reply": '{"answers_request": true, "answer": "", "reason": "", "missing": []}',
    "repeat": True,
}


def program(code: str, plan: str = "Do it.") -> str:
    return f"{plan}\n\n```python\n{code}\n```"


def generate(code: str, **more: Any) -> dict[str, Any]:
    return {"stage": "generate", "reply": program(code), **more}


def repair(code: str, **more: Any) -> dict[str, Any]:
    return {"stage": "repair", "reply": program(code, "Mended."), **more}


def revise(message: str, severity: str = "blocking", **more: Any) -> dict[str, Any]:
    finding = {"severity": severity, "topic": "logic", "message": message}
    reply = json.dumps({"verdict": "revise", "findings": [finding]})
    return {"stage": "review", "reply": reply, **more}


def act(action: str, action_input: str, thought: str = "So.", **more: Any) -> dict[str, Any]:
    reply = {"thought": thought, "action": action, "action_input": action_input}
    return {"stage": "act", "reply": json.dumps(reply), **more}


def plan(*steps: tuple[str, str], chained: bool = False, **more: Any) -> dict[str, Any]:
    """Steps that are independent of each other, or each of which waits for the one before it."""
    listed = [
        {
            "id": f"s{number}",
            "task": task,
            "tool": tool,
            "depends_on": [f"s{number - 1}"] if chained and number > 1 else [],
        }
        for number, (tool, task) in enumerate(steps, 1)
    ]
    return {"stage": "plan", "reply": json.dumps({"steps": listed}), **more}


def answer(text: str, answers: bool = True, reason: str = "", **more: Any) -> dict[str, Any]:
    reply = {"answers_request": answers, "answer": text, "reason": reason, "missing": []}
    return {"stage": "answer", "reply": json.dumps(reply), **more}


def write_script(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def use_script(monkeypatch: pytest.MonkeyPatch, path: Path, *lines: dict[str, Any]) -> None:
    """Make the scripted model the configured one, with these lines."""
    monkeypatch.setenv("PYTHON_CODER_MODEL", f"scripted:{write_script(path, *lines)}")
