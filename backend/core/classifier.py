"""A model's word on which agent serves a request, where the router is not sure.

It may only improve on the router: when the model cannot be asked, is slow, or cannot be understood, the
router's choice stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from backend.config.settings import Settings
from backend.core.requests import Ask
from backend.core.router import Route
from backend.core.terms import UNSURE
from backend.errors import (
    BudgetExceeded,
    MachineError,
    ModelError,
    RequestError,
    SettingsError,
)
from backend.llm.asking import Unreadable, read_object
from backend.llm.budget import Budget
from backend.llm.models import LanguageModel, Models
from backend.prompts import render
from backend.types import AgentName, Message, ModelCall

_AGENTS: Mapping[AgentName, str] = {
    "react": "one line of work with code or data: one result, or steps that each need the one before",
    "plan_execute": "several results that can be listed beforehand: a report of parts, many things to make",
    "chat": "talk, general knowledge, explanations, wording: nothing is to be computed or looked up",
}
_SHOWN_CHARS = 4000
"""Of a request; which agent it is for is said at its begin or its end."""
_MAX_TOKENS = 1024
"""A few words, and the thoughts of a model that thinks."""
WAIT_S = 20.0
"""Longer than this, nobody waits to be told who will serve them; a cold model may take minutes."""


def is_unsure(chosen: Route) -> bool:
    """Whether a model should be asked."""
    return chosen.confidence < UNSURE


async def classify(
    question: str,
    chosen: Route,
    model: LanguageModel,
    *,
    has_files: bool = False,
    wait_s: float = WAIT_S,
) -> tuple[Route, list[ModelCall]]:
    """Ask a model, once, which agent it should be.

    Args:
        question: the request.
        chosen: the router's choice, which stands when the model's cannot be had.
        model: whom to ask, bound to the request's budget.
        has_files: files are attached; only an agent that can run code can read them.
        wait_s: seconds after which the router's choice stands.

    Returns:
        The choice, and the calls that were made, for the account of the request.
    """
    agents = {
        name: what
        for name, what in _AGENTS.items()
        if name != "chat" or not (has_files or chosen.needs_code)
    }
    prompt = render(
        "route",
        request=_shown(question),
        files=has_files,
        agents="\n".join(f"- {name}: {what}" for name, what in agents.items()),
        choices=" or ".join(f'"{name}"' for name in agents),
    )
    try:
        async with asyncio.timeout(wait_s):
            reply = await model.call(
                [Message(role="user", content=prompt)],
                stage="chat",
                schema=_schema(list(agents)),
                temperature=0.0,
                max_tokens=_MAX_TOKENS,
            )
    except TimeoutError:
        return chosen, []
    except (ModelError, MachineError, BudgetExceeded) as error:
        return chosen, list(error.calls)
    try:
        said = read_object(reply.text, "agent")["agent"]
    except Unreadable:
        return chosen, [reply.call]
    agent = next((name for name in agents if name == said), None)
    return (replace(chosen, agent=agent, by="model") if agent else chosen), [reply.call]


class Classifier:
    """The model that ``PYTHON_CODER_ROUTER_MODEL`` names, if it names one."""

    def __init__(self, settings: Settings, models: Models) -> None:
        """Look the model up.

        Raises:
            SettingsError: the setting names none.
        """
        self._model: LanguageModel | None = None
        if not settings.router_model:
            return
        try:
            self._model = models.get(settings.router_model, stages=False)
        except RequestError as error:
            raise SettingsError(
                f"PYTHON_CODER_ROUTER_MODEL is {settings.router_model!r}: {error.what}",
                error.remedy,
            ) from error

    async def reconsider(
        self, chosen: Route, ask: Ask, budget: Budget
    ) -> tuple[Route, list[ModelCall]]:
        """Ask the model where there is one, the choice is the router's, and it is not sure."""
        if self._model is None or ask.agent_type != "auto" or not is_unsure(chosen):
            return chosen, []
        model = self._model.within(budget)
        return await classify(ask.question, chosen, model, has_files=bool(ask.files))


def _shown(question: str) -> str:
    if len(question) <= _SHOWN_CHARS:
        return question
    half = _SHOWN_CHARS // 2
    return f"{question[:half]}\n...\n{question[-half:]}"


def _schema(agents: list[AgentName]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {"agent": {"type": "string", "enum": agents}},
        "required": ["agent"],
    }
