"""Solutions: programs of former runs, saved under a name and run again with other data.

No model is asked. The result has the form of every other, and is recorded as a run of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.config.settings import Settings
from backend.errors import NotFound, PythonCoderError, RequestError
from backend.prompts.texts import shorten
from backend.sandbox.policy import blocking
from backend.store.blobs import BlobStore
from backend.store.run_records import Run
from backend.store.runs import RunStore
from backend.tools.coder.overrides import Overridden, override
from backend.tools.coder.recall import (
    columns_of,
    mark_files,
    relevant_settings,
    request_key,
)
from backend.tools.coder.replacement import compare_columns, match_files
from backend.tools.coder.result import build_result, failed
from backend.tools.coder.state import Attempt, CoderState
from backend.tools.python_executor_engine import PythonExecutor, describe_files
from backend.types import ExecutionRequest, ExecutionResult, Language

_TRACEBACK_CHARS = 4000


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """Runs programs of former runs again. Opens nothing itself."""

    runs: RunStore
    engine: PythonExecutor
    blobs: BlobStore
    settings: Settings

    async def run_again(
        self,
        reference: str,
        *,
        owner: str,
        files: Mapping[str, Path] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run a former run's last program again, without asking a model.

        Args:
            reference: the run's id, the beginning of it, or the name it was saved under.
            owner: whose run it is.
            files: name -> path of other input files: each stands for the one of its name, or for
                the only one of its type. Those that are not replaced are read where they lay.
            inputs: other values of what the program assigns at its top level or does not set.

        Returns:
            The dict of ``execute_code_task``, with ``run_id`` and ``parent``.

        Raises:
            NotFound: there is no such run, or one of its files is gone.
            RequestError: it has no program; it cannot be told what a file or input stands for; or
                the new data lacks columns that the program names.
            PythonCoderError: as ``PythonExecutor.execute``.
        """
        started = time.monotonic()
        run = await self.runs.find(reference, owner=owner)
        again = await self._prepare(run, files or {}, inputs or {})
        run_id = await self._begin(run, again, owner)
        try:
            result = await self._execute(run, again, started)
        except BaseException as error:
            await asyncio.shield(self._record_failure(run_id, error, owner, started))
            raise
        result |= {"run_id": run_id, "parent": run.id, "resumed": False, "cached": False}
        await self.runs.finish(run_id, result, owner=owner, columns=again.columns)
        return result

    async def _prepare(
        self, run: Run, given: Mapping[str, Path], inputs: Mapping[str, Any]
    ) -> _Again:
        require_program(run)
        language: Language = "bash" if (run.result or {}).get("language") == "bash" else "python"
        former = _former_inputs(run, inputs)
        changed = override(run.code, inputs, language)
        known = run.spec.get("files", {})
        replaced = match_files(known, given)
        files = {
            name: given[replaced[name]] if name in replaced else self._former_file(name, mark)
            for name, mark in known.items()
        }
        facts = await describe_files(self.engine, files)
        shown = {name: replaced.get(name, name) for name in files}
        notes = [f"{new!r} is read as {name!r}." for name, new in shown.items() if new != name]
        notes += compare_columns(changed.code, run.spec.get("columns", {}), facts, shown)
        return _Again(
            program=Overridden(
                code=changed.code,
                variables={
                    **{name: former[name] for name in former.keys() - inputs.keys()},
                    **changed.variables,
                },
            ),
            language=language,
            files=files,
            inputs=inputs,
            facts=facts,
            columns=columns_of(facts),
            notes=notes,
        )

    def _former_file(self, name: str, mark: Mapping[str, Any]) -> Path:
        """Where an input file of the former run lies now: where it lay, else in the store."""
        path = Path(mark["path"])
        if path.is_file():
            return path
        try:
            return self.blobs.path(mark["sha256"])
        except NotFound:
            raise NotFound(
                f"The input file {name!r} is no longer at {str(path)!r}.",
                "Give another one in its place.",
                param="files",
            ) from None

    async def _begin(self, run: Run, again: _Again, owner: str) -> str:
        marks = await asyncio.to_thread(mark_files, again.files)
        options = {"inputs": _storable(again.program.variables), "changed": _storable(again.inputs)}
        key = request_key(
            kind="task",
            request=again.program.code,
            model="",
            templates="",
            settings=relevant_settings(self.settings),
            files=marks,
            options=options,
        )
        return await self.runs.begin(
            owner=owner,
            kind="task",
            key=key,
            request=run.request,
            model="",
            spec={
                "background": run.spec.get("background", ""),
                "files": {name: dict(mark) for name, mark in marks.items()},
                "options": options,
            },
            session_id=run.session_id,
            parent=run.id,
        )

    async def _execute(self, run: Run, again: _Again, started: float) -> dict[str, Any]:
        request = ExecutionRequest(
            code=again.program.code,
            language=again.language,
            files=again.files,
            variables=again.program.variables,
        )
        # A program that was let pass once is not held up now; one that never was has to.
        result = await self.engine.execute(request, check=run.status != "completed")
        kept = [await self.blobs.put_artifact(artifact) for artifact in result.artifacts]
        error = None if result.success else _error_of(result)
        was_run = result.isolation is not None
        state: CoderState = {
            "request": run.request,
            "language": again.language,
            "plan": str((run.result or {}).get("plan", "")),
            "code": again.program.code,
            "iteration": 1,
            "facts": again.facts,
            "attempts": [_attempt(again.program.code, result, error)] if was_run else [],
            "artifacts": kept,
            "isolation": result.isolation.as_dict() if result.isolation else None,
            "value": result.value,
            "notes": [*again.notes, *result.notes],
            "success": result.success,
            "error": error,
            "error_kind": None if result.success else ("program" if was_run else "policy"),
            "timings": {"execution_s": result.duration_s},
        }
        return build_result(state, total_s=time.monotonic() - started, blobs=self.blobs)

    async def _record_failure(
        self, run_id: str, error: BaseException, owner: str, started: float
    ) -> None:
        if isinstance(error, PythonCoderError):
            result = build_result(failed({}, error), total_s=time.monotonic() - started)
            await self.runs.finish(run_id, result, owner=owner)
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        await self.runs.finish(
            run_id, None, owner=owner, status="cancelled" if cancelled else "failed"
        )


