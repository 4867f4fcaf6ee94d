"""Who sees every program run: the audit trail, and whoever counts or draws."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from backend.observing import Deed, Observe, unobserved
from backend.sandbox.endings import see_through
from backend.sandbox.policy import blocking
from backend.store.audit import AuditTrail, Outcome, Verdict
from backend.types import Execute, ExecutionRequest, ExecutionResult, Issue


class Witness:
    """Stands at the door to execution."""

    def __init__(self, audit: AuditTrail | None = None, observe: Observe = unobserved) -> None:
        self._audit = audit
        self._observe = observe

    async def refused(self, request: ExecutionRequest, issues: Sequence[Issue]) -> None:
        """Take note of a program that the check refused.

        Raises:
            StoreUnavailable: that cannot be put on record.
        """
        if request.on_record == "":
            return
        if self._audit is not None:
            await asyncio.to_thread(self._audit.began, request, "refused", issues)
        with self._observe(Deed(kind="program", name=request.language, outcome="refused")):
            pass

    async def run(
        self, run: Execute, request: ExecutionRequest, said: Sequence[Issue] | None
    ) -> ExecutionResult:
        """Run a program that is put on record before and after; those of the house are not.

        Args:
            run: runs it.
            request: the program and what it may use.
            said: by the static check; None where it was not asked.

        Raises:
            StoreUnavailable: it cannot be put on record; it was not run.
            PythonCoderError: whatever ``run`` raises.
        """
        if request.on_record == "":
            return await run(request)
        program_id = ""
        if self._audit is not None:
            program_id = await _began(self._audit, request, _verdict(said), said or ())
        deed = Deed(kind="program", name=request.language)
        try:
            with self._observe(deed):
                result = await run(request)
                _tell(deed, result)
        except BaseException as error:
            if self._audit is not None:
                outcome: Outcome = (
                    "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
                )
                await see_through(asyncio.to_thread(self._audit.broke_off, program_id, outcome))
            raise
        if self._audit is not None:
            await see_through(asyncio.to_thread(self._audit.ended, program_id, result))
        return result


def _verdict(said: Sequence[Issue] | None) -> Verdict:
    if said is None:
        return "unchecked"
    return "overruled" if blocking(said) else "passed"


async def _began(
    audit: AuditTrail, request: ExecutionRequest, verdict: Verdict, issues: Sequence[Issue]
) -> str:
    """Put a program on record; one whose caller is cancelled meanwhile as not run to its end."""
    writing = asyncio.ensure_future(asyncio.to_thread(audit.began, request, verdict, issues))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        program_id = await writing
        await asyncio.to_thread(audit.broke_off, program_id, "cancelled")
        raise


def _tell(deed: Deed, result: ExecutionResult) -> None:
    deed.outcome = result.stopped_by or ("success" if result.success else "failed")
    deed.facts["seconds"] = result.duration_s
    if result.returncode is not None:
        deed.facts["returncode"] = result.returncode
    if result.isolation is not None:
        deed.facts["executor"] = result.isolation.executor
        deed.facts["tier"] = result.isolation.tier
