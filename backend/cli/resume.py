"""``runs resume``: goes on with a run whose process ended before it did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.approving import terminal_approver
from backend.cli.ask import answer_request, tell_answer
from backend.cli.code import tell_result
from backend.cli.delivery import Delivery, read_delivery
from backend.cli.formatting import format_options
from backend.cli.options import json_option, output_options, quiet_option, read_settings
from backend.cli.records import open_records
from backend.cli.signals import run_async
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.store.run_records import Run


_INSTEAD = {
    "queued": "A server begins it: `python-coder serve`.",
    "running": "Wait for it.",
    "waiting": "Approve or reject its program: `runs approve`, `runs reject`.",
}


@click.command("resume")
@click.argument("reference", metavar="ID")
@format_options
@output_options
@quiet_option
@json_option
def resume(reference: str, **wanted: Any) -> int:
    """Go on with an interrupted run: what it had finished is not done again.

    Its files have to lie where they lay, as they were. What comes of it is told as `ask` and `code`
    tell it.
    """
    settings = read_settings()
    run = run_async(_find(settings, reference))
    return go_on(run, settings_of(run, settings), read_delivery(**wanted))


def go_on(run: Run, settings: Settings, delivery: Delivery) -> int:
    """Go on with a run that was interrupted, and tell what comes of it."""
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
                _INSTEAD.get(run.status, "`runs show` tells what came of it."),
            )
        newest = await records.runs.interrupted.find(owner=records.owner, key=run.key)
    if newest is not None and newest.id != run.id and not run.parent:
        raise RequestError(
            f"The same was asked again, and interrupted, in {newest.id}.", "Go on with that one."
        )
    return run


def settings_of(run: Run, settings: Settings) -> Settings:
    """The settings with the model that the run was begun with."""
    from backend.tools.coder.resuming import model_of

    model = model_of(run)
    return read_settings(model=model) if model else settings


async def _solve(
    settings: Settings, run: Run, delivery: Delivery
) -> tuple[dict[str, Any], list[Path]]:
    from backend.cli.progress import open_progress
    from backend.store.blobs import BlobStore
    from backend.tools.python_coder_tool import PythonCoderTool

    files = await require_same(settings, run)
    with open_progress(quiet=delivery.quiet or delivery.as_json) as progress:
        result = await PythonCoderTool(settings).resume(
            run.id, approver=terminal_approver(), emit=progress
        )
    blobs = BlobStore.of(settings)
    return result, await delivery.write(result, blobs, request=run.request, files=[*files])


async def _answer(settings: Settings, run: Run, delivery: Delivery) -> tuple[Any, list[Path]]:
    from backend.core.resuming import ask_of
    from backend.store.database import LOCAL_OWNER

    await require_same(settings, run)
    return await answer_request(settings, await ask_of(run, owner=LOCAL_OWNER), delivery)


async def _run_again(
    settings: Settings, run: Run, parent: str, delivery: Delivery
) -> tuple[dict[str, Any], list[Path]]:
    """A program of a former run has no steps to go on after: it runs from its beginning."""
    from backend.tools.coder.resuming import unchanged_files
    from backend.tools.coder.solutions import Solutions
    from backend.tools.python_executor_engine import open_engine

    files = await unchanged_files(run)
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
        if await records.runs.interrupted.claim(run.id, owner=records.owner):
            left = {"success": False, "error": f"It was interrupted; {result['run_id']} did it."}
            await records.runs.finish(run.id, left, owner=records.owner, status="cancelled")
        written = await delivery.write(result, records.blobs, request=run.request, files=[*files])
        return result, written


async def require_same(settings: Settings, run: Run) -> dict[str, Path]:
    """The run's input files, if the request is still the one that it was.

    Raises:
        RequestError: a file, the model, a setting or a prompt is another one now.
    """
    from backend.llm.models import open_models
    from backend.tools.coder.recall import identify
    from backend.tools.coder.resuming import history_of, unchanged_files

    files = await unchanged_files(run)
    async with open_models(settings) as models:
        model = models.get()
        identity = await identify(
            kind=run.kind,
            request=run.request,
            model=model,
            settings=settings,
            background=run.spec.get("background", ""),
            history=history_of(run),
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
