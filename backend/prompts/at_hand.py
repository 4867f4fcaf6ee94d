"""What earlier programs of a session left at hand, in words for a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.prompts.texts import cut_line

VARIABLES_CHARS = 4000
_LINE_CHARS = 60
"""What is left of a description where not all fit."""
_FILES_CHARS = 1000


def list_variables(
    names: Mapping[str, str], files: Sequence[str] = (), *, lost: bool = False
) -> str:
    """One line a variable with what it is; functions, modules and files by name.

    Args:
        names: name -> description, as ``ExecutionResult.names`` has them.
        files: names of files that programs wrote.
        lost: there were others, which a program that relies on the conversation will miss.
    """
    shown = {name: said for name, said in names.items() if name[0] != "_"}
    tools = {name: said for name, said in shown.items() if _is_tool(said)}
    data = [f"- {name}: {said}".rstrip(": ") for name, said in shown.items() if name not in tools]
    lines = [cut_variables("\n".join(data), VARIABLES_CHARS)] if data else []
    if lost and not shown:
        lines.append("No variables: those of earlier turns are gone. Read or compute them again.")
    if tools:
        listed = ", ".join(f"{name} ({said})" for name, said in tools.items())
        lines.append(cut_line(f"Defined and imported: {listed}", _FILES_CHARS))
    if files:
        newest = ", ".join(reversed(files))
        lines.append(
            cut_line(f"Files they wrote into the working directory: {newest}", _FILES_CHARS)
        )
    return "\n".join(lines)


def cut_variables(text: str, limit: int) -> str:
    """Shorten descriptions where the text is too long, the oldest first; then leave names out."""
    lines = text.splitlines()
    over = len(text) - limit
    for at, line in enumerate(lines):
        if over <= 0:
            break
        lines[at] = cut_line(line, _LINE_CHARS)
        over -= len(line) - len(lines[at])
    kept = lines
    while len("\n".join(kept)) > limit and len(kept) > 1:
        kept = kept[1:]
    if len(kept) == len(lines):
        return "\n".join(lines)
    return "\n".join([f"[the oldest {len(lines) - len(kept)} are left out]", *kept])


def _is_tool(said: str) -> bool:
    return said.startswith(("module ", "function", "class "))
