"""``ask``: a question in plain words, answered by a program that was checked, run and repaired."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import answer_line, files_line
from backend.cli.folder import OutputFolder
from backend.cli.formatting import format_options, read_telling, tell
from backend.cli.notebook_file import NotebookFile
from backend.cli.options import (
    files_option,
    json_option,
    names_provider,
    output_options,
    quiet_option,
    read_settings,
)
from backend.cli.output import clean, print_json, print_line
from backend.cli.question import read_question
from backend.cli.signals import run_async

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.core.requests import Answer, Ask
    from backend.tools.coder.formats import Form
    from backend.types import AgentType, ArtifactRef


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
@click.option("--no-cache", is_flag=True, help="Ask anew, even if the same was answered before.")
@click.option("-m", "--model", metavar="MODEL", help="provider:model, or a name of Ollama's.")
@format_options
@click.option(
    "--notebook",
    "notebook",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a notebook with the programs and what they printed and drew.",
)
@output_options
@quiet_option
@json_option
def command(
    question: str,
    more_files: tuple[str, ...],
    files: tuple[str, ...],
    agent: AgentType,
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
    telling = read_telling(form, with_, without, as_json=as_json)
    settings = read_settings(model=model if model and names_provider(model) else None)
    asked = read_question(question, settings)
    target = OutputFolder(folder, overwrite=overwrite) if folder else None
    pages = NotebookFile(notebook, overwrite=overwrite) if notebook else None

    from backend.core.requests import Ask
    from backend.tools.python_executor_engine import place_files

    request = Ask(
        question=asked,
        agent_type=agent,
        files=place_files([*files, *more_files], settings),
        model=None if model is None or names_provider(model) else model,
        use_cache=settings.cache and not no_cache,
    )
    answer, written = run_async(_answer(settings, request, target, pages, quiet=quiet or as_json))
    document = answer_document(answer, written)
    if as_json:
        print_json(document | ({"notebook": str(pages.path)} if pages else {}))
    else:
        if telling is None:
            show_answer(answer.text)
        else:
            tell(document, telling)
        if not quiet:
            names = [made["name"] for made in newest(answer.artifacts)]
            for line in (
                files_line(names, written, target.path if target else None),
                answer_line(answer),
            ):
                if line:
                    print_line(line)
    return 0 if answer.success else 1


async def _answer(
    settings: Settings,
    request: Ask,
    target: OutputFolder | None,
    pages: NotebookFile | None,
    *,
    quiet: bool,
) -> tuple[Answer, list[Path]]:
    from backend.cli.progress import open_progress
    from backend.core.assistant import open_assistant

    async with open_assistant(settings) as assistant:
        with open_progress(quiet=quiet) as progress:
            answer = await assistant.run(request, progress)
        written = []
        if target is not None:
            for made in newest(answer.artifacts):
                content = await assistant.blobs.get(made["sha256"])
                written.append(target.write(made["name"], content))
        if pages is not None:
            from backend.tools.coder.notebook import build_notebook, notebook_text

            built = await build_notebook(
                answer.as_dict(), assistant.blobs, request=request.question, files=[*request.files]
            )
            pages.write(notebook_text(built))
        return answer, written


def newest(made: Sequence[ArtifactRef]) -> list[ArtifactRef]:
    """The files without those that a later program wrote again."""
    return list({entry["name"]: entry for entry in made}.values())


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
    made = newest(answer.artifacts)
    paths: list[Path | None] = [*written] or [None] * len(made)
    return {
        "success": answer.success,
        "answer": document.pop("text"),
        **document,
        "artifacts": [
            {**entry, "path": str(path) if path else None}
            for entry, path in zip(made, paths, strict=True)
        ],
        "isolation": answer.isolation.as_dict() if answer.isolation else None,
    }
