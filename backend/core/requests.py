"""What is asked of the assistant and what it answers, whichever face it came through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from backend.store.database import LOCAL_OWNER
from backend.tools.approval import Decision
from backend.types import (
    AgentName,
    AgentType,
    ApprovalMode,
    ArtifactRef,
    Isolation,
    Message,
    ModelCall,
    Sampling,
)
from backend.usage import UsageTotals, total_usage, usage_since


@dataclass(frozen=True, kw_only=True)
class AnswerForm:
    """The form in which an answer is wanted: JSON by a schema."""

    schema: Mapping[str, Any]
    """A JSON Schema."""
    description: str = ""
    """What the value is, in the caller's words."""

    @property
    def is_plain_object(self) -> bool:
        """Any JSON object will do."""
        return self.schema == {"type": "object"}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``form_of`` reads them again."""
        return {"schema": dict(self.schema), "description": self.description}


def form_of(document: Mapping[str, Any] | None) -> AnswerForm | None:
    """The form that ``as_dict`` gave."""
    return None if document is None else AnswerForm(**document)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question with everything that belongs to it."""

    question: str
    agent_type: AgentType = "auto"
    history: tuple[Message, ...] = ()
    """Earlier turns, oldest first, the question not among them."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name in the program's working directory -> path outside (see ``place_files``)."""
    model: str | None = None
    """Another model than the configured one, as ``provider:model`` or a bare Ollama name."""
    sampling: Sampling = field(default_factory=lambda: Sampling())
    owner: str = LOCAL_OWNER
    """Whose request it is; its record is theirs."""
    session_id: str | None = None
    form: AnswerForm | None = None
    """In which form the answer is wanted; None for words."""
    stop: tuple[str, ...] = ()
    """Sequences at which a model that talks to the user stops. Agents' own steps do not."""
    use_cache: bool = False
    """Whether the answer to an identical question may be given again."""
    approve: ApprovalMode = "off"
    """About which programs the user is asked before they run."""
    run_id: str | None = None
    """Go on with this run, whose question it is; see ``resuming.py``."""
    decision: Decision | None = None
    """What the user said about the program that this run waits with; recorded when the work begins."""
    leaves: str | None = None
    """A run of the conversation that waits with a program: asked something else, its user is not
    going to decide about it. It ends when the work on this begins."""
    about: str = ""
    """The digest of the program that was decided about or is left: the run may wait with another
    one by then."""
    is_claimed: bool = False
    """That run is this process's already, and perhaps not begun yet."""
    in_background: bool = False
    """Nobody waits for it: cancelled with its process, it is left to whoever goes on with it."""
    is_recorded: bool = True
    """False leaves no record of it; then no program of it can wait for approval."""
    memory_mb: int | None = None
    """Mebibytes each of its programs may use; None: what the settings say."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a question. A program that failed is told here; it is no exception."""

    text: str
    success: bool
    """False when the request could not be answered; ``text`` then says why."""
    agent: AgentName
    mode: Literal["explicit", "auto"]
    model: str
    """The model's name as shown to people; ``scripted`` for a recorded conversation."""
    scores: dict[str, float] = field(default_factory=dict)
    matched_terms: dict[str, list[str]] = field(default_factory=dict)
    chosen_by: Literal["keywords", "model"] | None = None
    """Who chose the agent: the router, or a model where it is not sure. None: it was named."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each step of the agent: thought, action, input, observation, ..."""
    python_coder_results: list[dict[str, Any]] = field(default_factory=list)
    """The dicts of ``execute_code_task``, one for each use of the coder."""
    tool_results: list[dict[str, Any]] = field(default_factory=list)
    """What came of each use of another tool."""
    questions: list[str] = field(default_factory=list)
    """What the user has to say first; then they are the answer, and nothing was done."""
    artifacts: list[ArtifactRef] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    """The agent's own calls; the coder's are in its results."""
    usage: UsageTotals = field(default_factory=lambda: total_usage(()))
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds, summed: ``generation_s``, ``verification_s``, ``execution_s``, ..., ``total_s``."""
    isolation: Isolation | None = None
    """The walls of the last run; None when nothing was run."""
    run_id: str | None = None
    """Its record; None where nothing is recorded."""
    cached: bool = False
    """It was given before, and nothing was done for it now."""
    resumed: bool = False
    """Its first steps were done before: by a process that is no more, or before an approval."""
    refusal: str | None = None
    """Why the answer is not in the form that was asked for; ``text`` says the same."""
    told_usage: UsageTotals | None = None
    """What of ``usage`` was told before, with the programs that had to be approved."""
    approval: dict[str, Any] | None = None
    """The program that has to be approved before the work goes on: ``run_id``, ``code``,
    ``language`` and ``reasons``. None for an answer that is one."""

    @property
    def new_usage(self) -> UsageTotals:
        """What was used up since the last answer to this request."""
        return usage_since(self.usage, self.told_usage)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``answer_of`` reads them again."""
        # Not ``asdict``: it copies whatever all the programs printed, value by value.
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return values | {"isolation": self.isolation.as_dict() if self.isolation else None}


def answer_of(document: Mapping[str, Any]) -> Answer:
    """The answer that ``as_dict`` gave."""
    known = {entry.name for entry in fields(Answer)}
    values = {key: value for key, value in document.items() if key in known}
    isolation = values["isolation"]
    if isolation is not None:
        values["isolation"] = Isolation(**{**isolation, "walls": tuple(isolation["walls"])})
    return Answer(**values)
