"""What is recorded of a request, and what the work on it is told of its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.config.settings import Settings
from backend.llm.models import LanguageModel
from backend.store.database import LOCAL_OWNER
from backend.store.run_records import Run, RunKind
from backend.tools.approval import Decision
from backend.tools.coder.recall import Identity
from backend.types import Message, ModelCall
from backend.usage import UsageTotals, total_usage

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be recorded of a request, and what makes another one identical to it."""

    kind: RunKind
    request: str
    model: LanguageModel
    settings: Settings
    background: str = ""
    history: tuple[Message, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    owner: str = LOCAL_OWNER
    session_id: str | None = None
    run_id: str | None = None
    """Go on with this run, which was interrupted or waits, instead of looking for one."""
    decision: Decision | None = None
    """What the user said about the program that this run waits with."""
    about: str = ""
    """The digest of that program."""
    is_claimed: bool = False
    """That run is this process's already, and perhaps not begun yet."""
    hands_back: bool = False
    """Cancelled, it is left to be gone on with by whoever is there; not if ``cancel`` did it."""
    recall: bool = True
    """Answer from what is kept, where an identical request succeeded before."""
    resume: bool = True
    """Go on with an identical request that was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the work is told of its record."""

    run_id: str
    """Also the name under which its steps are kept."""
    resumed: bool
    decided: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the user decided about programs: digest -> decision."""
    told_usage: UsageTotals | None = None
    """What its caller was told to be used up, when it began to wait."""
    columns: dict[str, list[str]] = field(default_factory=dict)
    """Which columns each input file has, once they were looked into: the work puts them here."""
    calls: list[ModelCall] = field(default_factory=list)
    """Its calls of models: the work puts them here when it ends, however that is."""


Work = Callable[[Job], Awaitable[Result]]


def spec_of(entry: Entry, identity: Identity) -> dict[str, Any]:
    """What a request was asked with, as its record keeps it."""
    return {
        "model": f"{entry.model.provider}:{entry.model.name}",
        "background": entry.background,
        "history": [[turn.role, turn.content] for turn in entry.history],
        "script": identity.script,
        "files": {name: dict(mark) for name, mark in identity.files.items()},
        "options": dict(entry.options),
    }


def going_on(found: Run) -> Job:
    """The job of a run that was begun before."""
    decided = found.spec.get("decided") or {}
    told = found.spec.get("told_usage")
    return Job(run_id=found.id, resumed=True, decided=decided, told_usage=told)


def prompts_of(result: Mapping[str, Any]) -> dict[str, list[str]]:
    """The digest of every prompt that was sent, by stage, in their order."""
    found: dict[str, list[str]] = {}
    uses = result.get("python_coder_results", ())
    for made in (result, *uses):
        for call in made.get("calls", ()):
            found.setdefault(call["stage"], []).append(call["prompt_sha256"])
    return found


def recalled(run_id: str, result: Mapping[str, Any], seconds: float) -> Result:
    """A former result, as it is given again: nothing was used up for it."""
    timings = {**dict.fromkeys(result.get("timings", {}), 0.0), "total_s": round(seconds, 4)}
    return {
        **result,
        "usage": total_usage(()),
        "calls": [],
        "timings": timings,
        "execution_time": 0.0,
        "run_id": run_id,
        "resumed": False,
        "cached": True,
    }
