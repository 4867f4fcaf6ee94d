"""A chat request on its way into the queue of the background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.api.answering import sent_turns
from backend.api.asking import ChatJob
from backend.api.state import Server
from backend.errors import Busy
from backend.store.run_records import Run


async def require_queue_room(server: Server, owner: str) -> None:
    """Refuse to queue more than an owner may have waiting.

    Raises:
        Busy: as many wait already.
    """
    limit = server.settings.max_queue
    if await server.recorder.runs.queued.count(owner=owner) >= limit:
        raise Busy(
            f"{limit} of your runs wait already.",
            "Wait until some are done; PYTHON_CODER_MAX_QUEUE allows more.",
        )


async def open_conversation(job: ChatJob, server: Server) -> ChatJob:
    """Open it now, so that it can be seen and deleted before there is an answer; the job after it.

    A word about a program belongs to a conversation that is there, or has none.
    """
    session = job.session
    if session is None or session.is_kept or job.ask.run_id is not None:
        return job
    turns = sent_turns(job)
    title = next((turn.content for turn in turns if turn.role == "user"), job.ask.question)
    await server.sessions.append(session.id, turns, owner=job.owner, title=title)
    return replace(job, session=replace(session, is_kept=True))


async def put_into_queue(
    run_id: str, job: ChatJob, spec: Mapping[str, Any], server: Server
) -> tuple[Run, bool]:
    """Leave a request to whichever server takes it; a word about a program lets its run go on.

    Args:
        run_id: the id of a run that is new.
        job: the request.
        spec: what is needed to begin it; see ``run_jobs.queued_spec``.
        server: where it is asked.

    Returns:
        The run, and whether it has been put there now; not if the id was known.

    Raises:
        NotFound: the id is another owner's.
        Conflict: somebody else was faster to decide.
    """
    runs = server.recorder.runs
    if job.ask.run_id is not None and job.ask.decision is not None:
        decision = job.ask.decision.as_dict()
        run = await runs.waiting.decide(
            job.ask.run_id,
            decision,
            owner=job.owner,
            said=job.said,
            queued=spec,
            about=job.ask.about,
        )
        return run, True
    return await runs.queued.add(
        run_id,
        owner=job.owner,
        request=job.ask.question,
        model=job.model,
        spec=spec,
        session_id=job.ask.session_id,
    )
