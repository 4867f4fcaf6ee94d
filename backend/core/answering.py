"""The answer step: one call writes the answer and judges whether the results hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.core.context import AgentContext
from backend.core.findings import StepFinding, last_words, list_findings
from backend.errors import BudgetExceeded, ModelError, ModelUnavailable
from backend.llm.asking import ask
from backend.store.told import told_what
from backend.tools.coder.schemas import JUDGEMENT_SCHEMA, Judgement, read_judgement, shortfall
from backend.types import ModelCall


@dataclass(frozen=True, kw_only=True)
class Given:
    """An answer, and whether it is one."""

    text: str
    success: bool
    reason: str = ""
    """Why it does not answer the request."""
    calls: list[ModelCall] = field(default_factory=list)


async def answer_from_results(
    deps: AgentContext,
    *,
    request: str,
    findings: Sequence[StepFinding],
    plan: str,
    why: str = "",
) -> Given:
    """Answer from what the programs printed.

    Args:
        deps: whom to ask.
        request: what was asked.
        findings: what the tools found out.
        plan: the plan behind them, as text.
        why: why no more is done; told to the model, and to the user if the model fails.

    A model that is gone or unreadable does not lose what was computed: the answer is then made
    by rule from the outputs.
    """
    shown = list_findings(findings) or "(no tool was used)"
    values = {
        "request": request,
        "history": deps.history_text,
        "plan": plan,
        "results": f"{shown}\n\n{why}".strip(),
    }
    judgement: Judgement | None = None
    try:
        asked = await ask(
            deps.model,
            "answer",
            values,
            read_judgement,
            schema=JUDGEMENT_SCHEMA,
            **deps.coder.sampling,
        )
        judgement, reason, calls = asked.value, asked.reason, asked.calls
    except (BudgetExceeded, ModelError, ModelUnavailable) as error:
        if not findings:
            raise
        reason, calls = told_what(error), list(error.calls)
    worked = any(result["success"] for result in findings)
    if judgement is None or not judgement["answer"].strip():
        unsaid = f"The model gave no readable answer ({reason})." if judgement is None else why
        text = last_words(findings, unsaid or "The model gave no answer of its own.")
        return Given(text=text, success=worked, calls=calls)
    text, lacking = judgement["answer"].strip(), shortfall(judgement)
    if lacking and lacking not in text:
        text = f"{text}\n\nThis does not answer the whole request: {lacking}"
    return Given(
        text=text,
        success=judgement["answers_request"] and (worked or not findings),
        reason=lacking,
        calls=calls,
    )