@dataclass(frozen=True, kw_only=True)
class _Again:
    """A program with the data it is to be run with now."""

    program: Overridden
    language: Language
    files: Mapping[str, Path]
    inputs: Mapping[str, Any]
    facts: list[dict[str, Any]]
    columns: Mapping[str, list[str]]
    notes: list[str] = field(default_factory=list)


async def save_solution(runs: RunStore, reference: str, name: str, *, owner: str) -> Run:
    """Save a run's last program under a name; the run is never pruned then.

    Raises:
        NotFound: the owner has no such run.
        RequestError: it has no program, the name cannot be one, or another run has it.
    """
    run = await runs.find(reference, owner=owner)
    require_program(run)
    await runs.save(run.id, name, owner=owner)
    return await runs.get(run.id, owner=owner)


def require_program(run: Run) -> None:
    """Refuse a run without a program.

    Raises:
        RequestError: it has none.
    """
    if not run.code.strip():
        raise RequestError(
            f"The run {run.id!r} has no program: it {_ENDED[run.status]}.", "Name another run."
        )


_ENDED = {
    "queued": "has not begun yet",
    "running": "is still running",
    "completed": "was answered without one",
    "failed": "failed before there was one",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
}


def _former_inputs(run: Run, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables that the former run's program found defined, as far as they were kept."""
    kept = run.spec.get("options", {}).get("inputs", {})
    if kept is None and not inputs:
        raise RequestError(
            f"The program of {run.id!r} was given variables, and these were not kept.",
            "Give them again as inputs.",
            param="inputs",
        )
    return kept or {}


def _storable(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Plain JSON values as they are; None where there are others among them."""
    import json

    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None
    return copy


def _attempt(code: str, result: ExecutionResult, error: str | None) -> Attempt:
    return {
        "code": code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": error.splitlines()[0] if error else None,
        "stopped_by": result.stopped_by,
        "returncode": result.returncode,
        "diagnosis": None,
        "duration_s": result.duration_s,
    }


def _error_of(result: ExecutionResult) -> str:
    """What went wrong, its first line the shortest form of it."""
    stderr = result.stderr.strip()
    if result.isolation is None:
        against = " ".join(issue.message for issue in blocking(result.issues))
        return f"The static check refuses it: {against}"
    if result.stopped_by:
        return f"It was stopped by the {result.stopped_by} limit."
    if result.failure is not None:
        head = f"{result.failure.type}: {' '.join(result.failure.message.split())}"
    else:
        head = stderr.splitlines()[-1] if stderr else f"It ended with status {result.returncode}."
    return f"{head}\n{shorten(stderr, _TRACEBACK_CHARS)}" if stderr and stderr != head else head
