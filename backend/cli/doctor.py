"""``doctor``: what is missing on this machine, each with what mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backend.cli.options import json_option, names_provider, read_settings
from backend.cli.output import one_line, print_json
from backend.cli.signals import run_async
from backend.errors import PythonCoderError
from backend.types import MachineFinding, ToolSpec

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.llm.models import Models

_MARKS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


@click.command("doctor")
@click.option("--model", metavar="MODEL", help="Look for this model instead of the configured one.")
@click.option("--no-run", is_flag=True, help="Run nothing, not even the sandbox's own test.")
@json_option
def command(model: str | None, no_run: bool, as_json: bool) -> int:
    """Look for what is missing on this machine. Exit status 3 when something needed is.

    Looked at: the settings and where they come from, the sandbox (with a real run), the model
    server and its model, MCP servers and other tools, the folders that are written to, and
    PostgreSQL where DATABASE_URL names one.
    """
    if model and not names_provider(model):
        model = f"ollama:{model}"
    settings = read_settings(model=model)
    findings = run_async(_examine(settings, runs=not no_run))
    healthy = all(finding.state != "missing" for finding in findings)
    if as_json:
        print_json({"success": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.state]}  {finding.topic:<10} {one_line(finding.what)}")
            if finding.remedy:
                click.echo(f"{'':21}{one_line(finding.remedy)}")
    return 0 if healthy else 3


async def _examine(settings: Settings, *, runs: bool) -> list[MachineFinding]:
    findings = list(_settings(settings))
    findings += await _sandbox(settings, runs=runs)
    findings += await _model(settings)
    findings += await _tools(settings, runs=runs)
    findings += [
        _folder("data", settings.data_dir, "PYTHON_CODER_DATA_DIR"),
        _folder("runs", settings.execution_dir, "PYTHON_CODE_EXECUTION_DIR"),
    ]
    return findings + await _database(settings)


def _settings(settings: Settings) -> Iterator[MachineFinding]:
    from backend.config.settings import Settings, dotenv_file, yaml_file

    known = {str(field.alias) for field in Settings.model_fields.values()}
    sources = [f"{name} from the environment" for name in sorted(known & set(os.environ))]
    sources += [str(path.resolve()) for path in (dotenv_file(), yaml_file()) if path]
    yield MachineFinding(
        topic="settings", state="ok", what="; ".join(sources) or "defaults: no file, no variable"
    )
    if not settings.enabled:
        yield MachineFinding(
            topic="settings",
            state="note",
            what="Running code is switched off (PYTHON_CODE_ENABLED is false).",
            remedy="Set PYTHON_CODE_ENABLED=true to switch it on.",
        )
    if settings.allow_network:
        yield MachineFinding(
            topic="settings",
            state="note",
            what="Programs have the network of this machine (PYTHON_CODE_ALLOW_NETWORK is true).",
            remedy="Unset PYTHON_CODE_ALLOW_NETWORK to put that wall up again.",
        )


async def _sandbox(settings: Settings, *, runs: bool) -> list[MachineFinding]:
    from backend.sandbox.doctor import diagnose

    findings = await diagnose(settings, run=runs)
    if not runs:
        not_run = "no program was run (--no-run)"
        findings.append(MachineFinding(topic="run", state="note", what=not_run))
    return findings


async def _model(settings: Settings) -> list[MachineFinding]:
    from backend.llm.models import open_models

    try:
        async with open_models(settings) as models:
            await models.check()
            if settings.model.startswith("scripted:"):
                what = f"{settings.model}: a recorded conversation answers, not a model"
                return [MachineFinding(topic="model", state="note", what=what)]
            there = MachineFinding(topic="model", state="ok", what=f"{settings.model} is there")
            return [there, await _actions(models, settings)]
    except PythonCoderError as error:
        return [_missing("model", error)]


async def _actions(models: Models, settings: Settings) -> MachineFinding:
    """In which form agents ask their model for the next action."""
    own = settings.stage_options.get("act")
    name = own.model if own is not None and own.model is not None else settings.model
    model = models.get(name)
    tool: ToolSpec = {"name": "finish", "description": "", "parameters": {}}
    rung = await model.rung("act", schema={}, tools=[tool])
    if rung == "tools" and model.provider == "openai":
        how = "asked for as native tool calls, unless the server refuses them; then as JSON"
    elif rung == "tools":
        how = "asked for as native tool calls, which Ollama says the model has"
    else:
        how = "asked for as JSON by a schema: Ollama names no tool calls among what it can"
    return MachineFinding(topic="actions", state="ok", what=f"{name}: {how}")


async def _tools(settings: Settings, *, runs: bool) -> list[MachineFinding]:
    from backend.tools.extra.opening import examine

    try:
        return await examine(settings, start=runs)
    except PythonCoderError as error:
        return [_missing("mcp", error)]


async def _database(settings: Settings) -> list[MachineFinding]:
    from backend.store.reaching import reach_postgres

    try:
        place = await reach_postgres(settings)
    except PythonCoderError as error:
        return [_missing("database", error)]
    return [MachineFinding(topic="database", state="ok", what=place)] if place else []


def _missing(topic: str, error: PythonCoderError) -> MachineFinding:
    return MachineFinding(
        topic=topic, state="missing", what=error.what_and_where, remedy=error.remedy
    )


def _folder(topic: str, folder: Path, variable: str) -> MachineFinding:
    """Whether a folder can be written to, or be made; nothing is made here."""
    place = folder.absolute()
    existing = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        made = "" if existing == place else " (will be made)"
        return MachineFinding(topic=topic, state="ok", what=f"{place}{made}")
    why = "cannot be written to" if existing.is_dir() else "is no folder"
    return MachineFinding(
        topic=topic,
        state="missing",
        what=f"{place} cannot be used: {existing} {why}.",
        remedy=f"Make it writable, or set {variable} to a folder that is.",
    )
