"""Approval before running: which programs the user is asked about, and what was decided.

Three modes: ``off`` asks about none, ``always`` about every program, ``risky`` about those that
``risks.py`` has something to say of. A decision holds for one program, letter by letter: a repair
is another program.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import shlex
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

from backend.errors import ApprovalNeeded, ProgramRefused, RequestError
from backend.foreign_code import in_plain_sight, in_turn
from backend.prompts.fences import fenced
from backend.store.run_records import Run, not_waiting
from backend.tools.risks import risks_of
from backend.types import (
    ApprovalMode,
    Emit,
    Event,
    Execute,
    ExecutionRequest,
    ExecutionResult,
    Language,
    ignore_event,
)

Verdict = Literal["approve", "reject", "edit"]


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A program that waits for a decision."""

    code: str
    language: Language = "python"
    reasons: tuple[str, ...] = ()
    """What it does that should be known before it runs, a sentence each."""
    run_id: str | None = None
    """The record that waits with it; None where nothing is recorded."""

    @property
    def digest(self) -> str:
        """What tells this program from every other one."""
        return hashlib.sha256(
            f"{self.language}\0{self.code}".encode("utf-8", "surrogatepass")
        ).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``request_of`` reads them again."""
        return {**asdict(self), "reasons": list(self.reasons)}


def request_of(plain: Mapping[str, Any]) -> ApprovalRequest:
    """The request that ``as_dict`` gave."""
    return ApprovalRequest(**{**plain, "reasons": tuple(plain["reasons"])})


def pending_of(run: Run) -> ApprovalRequest:
    """The program that a run waits with.

    Raises:
        RequestError: it waits for nothing.
    """
    pending = run.spec.get("pending")
    if run.status != "waiting" or not pending:
        raise not_waiting(run)
    return request_of({key: value for key, value in pending.items() if key != "digest"})


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the user said to a program."""

    verdict: Verdict
    code: str = ""
    """With ``edit``: what is to run instead."""
    note: str = ""
    """Why, in the user's words."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``decision_of`` reads them again."""
        return {"decision": self.verdict, "code": self.code, "note": self.note}


Given = Decision | bool | str | Mapping[str, Any]
"""A decision in any of its forms: ``True``, ``"approve"``, ``{"decision": "edit", "code": ...}``."""
Approver = Callable[[ApprovalRequest], Given | Awaitable[Given | None] | None]
"""Decides about a program, None where it cannot now; an ordinary function is called in a thread."""


def decision_of(given: Given) -> Decision:
    """A decision in one of its forms.

    Raises:
        RequestError: it is none.
    """
    if isinstance(given, Decision):
        return given
    if isinstance(given, bool):
        return Decision(verdict="approve" if given else "reject")
    values = {"decision": given} if isinstance(given, str) else dict(given or {})
    verdict = values.get("decision")
    code, note = values.get("code") or "", values.get("note") or ""
    if verdict not in get_args(Verdict) or not isinstance(code, str) or not isinstance(note, str):
        raise RequestError(
            f"{str(given)[:80]!r} decides nothing about a program.",
            f"Use one of: {', '.join(get_args(Verdict))}.",
            param="decision",
        )
    if verdict == "edit" and not code.strip():
        raise RequestError(
            "The decision is 'edit', and there is no code.", "Give the program.", param="code"
        )
    return Decision(verdict=cast(Verdict, verdict), code=code, note=note.strip())


