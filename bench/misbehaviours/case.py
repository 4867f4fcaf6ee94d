"""A misbehaviour of a model or of its server, and how the loop is to end all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.config.settings import Settings
from backend.tools.coder.task import Options
from backend.tools.toolbox import Tool
from tests.ollama_server import Line

Face = Literal["task", "react", "plan_execute"]
"""``execute_code_task``, or the assistant with that agent."""
Outcome = Literal["right result", "clear error"]
ALLOWED = 10
"""Model calls that a case may use unless it says otherwise; a plain task uses three."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How a case ends: what is expected of it, and what was seen."""

    outcome: Outcome
    words: str
    """Of a right result all that the program printed, or the agent's answer. Of an error what it
    says; in an expectation, what it says first. There ``...`` stands for what differs each time."""
    kind: str = ""
    """Of an error that is one: ``error_kind``. An agent's answer that says why has none."""
    calls: int
    """Questions that reached the server, second attempts among them."""
    runs: int
    mended: str = ""
    """What the loop did about it, in order of first use; '' where nothing was needed."""


@dataclass(frozen=True, kw_only=True)
class Misbehaviour:
    """One row of the matrix."""

    does: str
    """What the model or its server does."""
    lines: tuple[Line, ...]
    """What the server says, in this order; what is not said here is said as a good model would."""
    end: End
    face: Face = "task"
    allowed: int = ALLOWED
    """Model calls, set as ``PYTHON_CODER_MAX_CALLS``."""
    request: str = "Add 19 and 23 and print the sum."
    files: Mapping[str, bytes] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other than the defaults, by field name."""
    tools: tuple[Tool, ...] = ()
    """Of others, for an agent."""
    calls_tools: bool = False
    """The server says of the model that it can call tools natively."""
    is_served: bool = True
    """False: nobody listens at the server's address."""


def right(words: str, *, calls: int, runs: int = 1, mended: str = "") -> End:
    """A right result, after so many calls and runs."""
    return End(outcome="right result", words=words, calls=calls, runs=runs, mended=mended)


def error(kind: str, words: str, *, calls: int, runs: int = 0, mended: str = "") -> End:
    """A clear error, after so many calls and runs."""
    return End(outcome="clear error", kind=kind, words=words, calls=calls, runs=runs, mended=mended)


def base_settings(**more: Any) -> dict[str, Any]:
    """Every setting at its default, whatever this machine's environment says, but for ``more``."""
    defaults = {name: entry.default for name, entry in Settings.model_fields.items()}
    return {**defaults, **more}
