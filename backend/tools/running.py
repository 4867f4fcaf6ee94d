"""The tools that run a program exactly as it is given: no other version is written or tried."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.foreign_code import in_turn, parse
from backend.llm.replies import extract_code
from backend.prompts.fences import fenced
from backend.prompts.texts import (
    OBSERVATION_CHARS,
    describe_output,
    list_findings,
    logs_of,
    shorten,
)
from backend.sandbox.policy import blocking
from backend.tools.coder.diagnosis import describe, diagnose
from backend.tools.coder.diagnosis.outcome import did_nothing
from backend.tools.toolbox import Tool, ToolContext, ToolResult, told
from backend.types import ArtifactRef, Event, ExecutionRequest, ExecutionResult, Language

_KEYS = ("code", "command", "cmd", "commands", "script", "program", "source", "input")
"""Under which models give a program."""
_STDERR_CHARS = 1500
_MARKER_CHARS = 100
"""That say how much was left out, and what stands around it."""
_LEAST_CHARS = 1000
_CHANGED_CHARS = 2000
"""Of a program that the user put in the place of the model's."""
_PROMPT = re.compile(r"^[ \t]*\$ ", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class RunProgram:
    """Runs a whole program of one language."""

    name: str
    description: str
    aliases: frozenset[str]
    language: Language
    about: str
    """What the program may rely on, for the schema."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """One argument, the program."""
        code = {"type": "string", "description": self.about}
        return {"type": "object", "properties": {"code": code}, "required": ["code"]}

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Check the program and run it (see ``Tool.use``)."""
        given = _given(arguments)
        code = await in_turn(given, lambda: program_in(given, self.language))
        if not code.strip():
            return told(
                f"Nothing was run: {self.name} was given no program. Give the whole program as text.",
                success=False,
                language=self.language,
            )
        return await _run(code, self.language, context)


async def _run(given: str, language: Language, context: ToolContext) -> ToolResult:
    context.emit(Event(kind="code", text=given, data={"iteration": 1, "language": language}))
    request = await context.allowed(
        ExecutionRequest(code=given, language=language, files=context.files)
    )
    code = request.code
    if code != given:
        context.emit(Event(kind="code", text=code, data={"iteration": 2, "language": language}))
    program = {"code": code, "language": language}
    context.emit(Event(kind="run", text="Running the program", data=program))
    result = await context.execute(request)
    kept = [await context.blobs.put_artifact(artifact) for artifact in result.artifacts]
    text = await in_turn(code, lambda: _observation(result, code, language, kept))
    if code != given:
        shown = fenced(shorten(code, _CHANGED_CHARS), language)
        text = f"The user had this run instead:\n{shown}\n{text}"
    against = [issue.as_dict() for issue in blocking(result.issues)]
    if result.isolation is None and against:
        found = [issue.as_dict() for issue in result.issues]
        context.emit(Event(kind="check", text=list_findings(against), data={"issues": found}))
    else:
        context.emit(_output_event(result, text))
    for reference in kept:
        context.emit(Event(kind="artifact", text=reference["name"], data=dict(reference)))
    return told(
        text,
        success=result.success,
        artifacts=kept,
        isolation=result.isolation.as_dict() if result.isolation else None,
        code=code,
        language=language,
        returncode=result.returncode,
        duration_s=round(result.duration_s, 4),
        stopped_by=result.stopped_by,
        issues=against,
    )


def _output_event(result: ExecutionResult, told_of: str) -> Event:
    shown = result.stdout.rstrip() if result.success else told_of
    data = {
        "success": result.success,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "duration_s": round(result.duration_s, 4),
        "value": result.value,
        "logs": logs_of(result),
    }
    return Event(kind="output", text=shorten(shown, OBSERVATION_CHARS), data=data)


# --- what the model gets to see --------------------------------------------------------------


def _observation(
    result: ExecutionResult, code: str, language: Language, kept: Sequence[ArtifactRef]
) -> str:
    if result.isolation is None and (against := blocking(result.issues)):
        found = [issue.as_dict() for issue in against]
        text = f"It was not run; the static check refuses it:\n{list_findings(found)}"
        if any(issue.kind == "syntax" for issue in against):
            text += "\nThe input has to be the program itself, whole, and nothing else."
        return shorten(text, OBSERVATION_CHARS)
    files = [reference["name"] for reference in kept]
    if result.success:
        return _ran(result, code, language, files)
    return _failed(result, code, language, files)


def _ran(result: ExecutionResult, code: str, language: Language, files: Sequence[str]) -> str:
    said = []
    if idle := did_nothing(result, code, language):
        said.append(f"{idle} Print what is to be known.")
    if complaints := result.stderr.strip():
        said.append(f"On stderr:\n{shorten(complaints, _STDERR_CHARS)}")
    said += result.notes
    beside = len(describe_output("", result.value, files)) + sum(len(each) + 1 for each in said)
    printed = shorten(result.stdout.rstrip(), _room(beside))
    return "\n".join([describe_output(printed, result.value, files), *said])


def _room(beside: int) -> int:
    """Characters for what a program printed, so that the whole stays within what a model sees."""
    return max(OBSERVATION_CHARS - beside - _MARKER_CHARS, _LEAST_CHARS)


def _failed(result: ExecutionResult, code: str, language: Language, files: Sequence[str]) -> str:
    found = diagnose(result, code=code, language=language)
    silent = replace(result, stdout="")
    parts = [f"It failed: {describe(found, silent, code, language=language)}"]
    if files:
        parts.append(f"Files: {shorten(', '.join(files), 500)}")
    if printed := result.stdout.strip():
        room = _room(sum(map(len, parts)))
        parts.append(f"It printed before that:\n{shorten(printed, room)}")
    return "\n".join(parts)


# --- the program in what was given -----------------------------------------------------------


def _given(arguments: Mapping[str, Any]) -> str:
    """The program's text, under whatever name it came; '' where there is none."""
    named = (arguments[key] for key in _KEYS if key in arguments)
    for value in (*named, *arguments.values()):
        if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
            return "\n".join(value)
        if isinstance(value, str):
            return value
    return ""


def program_in(given: str, language: Language) -> str:
    """The program that a model gave to be run: as it is where it is one, else out of its wrapping.

    Args:
        given: a program; or one in fences, in JSON, with words around it.
        language: what it is to be written in.
    """
    return _python_in(given) if language == "python" else _bash_in(given)


def _python_in(given: str) -> str:
    tree = parse(given)
    if tree is None:
        return extract_code(given) or given
    inner = _out_of_json(given, "python") if _is_one_literal(tree) else None
    return inner or given


def _is_one_literal(tree: ast.Module) -> bool:
    """Nothing but a text or a dictionary: a program in JSON, which happens to be Python."""
    node = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    return isinstance(value, ast.Dict) or (
        isinstance(value, ast.Constant) and isinstance(value.value, str)
    )


def _bash_in(given: str) -> str:
    text = given.strip()
    if inner := _out_of_json(text, "bash"):
        return inner
    fence = _FENCE.search(text)
    # Within a here-document a fence belongs to what the script writes.
    if fence and "<<" not in text[: fence.start()]:
        return extract_code(text, "bash") or given
    if text.startswith("`") and text.endswith("`") and text.count("`") == 2:
        return text[1:-1]
    if _PROMPT.match(text):
        return extract_code(f"```bash\n{text}\n```", "bash") or given
    return given


def _out_of_json(given: str, language: Language) -> str | None:
    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, Mapping):
        value = _given({key: value[key] for key in _KEYS if key in value})
    if not isinstance(value, str) or not value.strip():
        return None
    return program_in(value, language) if len(value) < len(given) else None


