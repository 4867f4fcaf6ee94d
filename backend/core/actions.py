"""Reading the action a ReAct model names, in whatever form it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.llm.asking import Unreadable
from backend.llm.replies import extract_code, extract_json, strip_thinking
from backend.tools.registry import FINISH, FINISHING, ToolName, find_action
from backend.tools.toolbox import Toolbox, takes_object
from backend.types import ToolSpec


def action_schema(toolbox: Toolbox) -> dict[str, Any]:
    """The JSON schema of one step with these tools."""
    takes_objects = any(takes_object(tool) for tool in toolbox)
    return {
        "type": "object",
        "properties": {
            "thought": {"type": "string"},
            "action": {"type": "string", "enum": [*toolbox.names, FINISH]},
            "action_input": {"type": ["string", "object"] if takes_objects else "string"},
        },
        "required": ["thought", "action", "action_input"],
    }


def native_tools(toolbox: Toolbox) -> list[ToolSpec]:
    """The actions of one step, for a model that can call tools natively."""
    return [
        {
            "name": str(tool.name),
            "description": tool.description,
            "parameters": dict(tool.schema),
        }
        for tool in (*toolbox, FINISHING)
    ]


_NAME_KEYS = ("action", "tool", "name", "tool_name", "function")
_INPUT_KEYS = ("action_input", "input", "tool_input", "arguments", "parameters", "args")
_TASK_KEYS = ("task", "query", "request", "question", "code", "input", "answer", "text")
_LABEL = r"^[ \t>*#`-]*{}[ \t*`]*:[ \t*]*"
_OBSERVATION = re.compile(_LABEL.format("observation"), re.I | re.M)
_ACTION = re.compile(_LABEL.format("action") + r"(.*)$", re.I | re.M)
_INPUT = re.compile(_LABEL.format(r"action[\s_]*input"), re.I | re.M)
_THOUGHT = re.compile(_LABEL.format("thought"), re.I | re.M)
_FINAL = re.compile(_LABEL.format(r"final[\s_]*answer"), re.I | re.M)
_ANY_LABEL = re.compile(_LABEL.format("(?:thought|action|observation)"), re.I | re.M)


@dataclass(frozen=True, kw_only=True)
class Action:
    """One step as the model wants it."""

    thought: str
    tool: str | None
    """``finish``, ``none``, a tool's name, or None when the model named something unknown."""
    named: str
    """What the model wrote."""
    input: str
    """What the tool is given, as text."""
    arguments: Mapping[str, Any] | None = None
    """The same where the model gave an object."""


def read_action(reply: str, toolbox: Toolbox) -> Action:
    """The first action of a reply; what it invents after an ``Observation:`` is not read.

    Args:
        reply: what the model said.
        toolbox: the tools there are.

    Raises:
        Unreadable: it names no action.
    """
    text = strip_thinking(reply)
    before = _OBSERVATION.split(text, maxsplit=1)[0]
    for part in (before, text):
        action = _from_json(part, toolbox) or _from_labels(part, toolbox)
        if action is not None:
            return action
    code = extract_code(text)
    if code is not None:
        task = f"Do what was asked. A first draft of the program:\n```python\n{code}\n```"
        return Action(thought="", tool=ToolName.PYTHON_CODER, named="(a program)", input=task)
    raise Unreadable('it names no action; answer with "thought", "action" and "action_input"')


def read_words(reply: str) -> Action:
    """What a model says that could call tools natively and calls none is its answer.

    Raises:
        Unreadable: it says nothing.
    """
    text = strip_thinking(reply).strip()
    if not text:
        raise Unreadable("it calls no tool and says nothing")
    return Action(thought="", tool=FINISH, named="(words)", input=text)


def _from_json(text: str, toolbox: Toolbox) -> Action | None:
    value = extract_json(text)
    if value is None:
        return None
    if isinstance(value.get("function"), Mapping):
        value = {**value, **value["function"]}
    named = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if isinstance(value.get("action"), Mapping):
        inner = value["action"]
        named = next((inner[key] for key in _NAME_KEYS if isinstance(inner.get(key), str)), named)
        value = {**inner, **{key: value[key] for key in ("thought",) if key in value}}
    if named is None:
        return None
    given = next((value[key] for key in _INPUT_KEYS if value.get(key) is not None), "")
    thought = value.get("thought")
    return Action(
        thought=thought if isinstance(thought, str) else "",
        tool=find_action(named, toolbox),
        named=named,
        input=_input_text(given),
        arguments=_arguments(given),
    )


def _arguments(given: Any) -> Mapping[str, Any] | None:
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = extract_json(given)
    return given if isinstance(given, Mapping) else None


def _input_text(given: Any) -> str:
    if isinstance(given, str):
        nested = extract_json(given) if given.lstrip().startswith("{") else None
        return given if nested is None else _input_text(nested)
    if isinstance(given, Mapping):
        named = [given[key] for key in _TASK_KEYS if isinstance(given.get(key), str)]
        if named:
            return "\n".join(named)
    return json.dumps(given, ensure_ascii=False, default=str)


def _from_labels(text: str, toolbox: Toolbox) -> Action | None:
    thought = _after(_THOUGHT, text)
    match = _ACTION.search(text)
    final = _FINAL.search(text)
    if match is None or (final is not None and final.start() < match.start()):
        if final is None:
            return None
        answer = text[final.end() :].strip()
        return Action(thought=thought, tool=FINISH, named="Final Answer", input=answer)
    named = match.group(1).strip()
    given = _INPUT.search(text, match.end())
    body = _until_label(text[given.end() :]) if given else ""
    called = re.fullmatch(r"[`*]*(\w+)[`*]*\s*[(\[{]\s*(.+?)\s*[)\]}][`*]*", named, re.S)
    if given is None and called:
        named, body = called.group(1), called.group(2).strip("\"'")
    return Action(thought=thought, tool=find_action(named, toolbox), named=named, input=body)


def _after(label: re.Pattern[str], text: str) -> str:
    match = label.search(text)
    return _until_label(text[match.end() :]) if match else ""


def _until_label(text: str) -> str:
    """Up to the next label; a label inside a code block does not end an input."""
    for match in _ANY_LABEL.finditer(text):
        if text.count("```", 0, match.start()) % 2 == 0:
            return text[: match.start()].strip()
    return text.strip()
