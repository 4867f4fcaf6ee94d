"""Programs in other languages than Python, Bash above all: taken as fenced, never parsed."""

from __future__ import annotations

import re
from typing import Final

from backend.llm.code.blocks import CodeBlock, extract_blocks
from backend.llm.code.recognition import is_fragment

SHELL_TAGS: Final = frozenset(
    {"bash", "sh", "shell", "zsh", "console", "terminal", "shellscript", "shell-session"}
)
_PROMPT: Final = re.compile(r"^[ \t]*(?:\$|\w[\w.-]*@[\w.-]+:[^\n$#]{0,80}[$#]) ")
_COMMAND: Final = re.compile(
    r"\s*(?:sudo )?(?:ls|cd|cat|echo|printf|grep|awk|sed|find|wc|sort|uniq|head|tail|cut|tr|mkdir|cp|mv|rm"
    r"|touch|chmod|tar|gzip|unzip|zip|du|df|ps|date|pwd|test|\[|for|while|if|then|else|fi|do|done|case"
    r"|esac|export|set|read|python3?|xargs|tee|diff|file|stat|basename|dirname|seq|env)\b(?!\s*[,.:!?]?\s+"
    r"(?:the|a|an|is|are|you|to)\b)"
)


def extract_other(text: str, language: str) -> str | None:
    """The last closed block in `language`, or the bare text when that is plainly a shell script."""
    tags = SHELL_TAGS if language in SHELL_TAGS else {language}
    blocks = [block for block in extract_blocks(text) if block.closed]
    for wanted in (tags, {""}):
        for block in reversed(blocks):
            if block.language in wanted and (code := _program(block, language)):
                return code
    if blocks or language not in SHELL_TAGS:
        return None
    return _bare_script(text)


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
