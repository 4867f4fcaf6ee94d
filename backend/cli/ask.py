"""``ask``: a question in plain words, answered by a program that was checked, run and repaired."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import answer_line
from backend.cli.approving import tell_waiting, terminal_approver
from backend.cli.delivery import Delivery, read_delivery, with_paths
from backend.cli.formatting import format_options, tell
from backend.cli.options import (
    approve_option,
    files_option,
    json_option,
    model_options,
    notebook_option,
    output_options,
    quiet_option,
    read_model_settings,
)
from backend.cli.output import clean, print_json, print_line
from backend.cli.question import read_question
from backend.cli.signals import run_async

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.core.requests import Answer, Ask
    from backend.tools.coder.formats import Form
    from backend.types import AgentType, ApprovalMode

WAITING = 4
"""The exit status of what waits for an approval."""


@click.command("ask")
@click.argument("question")
@click.argument("more_files", nargs=-1, metavar="", type=click.Path())
@files_option
@click.option(
    "--agent",
    type=click.Choice(["auto", "react", "plan_execute", "chat"]),
    default="auto",
    show_default=True,
    help="Who answers; auto lets the router choose.",
)
@approve_option
@click.option(
    "--session",
    metavar="NAME",
    help="Go on with the conversation of this name: what was said in it, and its files.",
)
@model_options
@format_options
@notebook_option
@output_options
@quiet_option
@json_option
def command(
    question: str,
    more_files: tuple[str, ...],
    files: tuple[str, ...],
    agent: AgentType,
    approve: ApprovalMode | None,
    session: str | None,
    no_cache: bool,
    model: str | None,
    form: Form | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    notebook: Path | None,
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Answer QUESTION (- for stdin). The answer goes to stdout, everything else to stderr.

    Plots and files that were made are written with -o DIR only.
    """
    if absent := [name for name in more_files if not Path(name).exists()]:
        raise click.UsageError(
            f"Unexpected {absent[0]!r}: put the question in quotes, and -f before each file.",
            click.get_current_context(),
        )
    settings, named = read_model_settings(model)
    asked = read_question(question, settings)
    delivery = read_delivery(
        form=form,
        with_=with_,
        without=without,
        folder=folder,
        overwrite=overwrite,
        notebook=notebook,
        quiet=quiet,
        as_json=as_json,
    )

    from backend.core.requests import Ask
    from backend.store.sessions import check_session_id
    from backend.tools.python_executor_engine import place_files

    request = Ask(
        question=asked,
        agent_type=agent,
        files=place_files([*files, *more_files], settings),
        model=named,
        use_cache=settings.cache and not no_cache,
        approve=approve or settings.approve,
        session_id=None if session is None else check_session_id(session),
    )
    answer, written = run_async(answer_request(settings, request, delivery))
    return tell_answer(answer, written, delivery)


async def answer_request(
    settings: Settings, request: Ask, delivery: Delivery
) -> tuple[Answer, list[Path]]:
    """The answer, and where its files were written.

    Raises:
        PythonCoderError: as ``Assistant.run``.
    """
    from backend.cli.conversation import Conversation
    from backend.cli.progress import open_progress
    from backend.core.assistant import open_assistant
    from backend.store.database import open_database

    async with open_database(settings) as database, open_assistant(settings, database) as assistant:
        conversation, asked = None, request
        if request.session_id is not None:
            conversation = Conversation(request.session_id, database, assistant.blobs)
            # A run that is gone on with has its history and files from its own beginning.
            asked = request if request.run_id else await conversation.continued(request)
        with open_progress(quiet=delivery.quiet or delivery.as_json) as progress:
            answer = await assistant.run(asked, progress, terminal_approver())
        if conversation is not None and answer.approval is None:
            await conversation.keep(request, answer)
        written = await delivery.write(
            answer.as_dict(), assistant.blobs, request=request.question, files=[*asked.files]
        )
        return answer, written


def tell_answer(answer: Answer, written: list[Path], delivery: Delivery) -> int:
    """Tell an answer as it is wanted; returns the exit status."""
    document = answer_document(answer, written)
    status = 0 if answer.success else WAITING if answer.approval else 1
    if delivery.as_json:
        print_json(document | delivery.named())
        return status
    if delivery.telling is None:
        show_answer(answer.text)
    else:
        tell(document, delivery.telling)
    if not delivery.quiet:
        delivery.tell_files(document["artifacts"], written)
        print_line(answer_line(answer))
    if answer.approval:
        tell_waiting(answer.approval)
    return status


def show_answer(text: str) -> None:
    """The answer on stdout: formatted on a terminal, as it is for another program."""
    if not sys.stdout.isatty():
        print(text, flush=True)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(highlight=False).print(Markdown(clean(text)))


def answer_document(answer: Answer, written: list[Path]) -> dict[str, Any]:
    """An answer as plain JSON values."""
    from dataclasses import asdict

    document = asdict(answer)
    return {
        "success": answer.success,
        "answer": document.pop("text"),
        **document,
        "artifacts": with_paths(document["artifacts"], written),
        "isolation": answer.isolation.as_dict() if answer.isolation else None,
    }