class Approvals:
    """Who is asked about the programs of one request, and what was decided of them so far."""

    def __init__(
        self,
        mode: ApprovalMode = "off",
        *,
        approver: Approver | None = None,
        decided: Mapping[str, Mapping[str, Any]] | None = None,
        run_id: str | None = None,
        allow_network: bool = False,
        emit: Emit = ignore_event,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        """Begin with what is known.

        Args:
            mode: which programs are asked about.
            approver: is asked; None to let the work stand still (``ApprovalNeeded``).
            decided: digest -> decision, as an earlier process recorded them.
            run_id: the request's record.
            allow_network: programs have a network.
            emit: is told what is asked and decided.
            on_wait: is told how many seconds the approver took.
        """
        self.mode: ApprovalMode = mode
        self._approver = approver
        self._decided = {digest: decision_of(each) for digest, each in (decided or {}).items()}
        self._edited = {each.code for each in self._decided.values() if each.verdict == "edit"}
        self._run_id = run_id
        self._allow_network = allow_network
        self._emit = emit
        self._on_wait = on_wait
        self._one_at_a_time = asyncio.Lock()
        self.refusal: ProgramRefused | None = None
        """Set when the user has said no: the request is over."""

    @property
    def asks(self) -> bool:
        """Whether anybody is asked at all."""
        return self.mode != "off"

    async def needed(
        self, code: str, language: Language, files: Collection[str] = ()
    ) -> ApprovalRequest | None:
        """What is to be asked about a program; None where it may run as it is.

        Args:
            code: the program.
            language: what it is written in.
            files: names of the input files beside it.
        """
        if not self.asks:
            return None
        reasons = await in_turn(code, lambda: self.reasons(code, language, files))
        request = ApprovalRequest(
            code=code, language=language, reasons=reasons, run_id=self._run_id
        )
        if self.mode == "risky" and not reasons:
            return None
        return None if self._is_approved(request) else request

    def needed_for_install(self, names: Sequence[str]) -> ApprovalRequest | None:
        """What is to be asked before packages are installed; None where they simply are."""
        command = f"pip install {shlex.join(names)}"
        reason = "A program lacks these packages; they would be downloaded and kept."
        request = ApprovalRequest(
            code=command, language="bash", reasons=(reason,), run_id=self._run_id
        )
        return request if self.asks and not self._is_approved(request) else None

    def reasons(self, code: str, language: Language, files: Collection[str]) -> tuple[str, ...]:
        """What should be known of a program before it runs."""
        return risks_of(code, language, files=files, allow_network=self._allow_network)

    def _is_approved(self, request: ApprovalRequest) -> bool:
        known = self._decided.get(request.digest)
        return request.code in self._edited or (known is not None and known.verdict == "approve")

    async def decide(self, request: ApprovalRequest) -> Decision:
        """What the user says to it, now or when asked before.

        Raises:
            ApprovalNeeded: there is nobody to ask here.
            RequestError: what the approver gave is no decision.
        """
        async with self._one_at_a_time:
            decision = self._decided.get(request.digest) or await self._ask(request)
            self.remember(request, decision)
        if decision.verdict == "reject":
            self.refusal = ProgramRefused(refused_text(decision.note))
        return decision

    def remember(self, request: ApprovalRequest, decision: Decision) -> None:
        """Know of a decision, here or elsewhere: no program is asked about twice."""
        self._decided[request.digest] = decision
        if decision.verdict == "edit":
            self._edited.add(decision.code)

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The same for what a step of a graph asks with ``interrupt``."""
        return (await self.decide(request_of(asked))).as_dict()

    async def _ask(self, request: ApprovalRequest) -> Decision:
        why = "\n".join(f"- {reason}" for reason in request.reasons)
        asked = {**request.as_dict(), "decision": None}
        self._emit(Event(kind="approval", text=why or "May the program run?", data=asked))
        given = None
        if self._approver is not None:
            started = time.monotonic()
            given = await _call(self._approver, request)
            if self._on_wait is not None:
                self._on_wait(time.monotonic() - started)
        if given is None:
            raise ApprovalNeeded(
                "The program waits for approval.", "Approve or reject it.", asked=request.as_dict()
            )
        decision = decision_of(given)
        self._emit(Event(kind="approval", text=_SPOKEN[decision.verdict], data=decision.as_dict()))
        return decision

    async def passed(self, request: ExecutionRequest) -> ExecutionRequest:
        """A program that a tool is given, once the user has allowed it; as changed by them.

        Raises:
            ApprovalNeeded: there is nobody to ask here; nothing was run.
            ProgramRefused: the user said no.
        """
        asked = await self.needed(request.code, request.language, list(request.files))
        if asked is None:
            return request
        decision = await self.decide(asked)
        if self.refusal is not None:
            raise self.refusal
        return replace(request, code=decision.code) if decision.verdict == "edit" else request

    def guarded(self, execute: Execute) -> Execute:
        """``execute``, before which the user is asked; raises as ``passed``."""
        if not self.asks:
            return execute

        async def ask_first(request: ExecutionRequest) -> ExecutionResult:
            return await execute(await self.passed(request))

        return ask_first


def require_approver(mode: ApprovalMode, approver: Approver | None) -> None:
    """Refuse to ask where nothing is recorded that could wait, and nobody is there to answer.

    Raises:
        RequestError: that is so.
    """
    if mode != "off" and approver is None:
        raise RequestError(
            f"approve is {mode!r}, and nothing keeps a program that waits.",
            "Give a function that decides, or keep a record of requests.",
            param="approve",
        )


_SPOKEN: Mapping[Verdict, str] = {
    "approve": "Approved",
    "reject": "Not to be run",
    "edit": "Approved with changes",
}


async def _call(approver: Approver, request: ApprovalRequest) -> Given | None:
    given = await asyncio.to_thread(approver, request)
    return await given if inspect.isawaitable(given) else given


def refused_text(note: str = "") -> str:
    """What is said of a program that the user does not want."""
    why = f" ({note.rstrip('.')})" if note else ""
    return f"The program was not run: it was not approved{why}."


def waiting_text(request: ApprovalRequest) -> str:
    """What is shown of a program that waits, as Markdown."""
    reasons = "".join(f"\n- {reason}" for reason in request.reasons)
    why = f"\n\nWhat to know of it:{reasons}" if reasons else ""
    program = fenced(in_plain_sight(request.code).strip("\n"), request.language)
    return f"This program waits for your approval:\n\n{program}{in_plain_sight(why)}"
