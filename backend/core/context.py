"""What the agents' graphs work with, and how they use the coder and tell of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from backend.llm.models import LanguageModel
from backend.prompts.fences import fenced
from backend.prompts.texts import OBSERVATION_CHARS, list_facts, shorten
from backend.tools.coder.graph import CoderGraph, run_task
from backend.tools.coder.recording import thread_of_use
from backend.tools.coder.state import CoderContext
from backend.tools.coder.task import Task
from backend.types import Emit, Message

_HISTORY_CHARS = 6000


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """The living things of one request; never enters a graph's state."""

    coder: CoderContext
    coder_graph: CoderGraph
    needs_code: bool
    """An answer without running a program would be a guess."""
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Message] = ()
    run_id: str | None = None
    """Under which name the request's steps are kept; None where they are not."""

    @property
    def model(self) -> LanguageModel:
        """Whom to ask."""
        return self.coder.model

    @property
    def emit(self) -> Emit:
        """Whom to tell."""
        return self.coder.emit

    @property
    def history_text(self) -> str:
        """The conversation before the request, for a prompt."""
        return shorten(
            "\n".join(f"{turn.role}: {turn.content}" for turn in self.history), _HISTORY_CHARS
        )

    @property
    def files_text(self) -> str:
        """What is known of the files, for a prompt."""
        return list_facts(self.facts)

    async def use_coder(
        self, request: str, task: str, results: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Let ``python_coder`` work on a task of a request.

        Raises:
            PythonCoderError: our machinery failed before anything was run.
        """
        parts = []
        if task.strip() != request.strip():
            parts.append(f"It is a part of this request of the user: {request}")
        if self.history:
            parts.append(f"Conversation so far:\n{self.history_text}")
        if results:
            parts.append(f"Results so far:\n{list_results(results)}")
        thread = thread_of_use(self.run_id, len(results)) if self.run_id else None
        # A graph of its own, whose steps are kept under a name of its own: not a part of this one.
        var_child_runnable_config.set(None)
        result = await run_task(
            self.coder_graph,
            self.coder,
            Task(
                request=task,
                background="\n\n".join(parts),
                files=self.files,
                facts=self.facts,
            ),
            thread=thread,
            raise_early=True,
        )
        del result["facts"]  # the same for every use
        return result


MACHINERY = frozenset(("sandbox", "disabled", "model", "budget"))
"""Kinds of error that no model can mend by answering something else."""


def describe_result(result: Mapping[str, Any]) -> str:
    """What a use of the coder came to, as an observation: the program's output whole up to 6 KB."""
    if not result["success"]:
        printed = result["output"].strip()
        before = f"\nIt printed before that:\n{shorten(printed, 2000)}" if printed else ""
        return f"It failed: {shorten(result['error'] or 'no reason is known', 3000)}{before}"
    parts = [shorten(result["output"].rstrip(), OBSERVATION_CHARS) or "(nothing was printed)"]
    if result.get("value") is not None:
        parts.append(f"Value of the last expression: {shorten(result['value'], 2000)}")
    if result["artifacts"]:
        parts.append("Files: " + ", ".join(entry["name"] for entry in result["artifacts"]))
    return "\n".join(parts)


def list_results(results: Sequence[Mapping[str, Any]]) -> str:
    """Every use of the coder with its program and what it came to."""
    return "\n\n".join(
        f"Result {number}\n{fenced(shorten(result['code'], 2000), result['language'])}\n"
        f"{describe_result(result)}"
        for number, result in enumerate(results, 1)
    )


def last_words(results: Sequence[Mapping[str, Any]], why: str) -> str:
    """An answer made by rule from what the programs printed, when the model gives none."""
    good = [result for result in results if result["success"]]
    if not good:
        tried = f" The last program failed: {results[-1]['error']}" if results else ""
        return f"The request could not be answered: {why}{tried}"
    printed = "\n\n".join(describe_result(result) for result in good)
    return f"{why} This is what the program printed:\n\n{printed}"
