"""Runs: requests with their record, in the background or not."""

from __future__ import annotations

from typing import Any, Literal

from backend.api.shapes.base import Deleted, Page, Shape

RunState = Literal["queued", "running", "waiting_approval", "completed", "failed", "cancelled"]


class RunApproval(Shape):
    """A program that waits for its user's word."""

    run_id: str
    """The run that waits."""
    code: str
    """The program."""
    language: str
    """`python` or `bash`."""
    reasons: list[str]
    """What it does that should be known before it runs."""


class RunError(Shape):
    """Why a run failed or was cancelled."""

    kind: str
    """Who must act: `input`, `model`, `sandbox`, `program`, `policy`, `budget`, `disabled`,
    `cancelled`, `interrupted` (its server ended, and nobody goes on with it) or `internal`."""
    message: str
    """What happened, for people."""


class RunUsage(Shape):
    """Tokens of all the model's calls together."""

    prompt_tokens: int
    """Of the prompts."""
    completion_tokens: int
    """Of the replies."""
    total_tokens: int
    """Both."""


class RunSummaryObject(Shape):
    """A request and how it stands."""

    id: str
    """What other requests name it by."""
    object: Literal["run"]
    """Always `run`."""
    kind: Literal["ask", "task"]
    """`ask`: a question to an agent. `task`: a use of the coder alone, as from the command line."""
    status: RunState
    """`failed` is an end like `completed`: the request was worked on, and could not be answered."""
    background: bool
    """Nobody has to wait for it (`POST /v1/runs`, or a response with `background`): it goes on whoever is there, and has events."""
    cancel_requested: bool
    """Whoever works on it was told to end it."""
    request: str
    """The question."""
    model: str
    """The model that is asked."""
    session_id: str | None
    """Its conversation."""
    usage: RunUsage
    """What it used up; zeros until it is over, or waits for an approval."""
    created_at: int
    """Unix time in seconds."""
    updated_at: int
    """Unix time in seconds."""
    finished_at: int | None
    """Unix time in seconds; null until it is over."""


class RunObject(RunSummaryObject):
    """A request with what came of it."""

    success: bool | None
    """Whether it could be answered; null until that is known, or it is cancelled; false while it
    waits for an approval."""
    answer: str | None
    """The answer's words, or those that ask for an approval; null until there are some."""
    approval: RunApproval | None
    """The program that waits for a decision; null when none does."""
    error: RunError | None
    """Why it failed; null unless it did."""
    response: dict[str, Any] | None
    """Of one in the background: the whole chat completion, once it is there; while it waits for an
    approval the one that shows the program."""


class RunList(Page[RunSummaryObject]):
    """The owner's runs."""


class RunDeleted(Deleted):
    """A run, its events and what only it kept are gone."""

    object: Literal["run"]
    """Always `run`."""


class RunEventObject(Shape):
    """Something that happened in a run in the background."""

    id: int
    """Its number, from 1 without gaps."""
    object: Literal["run.event"]
    """Always `run.event`."""
    run_id: str
    """The run."""
    type: str
    """`run.queued`, `run.started` (again after a restart), `step`, `text` (a piece of the answer's
    words), and at the end `run.completed`, `run.failed`, `run.cancelled` or `run.waiting_approval`."""
    created_at: int
    """Unix time in seconds."""
    step: str | None
    """Of a `step`: which, such as `plan`, `code`, `run`, `output`, `repair`."""
    text: str | None
    """Of a `step` or `text`: what a person can read of it."""
    data: dict[str, Any]
    """Values of a step; empty where there are none, or too many."""


class RunEventList(Page[RunEventObject]):
    """Events of a run in their order. `first_id` and `last_id` are numbers as text."""
