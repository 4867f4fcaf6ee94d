"""Programs in other languages than Python, Bash above all: taken as fenced, never parsed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from backend.llm.code.blocks import CodeBlock, find_blocks
from backend.llm.code.parsing import Parser
from backend.llm.code.recognition import is_fragment

SHELL_TAGS: Final = frozenset(
    {"bash", "sh", "shell", "zsh", "console", "terminal", "shellscript", "shell-session"}
)
_ARGUMENTS: Final = ("arguments", "parameters", "action_input", "input")
_CODE_KEYS: Final = ("command", "cmd", "code", "script")
_PROMPT: Final = re.compile(r"^[ \t]*(?:\$|\w[\w.-]*@[\w.-]+:[^\n$#]{0,80}[$#]) ")
_COMMAND: Final = re.compile(
    r"\s*(?:sudo )?(?:ls|cd|cat|echo|printf|grep|awk|sed|find|wc|sort|uniq|head|tail|cut|tr|mkdir|cp|mv|rm"
    r"|touch|chmod|tar|gzip|unzip|zip|du|df|ps|date|pwd|test|\[|for|while|if|then|else|fi|do|done|case"
    r"|esac|export|set|read|python3?|xargs|tee|diff|file|stat|basename|dirname|seq|env)\b(?!\s*[,.:!?]?\s+"
    r"(?:the|a|an|is|are|you|to)\b)"
)


def extract_other(text: str, language: str, said: Mapping[str, Any] | None = None) -> str | None:
    """The last closed block in `language`, or the bare text when that is plainly a shell script.

    Args:
        text: a reply without its thoughts.
        language: the tag of a fence, in lower case.
        said: the object that the reply is, where it is one: its command or code counts first.
    """
    tags = SHELL_TAGS if language in SHELL_TAGS else {language}
    if said and (given := _field(said, tags)):
        return given
    blocks = [block for block in find_blocks(text.split("\n"), Parser()) if block.closed]
    for wanted in (tags, {""}):
        for block in reversed(blocks):
            if block.language in wanted and (code := _program(block, language)):
                return code
    if blocks or language not in SHELL_TAGS:
        return None
    return _bare_script(text)


def _field(said: Mapping[str, Any], tags: Collection[str]) -> str | None:
    """The code in an object, or in a tool call, that says it is in one of `tags`."""
    arguments = next((said[key] for key in _ARGUMENTS if isinstance(said.get(key), Mapping)), said)
    named = {str(one.get(key)).lower() for one in (said, arguments) for key in ("language", "name")}
    code = next((arguments[key] for key in _CODE_KEYS if arguments.get(key)), None)
    return code if isinstance(code, str) and not named.isdisjoint(tags) else None


def _program(block: CodeBlock, language: str) -> str | None:
    code = block.code.strip("\n").rstrip()
    if language in SHELL_TAGS:
        code = _without_prompts(code)
        if not block.language and not _is_script(code):
            return None
    written = any(line.strip() and not line.lstrip().startswith("#") for line in code.split("\n"))
    return code if written and not is_fragment(code, None) else None


def _without_prompts(code: str) -> str:
    """Only what was typed after ``$``, where prompts are shown."""
    lines = code.split("\n")
    typed = [line[found.end() :] for line in lines if (found := _PROMPT.match(line))]
    return "\n".join(typed) if typed else code


def _bare_script(text: str) -> str | None:
    code = _without_prompts(text)
    return code if _is_script(code) else None


def _is_script(code: str) -> bool:
    if code.startswith("#!") and "python" not in code.partition("\n")[0]:
        return True
    lines = [
        line for line in code.split("\n") if line.strip() and not line.lstrip().startswith("#")
    ]
    return bool(lines) and all(_COMMAND.match(line) or line[0] in " \t})" for line in lines)
