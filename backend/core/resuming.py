"""From the record of a question to the question, for whoever goes on with it."""

from __future__ import annotations

from backend.core.requests import Ask, form_of
from backend.errors import RequestError
from backend.store.run_records import Run
from backend.tools.coder.resuming import history_of, model_of, unchanged_files


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