# --- the tools -------------------------------------------------------------------------------


def run_python() -> Tool:
    """``run_python``: a whole Python program, run as it is."""
    return RunProgram(
        name="run_python",
        description=(
            "runs a Python program exactly as given and shows what it printed. The input is the "
            "whole program as text, with print() for every result."
        ),
        aliases=frozenset(
            "run_python python_repl repl py_repl execute_python run_python_code python_shell "
            "execute_python_code python_exec exec_python python_execute python_runner ipython "
            "python_repl_ast run_python_script run_py python_script run_program "
            "run_python_program python_executor".split()
        ),
        language="python",
        about=(
            "The whole Python program. Input files lie in its working directory; relative paths "
            "can be written, and what is written is handed to the user."
        ),
    )


def run_bash() -> Tool:
    """``run_bash``: a whole Bash script, run as it is."""
    return RunProgram(
        name="run_bash",
        description=(
            "runs Bash commands exactly as given and shows what they printed. The input is the "
            "whole script as text."
        ),
        aliases=frozenset(
            "run_bash bash shell sh terminal command command_line cmd zsh cli console exec "
            "execute_bash run_shell execute_shell run_command execute_command shell_command "
            "bash_command bash_tool shell_tool run_bash_script bash_script shell_script "
            "run_terminal_command run_shell_command terminal_command".split()
        ),
        language="bash",
        about=(
            "The whole Bash script. Input files lie in its working directory; relative paths can "
            "be written, and what is written is handed to the user."
        ),
    )
