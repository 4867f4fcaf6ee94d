"""A result as a Jupyter notebook: each program as a cell with what it printed and drew.

Run again in a folder with the input files, it gives the same outputs.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import NotFound
from backend.store.blobs import BlobStore
from backend.tools.coder.formats import closed
from backend.tools.coder.plain_text import visible
from backend.tools.coder.report import uses_of, words_of_answer
from backend.types import Role

_PICTURES = frozenset({"image/png", "image/jpeg"})
_START_AFRESH = "%reset -f"
"""Each program began with nothing; in a notebook they would find one another's variables."""
_INPUTS = """\
from pathlib import Path

INPUT_FILES = {names!r}
missing = [name for name in INPUT_FILES if not Path(name).exists()]
assert not missing, f"put these files beside the notebook: {{missing}}"\
"""


async def build_notebook(
    result: Mapping[str, Any],
    blobs: BlobStore,
    *,
    request: str,
    files: Sequence[str] = (),
    failed_attempts: bool = False,
) -> dict[str, Any]:
    """A valid notebook (nbformat 4) of a result.

    Args:
        result: the dict of ``execute_code_task``, or the document of an agent's answer.
        blobs: where the pictures lie; one that is gone is named instead.
        request: what was asked.
        files: the input files' names as the programs know them.
        failed_attempts: tell the programs that were given up as well; they are not run again.
    """
    cells = [_words("request", f"# Request\n\n{_quoted(request)}")]
    if files:
        cells.append(_program("inputs", _INPUTS.format(names=list(files))))
    uses = [use for use in uses_of(result) if use.get("code")]
    for number, use in enumerate(uses, 1):
        if number > 1:
            cells.append(_program(f"afresh-{number}", _START_AFRESH))
        if failed_attempts:
            cells += _given_up(use, number)
        cells.append(await _last_program(use, number, blobs))
        if made := _other_files(use):
            cells.append(_words(f"files-{number}", made))
    if (words := words_of_answer(result)) is not None:
        cells.append(_words("answer", f"# Answer\n\n{closed(_text(words))}"))
    return await _notebook(cells)


@dataclass(frozen=True, kw_only=True)
class SaidTurn:
    """A message of a conversation."""

    role: Role
    text: str
    uses: Sequence[Mapping[str, Any]] = ()
    """Of an answer: the uses of the coder that led to it, as ``execute_code_task`` tells of them;
    each artifact with the ``sha256`` of its bytes, if they are still kept."""


async def build_conversation_notebook(
    turns: Sequence[SaidTurn], blobs: BlobStore, *, title: str = ""
) -> dict[str, Any]:
    """A valid notebook (nbformat 4) of a conversation: what was said, and the programs between.

    Programs of a conversation find what those before them left, as cells do: nothing is reset.
    """
    cells = [_words("title", f"# {closed(_text(title))}")] if title else []
    programs = 0
    for number, turn in enumerate(turns, 1):
        if turn.role == "user":
            cells.append(_words(f"question-{number}", f"## Question\n\n{_quoted(turn.text)}"))
            continue
        for use in turn.uses:
            if not use.get("code"):
                continue
            programs += 1
            cells.append(await _last_program(use, programs, blobs))
            if made := _other_files(use):
                cells.append(_words(f"files-{programs}", made))
        cells.append(_words(f"answer-{number}", closed(_text(turn.text)) or "(no words)"))
    return await _notebook(cells)


async def _notebook(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": list(cells),
    }
    await asyncio.to_thread(_validate, notebook)
    return notebook


def _validate(notebook: Mapping[str, Any]) -> None:
    import nbformat

    nbformat.validate(dict(notebook))


def notebook_text(notebook: Mapping[str, Any]) -> str:
    """A notebook as the text of its ``.ipynb`` file."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _words(identity: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": identity, "metadata": {}, "source": text}


def _program(
    identity: str, code: str, outputs: Sequence[dict[str, Any]] = (), *, tags: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": identity,
        "metadata": {"tags": list(tags)} if tags else {},
        "source": _text(code),
        "execution_count": None,
        "outputs": list(outputs),
    }


async def _last_program(use: Mapping[str, Any], number: int, blobs: BlobStore) -> dict[str, Any]:
    attempts = use.get("attempts") or ()
    last = attempts[-1] if attempts and attempts[-1]["code"] == use["code"] else None
    cell = _attempt(f"program-{number}", last or {"code": use["code"]}, use.get("language"))
    if last is None:
        cell["metadata"]["tags"] = ["skip-execution"]  # it was refused, and never ran
    elif not last.get("error"):
        cell["execution_count"] = number
        cell["outputs"] += [
            await _picture(made, blobs)
            for made in use.get("artifacts") or ()
            if made["media_type"] in _PICTURES
        ]
        cell["outputs"] += _value(use.get("value"), number)
    return cell


def _given_up(use: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    attempts = [entry for entry in use.get("attempts") or () if entry["code"] != use["code"]]
    cells = []
    for place, attempt in enumerate(attempts, 1):
        cell = _attempt(f"attempt-{number}-{place}", attempt, use.get("language"))
        cell["metadata"]["tags"] = ["skip-execution"]
        cells.append(cell)
    return cells


def _attempt(identity: str, attempt: Mapping[str, Any], language: str | None) -> dict[str, Any]:
    """A program with what it printed, and how it failed."""
    streams = {name: _text(attempt.get(name) or "") for name in ("stdout", "stderr")}
    outputs: list[dict[str, Any]] = []
    if attempt.get("error"):
        # A traceback is told once, by the error.
        name, _, message = _text(str(attempt["error"])).partition(": ")
        trace = (streams.pop("stderr") or f"{name}: {message}").splitlines()
        failure = {"output_type": "error", "ename": name, "evalue": message, "traceback": trace}
        outputs = [failure]
    shown: list[dict[str, Any]] = [
        {"output_type": "stream", "name": name, "text": text}
        for name, text in streams.items()
        if text
    ]
    code = f"%%bash\n{attempt['code']}" if language == "bash" else attempt["code"]
    stopped = ["skip-execution"] if attempt.get("stopped_by") else ["raises-exception"]
    tags = stopped if attempt.get("error") else []
    return _program(identity, code, [*shown, *outputs], tags=tags)


async def _picture(made: Mapping[str, Any], blobs: BlobStore) -> dict[str, Any]:
    name = visible(made["name"])
    data = {"text/plain": f"{name} (no longer kept)"}
    try:
        content = await blobs.get(made.get("sha256") or "")
    except NotFound:
        pass
    else:
        encoded = base64.b64encode(content).decode("ascii")
        data = {made["media_type"]: encoded, "text/plain": name}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _value(value: str | None, number: int) -> list[dict[str, Any]]:
    if value is None:
        return []
    return [
        {
            "output_type": "execute_result",
            "execution_count": number,
            "data": {"text/plain": _text(value)},
            "metadata": {},
        }
    ]


def _other_files(use: Mapping[str, Any]) -> str:
    made = [entry for entry in use.get("artifacts") or () if entry["media_type"] not in _PICTURES]
    lines = [f"- {_quoted_name(entry['name'])}, {entry['size']:,} bytes" for entry in made]
    return "\n".join(["It wrote these files:", "", *lines]) if lines else ""


def _quoted_name(name: str) -> str:
    return f"`{visible(name).replace('`', '_')}`".replace("\n", " ")


def _quoted(request: str) -> str:
    """Somebody's words as a quotation, whatever they hold."""
    return "\n".join(f"    {line}" for line in visible(request).split("\n"))


def _text(text: str) -> str:
    """A text that can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
