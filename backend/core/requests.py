"""What is asked of the assistant and what it answers, whichever face it came through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from backend.types import (
    AgentName,
    AgentType,
    ArtifactRef,
    Isolation,
    Message,
    UsageTotals,
    total_usage,
)


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
    temperature: float | None = None
    max_tokens: int | None = None


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
    steps: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each step of the agent: thought, action, input, observation, ..."""
    python_coder_results: list[dict[str, Any]] = field(default_factory=list)
    """The dicts of ``execute_code_task``, one for each use of the coder."""
    artifacts: list[ArtifactRef] = field(default_factory=list)
    usage: UsageTotals = field(default_factory=lambda: total_usage(()))
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds, summed: ``generation_s``, ``verification_s``, ``execution_s``, ..., ``total_s``."""
    isolation: Isolation | None = None
    """The walls of the last run; None when nothing was run."""
