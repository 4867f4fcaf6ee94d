"""All that a caller asks of a program, in one piece: read, told to the model, asked for, held against."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.tools.coder.proof.constraints import Constraints, read_constraints
from backend.tools.coder.proof.contract import OutputSpec, convert, parse_outputs
from backend.tools.coder.proof.inputs import describe_inputs
from backend.tools.coder.proof.schema import Schema, check_schema, read_schema
from backend.tools.coder.proof.texts_of_tests import SuiteText, require_tests
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import Artifact, ArtifactRef, ExecutionRequest, ExecutionResult, Issue


@dataclass(frozen=True, kw_only=True)
class Held:
    """What came of holding a run against the agreement."""

    plain: Mapping[str, Any]
    """The outputs as plain JSON for a result, in the order they were declared."""
    encoded: Mapping[str, Any]
    """The same for ``live_values``."""
    issues: tuple[Issue, ...] = ()
    """What is not as agreed, in words for a model; those of severity ``advice`` block nothing."""

    @property
    def blocking(self) -> tuple[Issue, ...]:
        """Those that keep the run from being a success."""
        return tuple(issue for issue in self.issues if issue.severity != "advice")

    @property
    def problem(self) -> str:
        """What a repair has to put right; '' for nothing."""
        if not self.blocking:
            return ""
        lines = [f"- {issue.message}" for issue in self.blocking]
        return "\n".join(["It ran, but what it leaves behind is not what was declared:", *lines])


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Outputs, constraints, a schema and tests of one caller."""

    outputs: OutputSpec
    constraints: Constraints
    schema: Schema
    tests: tuple[SuiteText, ...] = ()
    """The caller's; they are run whatever the model writes beside them."""

    def describe(self, inputs: Mapping[str, Any] | None = None) -> str:
        """For a prompt: everything that is asked of the program; '' when nothing is.

        Args:
            inputs: variables that it finds defined.
        """
        parts = [describe_inputs(inputs or {}), self.outputs.describe()]
        if self.constraints.items:
            parts.append(f"These constraints hold at its end:\n{self.constraints.describe()}")
        if self.schema.text:
            parts.append(f"The output has this form:\n{self.schema.text}")
        if self.tests:
            own = "\n\n".join(text["source"].strip() for text in self.tests)
            parts.append(f"These tests pass, with the program as module `solution`:\n{own}")
        return "\n\n".join(part for part in parts if part)

    def asked_of(self, request: ExecutionRequest) -> ExecutionRequest:
        """The request with what the run is to tell; unchanged for another language than Python."""
        if request.language != "python":
            return request
        return replace(request, outputs=self.outputs.names, checks=self.constraints.checks)

    async def hold(
        self,
        engine: PythonExecutor,
        result: ExecutionResult,
        artifacts: Iterable[Artifact | ArtifactRef] = (),
    ) -> Held:
        """Hold a run that ended well against what was agreed; tests are another matter.

        Args:
            engine: validates the schema, inside the sandbox.
            result: of the request that ``asked_of`` gave.
            artifacts: what the program wrote, or where that is kept.

        Raises:
            RequestError: the schema is no valid JSON Schema.
            SandboxUnavailable: it could not be validated.
        """
        # A large table takes longer than an event loop may be kept.
        found = await asyncio.to_thread(convert, result.outputs, self.outputs, list(artifacts))
        issues = [*found.findings, *self.constraints.judge(result.checks)]
        if not found.findings:
            issues += await check_schema(engine, self.schema, found.plain)
        return Held(plain=found.plain, encoded=found.encoded, issues=tuple(issues))


def agree(
    *,
    outputs: Mapping[str, object] | None = None,
    constraints: Sequence[str] = (),
    schema: str | Mapping[str, Any] = "",
    tests: str = "",
    inputs: Iterable[str] = (),
) -> Agreement:
    """Read what a caller asks of a program.

    Args:
        outputs: name -> type or its text.
        constraints: expressions over the outputs, or words.
        schema: words or a JSON Schema.
        tests: the text of a pytest module.
        inputs: names of the variables that the program finds defined.

    Raises:
        ValueError: something of it cannot be; names it and says what is supported.
    """
    require_tests(tests)
    spec = parse_outputs(outputs)
    return Agreement(
        outputs=spec,
        constraints=read_constraints(constraints, spec, inputs),
        schema=read_schema(schema),
        tests=(SuiteText(by="caller", source=tests),) if tests.strip() else (),
    )
