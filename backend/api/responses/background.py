"""Responses that nobody waits for: their work is a run in the background (see ``settling.py``)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from backend.api.background import Background
from backend.api.queueing import open_conversation, put_into_queue
from backend.api.responses.body import response_body
from backend.api.responses.outcome import UNFINISHED
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.settling import settled
from backend.api.run_jobs import queued_spec
from backend.api.state import Server
from backend.errors import Conflict
from backend.store.database import new_id
from backend.store.responses import StoredResponse


async def queue_response(
    job: ResponseJob, server: Server, background: Background, base_url: str
) -> dict[str, Any]:
    """Put the work on a response into the queue; the response as it stands."""
    run_id = job.chat.ask.run_id or new_id("run")
    body = response_body(job, server.settings, "queued") | {"x_run_id": run_id}
    chat = await open_conversation(job.chat, server)
    await server.responses.add(
        body,
        owner=chat.owner,
        session_id=chat.session.id if chat.session else None,
        previous=job.request.previous_response_id or None,
        input=job.input,
    )
    await put_into_queue(run_id, chat, queued_spec(chat, base_url=base_url), server)
    background.wake()
    return body


async def end_response(
    stored: StoredResponse, server: Server, background: Background, *, owner: str
) -> dict[str, Any]:
    """End the work on a response, if it is not over; the response as it stands then."""
    body = await settled(stored, server, owner=owner)
    if body["status"] not in UNFINISHED:
        return body
    with suppress(Conflict):  # it has just ended by itself
        await background.cancel(body["x_run_id"], owner=owner)
    return await settled(stored, server, owner=owner)
