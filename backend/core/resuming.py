"""From a question to what is recorded of it, and back, for whoever goes on with it."""

from __future__ import annotations

from backend.config.settings import Settings
from backend.core.requests import Ask, form_of
from backend.errors import RequestError
from backend.llm.models import LanguageModel
from backend.store.run_records import Run
from backend.tools.coder.entries import Entry
from backend.tools.coder.resuming import history_of, model_of, unchanged_files
from backend.tools.held_session import HeldSession
from backend.types import AgentName


async def ask_of(run: Run, *, owner: str) -> Ask:
    """The question of a run, with which its work goes on.

    Raises:
        NotFound: a file is gone.
        RequestError: a file has changed, or the run was no question to an agent.
    """
    if run.kind != "ask":
        raise RequestError(
            f"The run {run.id} is no question to an agent.", "Go on with it as it was begun."
        )
    options = run.spec["options"]
    return Ask(
        question=run.request,
        agent_type=options["agent"],
        history=history_of(run),
        files=await unchanged_files(run),
        model=model_of(run),
        sampling=options["sampling"],
        form=form_of(options.get("form")),
        approve=options.get("approve", "off"),
        owner=owner,
        session_id=run.session_id,
        run_id=run.id,
    )


def entry_of(
    ask: Ask,
    agent: AgentName,
    model: LanguageModel,
    settings: Settings,
    session: HeldSession | None,
) -> Entry:
    """What is recorded of a question to an agent, and what makes another one identical to it."""
    return Entry(
        kind="ask",
        request=ask.question,
        model=model,
        settings=settings,
        history=ask.history,
        files=ask.files,
        options={
            "agent": agent,
            "sampling": dict(ask.sampling),
            "approve": ask.approve,
            **({"form": ask.form.as_dict()} if ask.form else {}),
        },
        owner=ask.owner,
        session_id=ask.session_id,
        # What a session's programs leave is a result as well, and what they find counts.
        recall=ask.use_cache and session is None,
        resume=session is None or not (session.names or session.files),
        run_id=ask.run_id,
        decision=ask.decision,
        about=ask.about,
        is_claimed=ask.is_claimed,
        hands_back=ask.in_background,
    )
