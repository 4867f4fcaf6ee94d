"""How an answer came about: `x_agent_metadata`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from backend.api.shapes.base import Shape
from backend.api.shapes.programs import ArtifactShape, IsolationShape
from backend.types import AgentName, ErrorKind, Language


class StageUsage(Shape):
    """What one stage of the work used up."""

    input_tokens: int
    """Of its prompts, as the model server counts."""
    output_tokens: int
    """Of its replies."""
    calls: int
    """How often the model was asked."""


class UsageShape(Shape):
    """What a request used up, all its model calls together."""

    input_tokens: int
    """Of all prompts."""
    output_tokens: int
    """Of all replies."""
    calls: int
    """How often a model was asked."""
    by_stage: dict[str, StageUsage]
    """The same by stage: `plan`, `act`, `generate`, `review`, `repair`, `answer`, ..."""


class ResultArtifact(Shape):
    """A file that a program wrote, in the result of the tool."""

    name: str
    """Relative to the program's working directory."""
    media_type: str
    """What it is."""
    size: int
    """Bytes."""
    id: str | None
    """The file's id; null of one that a later step wrote again."""


class CoderResult(Shape):
    """One use of `python_coder`: a program that was written, checked, run and mended."""

    success: bool
    """The program ran, and did what it should."""
    code: str
    """The last program."""
    output: str
    """What its last run printed."""
    error: str | None
    """What happened, and who must act."""
    error_kind: ErrorKind | None
    """Who must act; null of a success."""
    execution_time: float
    """Seconds that programs ran."""
    iterations: int
    """1 for the first draft, and 1 for each rewrite before a run."""
    modifications: list[dict[str, Any]]
    """Each rewrite before a run: `iteration`, `issues`, `change`, `by`."""
    verification_history: list[dict[str, Any]]
    """Each program that was checked: `iteration`, `issues`, `action`, `note`."""
    plan: str
    """What the model meant to do."""
    language: Language
    """Of the program."""
    packages: list[str]
    """Third-party modules that it imports."""
    installed: list[str]
    """Packages that were installed for it."""
    value: str | None
    """The last expression's `repr`."""
    outputs: dict[str, Any] | None
    """Declared outputs, as plain JSON."""
    typed_outputs: dict[str, Any] | None
    """The same with objects that say in `$type` what they were."""
    tests: list[dict[str, Any]]
    """The tests and who wrote them."""
    test_report: dict[str, Any] | None
    """How they went the last time."""
    improvement: dict[str, Any] | None
    """Of a program that was to be improved: before and after."""
    facts: list[dict[str, Any]] = Field(default=[])
    """What was found out about the files before the program was written; agents leave it out."""
    artifacts: list[ResultArtifact]
    """Files it wrote."""
    attempts: list[dict[str, Any]]
    """Each run: `code`, `stdout`, `stderr`, `error`, `stopped_by`, `returncode`, `diagnosis`,
    `duration_s`."""
    assessment: dict[str, Any] | None
    """Whether the output answers the request."""
    usage: UsageShape
    """What it used up."""
    calls: list[dict[str, Any]]
    """Each model call: stage, model, tokens, seconds."""
    timings: dict[str, float]
    """Seconds: `generation_s`, `verification_s`, `execution_s`, `improvement_s`, `total_s`."""
    isolation: IsolationShape | None
    """The walls of its last run."""
    notes: list[str]
    """Sentences for the reader."""
    approval: dict[str, Any] | None
    """The program that waits for the user's word."""
    run_id: str | None = None
    """Of its record, where it has one of its own."""
    cached: bool = False
    """It was known from an identical request."""
    resumed: bool = False
    """Its first steps were done by a process that is no more."""
    step: str = ""
    """The step of the agent that it belongs to."""
    task: str = ""
    """What the agent asked the tool for."""
    tool: str = ""
    """Always `python_coder`."""


class AgentMetadata(Shape):
    """How an answer came about."""

    agent_selected: AgentName
    """Which agent answered."""
    agent_selection_mode: Literal["explicit", "auto"]
    """`explicit` where the request named the agent."""
    agent_chosen_by: Literal["keywords", "model"] | None
    """Who chose it; null where it was named."""
    success: bool
    """False when the request could not be answered; the answer then says why."""
    scores: dict[str, float]
    """The router's scores."""
    matched_terms: dict[str, list[str]]
    """What of the question gave them."""
    steps: list[dict[str, Any]]
    """Each step of the agent: its task or thought, its tool, and what came of it."""
    python_coder_results: list[CoderResult]
    """Each use of the coder."""
    tool_results: list[dict[str, Any]]
    """What came of each use of another tool."""
    questions: list[str]
    """What the user has to say first; then they are the answer, and nothing was done."""
    artifacts: list[ArtifactShape]
    """The files that were written; of a name that was written again, the last one."""
    timings: dict[str, float]
    """Seconds, summed: `generation_s`, `verification_s`, `execution_s`, ..., `total_s`."""
    model: str
    """The model that was asked."""
    model_calls: int
    """How often it was asked."""
    usage_by_stage: dict[str, StageUsage]
    """`usage`, by stage."""
    isolation: IsolationShape | None
    """The walls of the last run; null when nothing was run."""
    run_id: str | None
    """The request's record, `/v1/runs/{run_id}`; null where none is kept."""
    resumed: bool
    """Its first steps were done before: by a process that is no more, or before an approval."""
    approval: dict[str, Any] | None
    """The program that has to be approved before the work goes on: `run_id`, `code`, `language`,
    `reasons`, ...; `/v1/runs/{run_id}/approve` and `/reject` decide."""
    notes: list[str]
    """Sentences for the reader: what could not be kept, ..."""
    code: str = ""
    """The last program; absent where there is none."""
    output: str = ""
    """What it printed; absent like `code`."""
    iterations: int = 0
    """How many drafts there were of it; absent like `code`."""
    history: list[dict[str, Any]] = Field(default=[])
    """What the check said of each; absent like `code`."""
