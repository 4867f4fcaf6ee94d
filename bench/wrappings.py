"""The ways in which models hand over a program."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

_DRAFT = "```python\nresult = None\nprint(result)\n```"
_BEFORE = "Sure! Here is a program that computes the answer to your question:"
_AFTER = "The program stores the answer in a variable. Let me know if you need more help!"


def _tool_call(code: str) -> str:
    call = {"name": "python", "arguments": {"code": code}}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def _harmony(code: str) -> str:
    called = json.dumps({"code": code})
    return (
        "<|channel|>analysis<|message|>The user wants a number.<|end|><|start|>assistant<|channel|>"
        f"commentary to=functions.python <|constrain|>json<|message|>{called}<|call|>"
    )


WRAPPINGS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "fence": lambda code: f"```python\n{code}\n```",
        "fence without a name": lambda code: f"```\n{code}\n```",
        "fence of a wrong name": lambda code: f"```python3.11 title=main\n{code}\n```",
        "fence, prose around": lambda code: f"{_BEFORE}\n\n```python\n{code}\n```\n\n{_AFTER}",
        "fence in a list": lambda code: (
            "1. Run this:\n\n"
            + textwrap.indent(f"```python\n{code}\n```", "   ")
            + "\n\n2. Read it."
        ),
        "fence that is not closed": lambda code: f"{_BEFORE}\n\n```python\n{code}",
        "thought with a draft, then a fence": lambda code: (
            f"<think>\nMaybe\n{_DRAFT}\n</think>\n```python\n{code}\n```"
        ),
        "thought without a start, then a fence": lambda code: (
            f"Maybe\n{_DRAFT}\n</think>\n```python\n{code}\n```"
        ),
        "Windows line ends": lambda code: f"```python\n{code}\n```".replace("\n", "\r\n"),
        "fence in Markdown in a fence": lambda code: f"````markdown\n```python\n{code}\n```\n````",
        "JSON field": lambda code: json.dumps({"thought": "a sum", "code": code}),
        "JSON field, raw line breaks": lambda code: json.dumps({"code": code}).replace("\\n", "\n"),
        "JSON field in a fence": lambda code: (
            f"```json\n{json.dumps({'code': code}, indent=2)}\n```"
        ),
        "tool call": _tool_call,
        "tool call of gpt-oss": _harmony,
        "code tag": lambda code: f"Thought: a sum.\n<code>\n{code}\n</code>",
        "action of ReAct": lambda code: (
            f"Thought: a sum.\nAction: python\nAction Input:\n{code}\nObservation: 42"
        ),
        "prompts": lambda code: (
            "```python\n"
            + "\n".join(
                ("... " if line[:1].isspace() or not line else ">>> ") + line
                for line in code.split("\n")
            )
            + "\n```"
        ),
        "indented block": lambda code: f"{_BEFORE}\n\n{textwrap.indent(code, '    ')}\n\n{_AFTER}",
        "bare": lambda code: code,
        "bare, prose around": lambda code: f"{_BEFORE}\n\n{code}\n\n{_AFTER}",
    }
)
