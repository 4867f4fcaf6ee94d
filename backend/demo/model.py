"""Who answers in the demo: the local model when it is there, else the recorded conversation."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from backend.config.settings import Settings
from backend.errors import MachineError, PythonCoderError
from backend.llm.models import open_models

_THE_MACHINES_OWN = frozenset(
    "executor allow_network host port public_base_url log_level "
    "data_dir execution_dir database_url max_parallel_runs".split()
)
"""Settings that a recording does not depend on: they stay as the user has them."""
_RECORDED_WITH: dict[str, Any] = {"timeout_s": 60.0, "max_memory_mb": 1024}
"""Beside the defaults: room for a machine that is busy with other things."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who answers."""

    settings: Settings
    recorded: bool
    line: str
    """The demo's first line, which says it."""


async def choose_model(settings: Settings, folder: Path) -> Cast:
    """See whether the configured model can be asked, and take the recording if not.

    Args:
        settings: the user's.
        folder: for a copy of the recording: a script that was opened before goes on where it was.
    """
    why = await _why_not_live(settings)
    if not why:
        name = settings.model.partition(":")[2]
        line = f"{name}: the local model answers, live; what it writes differs each time."
        return Cast(settings=settings, recorded=False, line=line)
    script = folder / "conversation.jsonl"
    recording = resources.files("backend.demo").joinpath("conversation.jsonl")
    script.write_bytes(recording.read_bytes())
    defaults = {
        name: field.default
        for name, field in Settings.model_fields.items()
        if name not in _THE_MACHINES_OWN
    }
    line = (
        "scripted: a recorded conversation; checks, sandbox, repairs, plots and files below are "
        f"real ({why})."
    )
    update = {**defaults, **_RECORDED_WITH, "model": f"scripted:{script}"}
    return Cast(settings=settings.model_copy(update=update), recorded=True, line=line)


async def _why_not_live(settings: Settings) -> str:
    if settings.model.startswith("scripted:"):
        return "PYTHON_CODER_MODEL names a script"
    try:
        async with open_models(settings) as models:
            await models.check()
    except MachineError:
        return f"no model server answers for {settings.model}"
    except PythonCoderError as error:
        return error.what_and_where.rstrip(".")
    return ""
