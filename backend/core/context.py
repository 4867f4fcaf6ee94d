"""What the agents' graphs work with, and how they use their tools."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from langchain_core.runnables.config import var_child_runnable_config

from backend.core.findings import StepFinding, list_findings
from backend.core.history import tell_history
from backend.core.made_files import MadeFiles
from backend.errors import PythonCoderError
from backend.llm.models import LanguageModel
from backend.observing import Deed, Observe, unobserved
from backend.prompts.texts import list_facts
from backend.tools.coder.graph import CoderGraph, run_task
from backend.tools.coder.recording import thread_of_use
from backend.tools.coder.state import CoderContext
from backend.tools.coder.task import Task
from backend.tools.registry import CODER
from backend.tools.toolbox import Tool, Toolbox, ToolContext
from backend.tools.using import use
from backend.types import Emit, Event, Message

_CODER_HISTORY_CHARS = 3000
"""Of the conversation, for whoever writes a program: a part of what it is told."""


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """The living things of one request; never enters a graph's state."""

    coder: CoderContext
    coder_graph: CoderGraph
    needs_code: bool
    """An answer without running a program would be a guess."""
    tools: Sequence[Tool] = ()
    """Beside ``python_coder``."""
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Message] = ()
    run_id: str | None = None
    """Under which name the request's steps are kept; None where they are not."""
    made_files: MadeFiles = field(default_factory=MadeFiles)
    """By the steps so far."""
    observe: Observe = unobserved
    failures: list[PythonCoderError] = field(default_factory=list)
    """Of our machinery, in steps that others are done beside: raised once those are over."""

    @property
    def model(self) -> LanguageModel:
        """Whom to ask."""
        return self.coder.model

    @property
    def emit(self) -> Emit:
        """Whom to tell."""
        return self.coder.emit

    @cached_property
    def toolbox(self) -> Toolbox:
        """Every tool of the request, ``python_coder`` first."""
        return Toolbox([CODER, *self.tools])

    @property
    def history_text(self) -> str:
        """The conversation before the request, for a prompt."""
        return tell_history(self.history)

    @property
    def files_text(self) -> str:
        """What is known of the files, for a prompt."""
        return list_facts(self.facts)

    def prompt_values(self, request: str) -> dict[str, Any]:
        """What the prompt of every next step holds, whichever agent takes it."""
        return {
            "request": request,
            "history": self.history_text,
            "files": self.files_text,
            "variables": self.coder.variables_text(),
            "tools": self.toolbox.describe(),
        }

    async def use_coder(
        self,
        request: str,
        task: str,
        *,
        step: str,
        number: int,
        findings: Sequence[StepFinding] = (),
        note: str = "",
    ) -> dict[str, Any]:
        """Let ``python_coder`` work on a task of a request.

        Args:
            request: the request.
            task: the part of it that is to be done.
            step: the id of the step that this is.
            number: how many uses of the coder came before; its steps are kept under it.
            findings: what was found out before.
            note: what went wrong before, for whoever writes the program.

        Raises:
            PythonCoderError: our machinery failed before anything was run.
        """
        parts = []
        if task.strip() != request.strip():
            parts.append(f"It is a part of this request of the user: {request}")
        if self.history:
            told = tell_history(self.history, _CODER_HISTORY_CHARS)
            parts.append(f"Conversation so far:\n{told}")
        if findings:
            parts.append(f"Results so far:\n{list_findings(findings)}")
        if note:
            parts.append(note)
        thread = thread_of_use(self.run_id, number) if self.run_id else None
        # A graph of its own, whose steps are kept under a name of its own: not a part of this one.
        var_child_runnable_config.set(None)
        deed = Deed(kind="tool", name=CODER.name)
        with self.observe(deed):
            result = await run_task(
                self.coder_graph,
                replace(self.coder, emit=self._emit_for(step)),
                Task(
                    request=task,
                    background="\n\n".join(parts),
                    files=self.files,
                    facts=self.facts,
                ),
                thread=thread,
                raise_early=True,
            )
            deed.outcome = "success" if result["success"] else "failed"
        del result["facts"]  # the same for every use
        return {**result, "step": step, "task": task}

    async def use_tool(
        self, name: str, arguments: Mapping[str, Any], *, step: str, given: str
    ) -> dict[str, Any]:
        """Use another tool. Whatever is wrong with it or its arguments is told in the result.

        Args:
            name: the tool's.
            arguments: for it.
            step: the id of the step that this is.
            given: the arguments as the model wrote them.

        Raises:
            PythonCoderError: our machinery failed.
        """
        emit = self._emit_for(step)
        coder = self.coder
        context = ToolContext(
            settings=coder.settings,
            execute=coder.approvals.guarded(coder.execute),
            allowed=coder.approvals.passed,
            blobs=coder.blobs,
            files=self.files,
            emit=emit,
        )
        began = time.monotonic()
        deed = Deed(kind="tool", name=name)
        with self.observe(deed):
            result = await use(cast(Tool, self.toolbox[name]), arguments, context)
            deed.outcome = "success" if result["success"] else "failed"
        seconds = round(time.monotonic() - began, 4)
        return {**result, "step": step, "tool": name, "task": given, "duration_s": seconds}

    def _emit_for(self, step: str) -> Emit:
        """Tells of events with the step that they belong to: several may be under way."""
        emit = self.emit

        def emit_with_step(event: Event) -> None:
            emit(replace(event, data={**event.data, "step": step}))

        return emit_with_step
