"""What a record of a run is, and how a row becomes one."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from backend.errors import Conflict, RequestError, RunTaken
from backend.store.json_text import storable as storable
from backend.store.tables import RunRow

RunKind = Literal["task", "ask"]
"""``task``: one use of ``execute_code_task``. ``ask``: an agent's answer to a question."""
RunStatus = Literal[
    "queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"
]
"""``queued``: a server is to begin it. ``waiting``: for a decision about a program. ``completed``:
with success. ``failed``: it came to its end without. ``interrupted``: its process ended before it
did, or what it waited for is decided."""
OVER: Final[frozenset[RunStatus]] = frozenset({"completed", "failed", "cancelled"})

_MAX_NAME = 80


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run as it stands in a list."""

    id: str
    kind: RunKind
    status: RunStatus
    request: str
    name: str | None
    """Under which it was saved."""
    parent: str | None
    """The run whose program was run again."""
    key: str
    """Digest of the request: identical requests have the same."""
    model: str
    session_id: str | None
    usage: Mapping[str, Any]
    timings: Mapping[str, float]
    """Seconds."""
    process: str
    """Who works on it, or did (see ``processes.py``)."""
    created_at: float
    updated_at: float
    finished_at: float | None
    """Unix time in seconds."""
    background: bool
    """Nobody waits for it: servers work on it, and go on with it after a restart."""
    cancel_requested: bool


@dataclass(frozen=True, kw_only=True)
class Run(RunSummary):
    """A run with all that is known of it."""

    owner: str
    spec: Mapping[str, Any]
    """What it was asked with: ``context``, ``files``, ``options``, and ``columns`` of the files."""
    prompts: Mapping[str, Sequence[str]]
    """Stage -> the hashes of the prompts that were sent in it."""
    code: str
    """The last program."""
    result: Mapping[str, Any] | None
    """The whole result; None until there is one."""
    isolation: Mapping[str, Any] | None
    response: Mapping[str, Any] | None
    """Of one in the background, the answer as it goes out: a completion, or ``error``."""


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Some runs of a longer list."""

    runs: list[RunSummary]
    has_more: bool


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What became of a wish to forget runs."""

    count: int
    """How many there were."""
    unused: frozenset[str] = frozenset()
    """Digests of files that they made and that nothing refers to any more: bytes to remove."""
    interrupted: tuple[str, ...] = ()
    """Ids of those whose steps may still be kept, waiting ones among them."""


def summary_of(row: RunRow) -> RunSummary:
    """A row as it stands in a list; its large columns are not touched."""
    return RunSummary(**_summary_values(row))


def not_waiting(run: Run) -> Conflict:
    """The error for a decision about a run that does not wait with the program in question."""
    if run.status == "waiting":
        return Conflict(
            f"The run {run.id} waits with another program by now: the one that was decided about "
            "has its decision.",
            f"Look at the new one first: `python-coder runs show`, GET /v1/runs/{run.id}.",
        )
    return Conflict(
        f"The run {run.id} waits for no approval: it is {run.status}.",
        "`python-coder runs list --status waiting` and GET /v1/runs?status=waiting_approval show "
        "those that do.",
    )


def run_taken(run: Run) -> RunTaken:
    """The error for work on a run that is not this process's, or not any more."""
    return RunTaken(
        f"The run {run.id} is not worked on here any more: it is {run.status}.",
        f"`python-coder runs show` and GET /v1/runs/{run.id} tell what comes of it.",
    )


def run_of(row: RunRow) -> Run:
    """A whole row."""
    return Run(
        **_summary_values(row),
        owner=row.owner,
        spec=row.spec,
        prompts=row.prompts,
        code=row.code,
        result=row.result,
        isolation=row.isolation,
        response=row.response,
    )


def _summary_values(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": cast(RunKind, row.kind),
        "status": cast(RunStatus, row.status),
        "request": row.request,
        "name": row.name,
        "parent": row.parent,
        "key": row.key,
        "model": row.model,
        "session_id": row.session_id,
        "usage": row.usage,
        "timings": row.timings,
        "process": row.process,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "finished_at": row.finished_at,
        "background": row.background,
        "cancel_requested": row.cancel_requested,
    }


def last_program(result: Mapping[str, Any]) -> str:
    """The program that a result ends with: of a task, or of an answer's last use of the coder."""
    uses = result.get("python_coder_results") or [result]
    return next((str(use["code"]) for use in reversed(uses) if use.get("code")), "")


def artifacts_of(result: Mapping[str, Any]) -> list[MutableMapping[str, Any]]:
    """The files that a result tells of, those of an answer's uses of the coder among them."""
    uses = result.get("python_coder_results", ())
    return [*result.get("artifacts", ()), *(made for use in uses for made in artifacts_of(use))]


def digests_of(result: Mapping[str, Any] | None) -> frozenset[str]:
    """The digests of a result's files."""
    return frozenset(entry["sha256"] for entry in artifacts_of(result or {}))


def checked_name(name: str) -> str:
    """A name to save a run under, without the white space around it.

    Raises:
        RequestError: it is empty, too long, not printable, or looks like an id.
    """
    given = name.strip()
    if not 0 < len(given) <= _MAX_NAME or not given.isprintable() or given.startswith("run-"):
        raise RequestError(
            f"{name[:_MAX_NAME]!r} cannot be the name of a saved run.",
            f"Use 1 to {_MAX_NAME} printable characters that do not begin with run-.",
            param="name",
        )
    return given
