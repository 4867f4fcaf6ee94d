"""Who sees every program run: the audit trail, and whoever counts or draws."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from backend.observing import Deed, Observe, unobserved
from backend.store.audit import AuditTrail
from backend.types import Execute, ExecutionRequest, ExecutionResult, Issue

_MUCH_CODE = 100_000
"""Characters: writing them down takes milliseconds, which others would wait for."""
_MUCH_BYTES = 1 << 20
"""The same of artifacts, whose digests are taken."""


class Witness:
    """Stands at the door to execution."""

    def __init__(self, audit: AuditTrail | None = None, observe: Observe = unobserved) -> None:
        self._audit = audit
        self._observe = observe

    def refused(self, request: ExecutionRequest, issues: Sequence[Issue]) -> None:
        """Take note of a program that the check refused.

        Raises:
            StoreUnavailable: that cannot be put on record.
        """
        if request.on_record == "":
            return
        if self._audit is not None:
            self._audit.began(request, "refused", issues)
        with self._observe(Deed(kind="program", name=request.language, outcome="refused")):
            pass

    async def run(
        self, run: Execute, request: ExecutionRequest, issues: Sequence[Issue], *, checked: bool
    ) -> ExecutionResult:
        """Run a program that is put on record before and after; those of the house are not.

        Raises:
            StoreUnavailable: it cannot be put on record; it was not run.
            PythonCoderError: whatever ``run`` raises.
        """
        if request.on_record == "":
            return await run(request)
        program_id = ""
        if self._audit is not None:
            began = partial(
                self._audit.began, request, "passed" if checked else "unchecked", issues
            )
            is_long = len(request.on_record or request.code) > _MUCH_CODE
            program_id = await asyncio.to_thread(began) if is_long else began()
        deed = Deed(kind="program", name=request.language)
        try:
            with self._observe(deed):
                result = await run(request)
                _tell(deed, result)
        except BaseException as error:
            if self._audit is not None:
                is_cancel = isinstance(error, asyncio.CancelledError)
                self._audit.broke_off(program_id, "cancelled" if is_cancel else "error")
            raise
        if self._audit is not None:
            if sum(each.size for each in result.artifacts) > _MUCH_BYTES:
                await asyncio.to_thread(self._audit.ended, program_id, result)
            else:
                self._audit.ended(program_id, result)
        return result


def _tell(deed: Deed, result: ExecutionResult) -> None:
    deed.outcome = result.stopped_by or ("success" if result.success else "failed")
    deed.facts["seconds"] = result.duration_s
    if result.returncode is not None:
        deed.facts["returncode"] = result.returncode
    if result.isolation is not None:
        deed.facts["executor"] = result.isolation.executor
        deed.facts["tier"] = result.isolation.tier
