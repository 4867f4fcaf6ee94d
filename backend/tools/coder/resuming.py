"""What a recorded run was asked with, for whoever goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import NotFound, RequestError
from backend.store.run_records import Run
from backend.tools.coder.recall import mark_files
from backend.tools.coder.task import Task, options_of
from backend.types import Message

OUTSIDE = ("inputs", "approve")
"""What is kept with a task's options and is none of them."""


async def task_of(run: Run) -> Task:
    """The task of a run, if it can still be worked on.

    Raises:
        NotFound: a file is gone.
        RequestError: a file has changed, or the run's variables are not kept.
    """
    known = dict(run.spec["options"])
    inputs, _ = (known.pop(name, None) for name in OUTSIDE)
    if inputs is None:
        raise RequestError(
            f"The run {run.id} was given variables that are not kept.", "Ask anew, with them."
        )
    return Task(
        request=run.request,
        background=run.spec["background"],
        files=await unchanged_files(run),
        inputs=inputs,
        options=options_of(known),
    )


async def unchanged_files(run: Run) -> dict[str, Path]:
    """Name -> path of each input file.

    Raises:
        NotFound: one is gone.
        RequestError: one has changed.
    """
    marks: Mapping[str, Mapping[str, Any]] = run.spec.get("files", {})
    files = {name: Path(mark["path"]) for name, mark in marks.items()}
    for name, path in files.items():
        if not path.is_file():
            raise NotFound(
                f"The input file {name!r} is no longer at {str(path)!r}.",
                "Put it there again, or ask anew.",
            )
    now = await asyncio.to_thread(mark_files, files)
    for name, mark in marks.items():
        if now[name]["sha256"] != mark["sha256"]:
            raise RequestError(
                f"The input file {name!r} at {str(files[name])!r} has changed since.",
                "Put the former one there, or ask anew.",
            )
    return files


def model_of(run: Run) -> str | None:
    """The model that the run was begun with; None for a script, whose file is not kept."""
    model = str(run.spec.get("model", ""))
    return None if not model or model.startswith("scripted:") else model


def history_of(run: Run) -> tuple[Message, ...]:
    """The turns before the question."""
    return tuple(
        Message(role=role, content=content) for role, content in run.spec.get("history", ())
    )
