"""``runs resume``: goes on with a run whose process ended before it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.ask import answer_request, tell_answer
from backend.cli.code import solve, tell_result
from backend.cli.delivery import Delivery, read_delivery
from backend.cli.formatting import format_options
from backend.cli.options import json_option, output_options, quiet_option, read_settings
from backend.cli.records import open_records
from backend.cli.signals import run_async
from backend.errors import NotFound, RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.store.run_records import Run
    from backend.tools.coder.formats import Form
    from backend.types import Message


@click.command("resume")
@click.argument("reference", metavar="ID")
@format_options
@output_options
@quiet_option
@json_option
def resume(
    reference: str,
    form: Form | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Go on with an interrupted run: what it had finished is not done again.

    Its files have to lie where they lay, as they were. What comes of it is told as `ask` and `code`
    tell it.
    """
    settings = read_settings()
    run = run_async(_find(settings, reference))
    settings = _settings_of(run, settings)
    delivery = read_delivery(
        form=form,
        with_=with_,
        without=without,
        folder=folder,
        overwrite=overwrite,
        quiet=quiet,
        as_json=as_json,
    )
    if run.parent:
        result, written = run_async(_run_again(settings, run, run.parent, delivery))
        return tell_result(result, written, delivery)
    if run.kind == "task":
        result, written = run_async(_solve(settings, run, delivery))
        return tell_result(result, written, delivery)
    answer, written = run_async(_answer(settings, run, delivery))
    return tell_answer(answer, written, delivery)


async def _find(settings: Settings, reference: str) -> Run:
    """The run, if it was interrupted.

    Raises:
        NotFound: there is no such run.
        RequestError: it stands otherwise, or an identical one was interrupted after it.
    """
    async with open_records(settings) as records:
        run = await records.runs.find(reference, owner=records.owner)
        if run.status != "interrupted":
            raise RequestError(
                f"The run {run.id} cannot be gone on with: it is {run.status}.",
                "Wait for it." if run.status == "running" else "`runs show` tells what came of it.",
            )
        newest = await records.runs.find_interrupted(owner=records.owner, key=run.key)
    if newest is not None and newest.id != run.id and not run.parent:
        raise RequestError(
            f"The same was asked again, and interrupted, in {newest.id}.", "Go on with that one."
        )
    return run


def _settings_of(run: Run, settings: Settings) -> Settings:
    """The settings with the model that the run was begun with; of a script, its file is not kept."""
    model = str(run.spec.get("model", ""))
    if not model or model.startswith("scripted:"):
        return settings
    return read_settings(model=model)


async def _solve(
    settings: Settings, run: Run, delivery: Delivery
) -> tuple[dict[str, Any], list[Path]]:
    from backend.tools.coder.task import options_of

    files = await _require_same(settings, run)
    known = dict(run.spec["options"])
    inputs = known.pop("inputs")
    if inputs is None:
        raise RequestError(
            f"The run {run.id} was given variables that are not kept.", "Ask anew, with them."
        )
    return await solve(
        settings,
        run.request,
        delivery,
        background=run.spec["background"],
        files=[str(path) for path in files.values()],
        options=options_of(known),
        inputs=inputs,
        use_cache=False,
    )


async def _answer(settings: Settings, run: Run, delivery: Delivery) -> tuple[Any, list[Path]]:
    from backend.core.requests import Ask

    files = await _require_same(settings, run)
    options = run.spec["options"]
    request = Ask(
        question=run.request,
        agent_type=options["agent"],
        history=_history(run),
        files=files,
        sampling=options["sampling"],
        session_id=run.session_id,
    )
    return await answer_request(settings, request, delivery)


async def _run_again(
    settings: Settings, run: Run, parent: str, delivery: Delivery
) -> tuple[dict[str, Any], list[Path]]:
    """A program of a former run has no steps to go on after: it runs from its beginning."""
    from backend.tools.coder.solutions import Solutions
    from backend.tools.python_executor_engine import open_engine

    files = await _unchanged_files(run)
    inputs = run.spec["options"]["changed"]
    if inputs is None:
        raise RequestError(
            f"The run {run.id} was given values that are not kept.", "Use `runs again`, with them."
        )
    settings = settings.model_copy(update={"preimport": "none"})
    async with open_records(settings) as records, open_engine(settings) as engine:
        solutions = Solutions(
            runs=records.runs, engine=engine, blobs=records.blobs, settings=settings
        )
        result = await solutions.run_again(parent, owner=records.owner, files=files, inputs=inputs)
        if await records.runs.claim(run.id, owner=records.owner):
            left = {"success": False, "error": f"It was interrupted; {result['run_id']} did it."}
            await records.runs.finish(run.id, left, owner=records.owner, status="cancelled")
        written = await delivery.write(result, records.blobs, request=run.request, files=[*files])
        return result, written


async def _require_same(settings: Settings, run: Run) -> dict[str, Path]:
    """The run's input files, if the request is still the one that it was.

    Raises:
        RequestError: a file, the model, a setting or a prompt is another one now.
    """
    from backend.llm.models import open_models
    from backend.tools.coder.recall import identify

    files = await _unchanged_files(run)
    async with open_models(settings) as models:
        model = models.get()
        identity = await identify(
            kind=run.kind,
            request=run.request,
            model=model,
            settings=settings,
            background=run.spec.get("background", ""),
            history=_history(run),
            files=files,
            options=run.spec["options"],
        )
    if identity.key == run.key:
        return files
    begun, now = run.spec.get("model", run.model), f"{model.provider}:{model.name}"
    if begun not in (now, model.name):
        raise RequestError(
            f"The run {run.id} was begun with the model {begun!r}, and {now!r} is configured.",
            "Set PYTHON_CODER_MODEL to the former one.",
        )
    raise RequestError(
        f"The run {run.id} was begun with other settings or another version of python-coder.",
        "Set them as they were, or ask anew.",
    )


async def _unchanged_files(run: Run) -> dict[str, Path]:
    """Name -> path of each input file.

    Raises:
        NotFound: one is gone.
        RequestError: one has changed.
    """
    import asyncio

    from backend.tools.coder.recall import mark_files

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


def _history(run: Run) -> tuple[Message, ...]:
    from backend.types import Message

    return tuple(
        Message(role=role, content=content) for role, content in run.spec.get("history", ())
    )
