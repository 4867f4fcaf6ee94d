"""A chat request as it lies in the queue, and its answer as it goes out later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from backend.api.answering import Completion, Head, complete, completion_body, usage_body
from backend.api.artifacts import as_markdown
from backend.api.asking import ChatJob
from backend.api.schemas import ChatRequest
from backend.api.state import Server
from backend.core.requests import answer_of
from backend.request_context import current_request
from backend.store.run_records import Run
from backend.store.session_records import ChatTurn


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[ChatJob]:
    return TypeAdapter(ChatJob)


def queued_spec(job: ChatJob, *, base_url: str, digest: str = "") -> dict[str, Any]:
    """What is needed to work on a request later: plain JSON values.

    Args:
        job: the request, every check passed.
        base_url: the address that links in its answer begin with.
        digest: of the request as it came, to know it again.
    """
    # What was decided is recorded of the run itself.
    job = replace(job, ask=replace(job.ask, decision=None))
    plain = _adapter().dump_python(job, mode="json")
    # Whoever asks is told of errors as they would be here: a key's owner may be the operator's.
    who = {"key_id": current_request().key_id}
    return {"job": plain, "links": base_url, "digest": digest, **who}


def job_of(run: Run) -> ChatJob:
    """The request of a queued run, to be worked on by this process.

    One that was begun goes on with the agent that was chosen then.
    """
    job = _adapter().validate_python(run.spec["job"])
    begun = (run.spec.get("options") or {}).get("agent")
    ask = replace(
        job.ask,
        agent_type=begun or job.ask.agent_type,
        run_id=run.id,
        is_claimed=True,
        in_background=True,
    )
    return replace(job, ask=ask, said=run.spec.get("said") or job.said)


def digest_of(body: ChatRequest) -> str:
    """What tells a request from every other one."""
    return hashlib.sha256(body.model_dump_json().encode("utf-8", "replace")).hexdigest()


async def response_of(run: Run, server: Server) -> dict[str, Any]:
    """The answer to a run as it goes out; {} where it ended without one.

    What it brought is kept in its conversation, once: if that was done before and only its end was
    not recorded, the answer is read there.
    """
    result = run.result
    if run.status == "cancelled" or not result or "agent" not in result:
        return {}
    job, base_url = job_of(run), str(run.spec["links"])
    number = len(run.spec.get("decided") or ())
    head = Head(
        id=f"chatcmpl-{run.id.removeprefix('run-')}{number or ''}",
        created=int(run.created_at),
        model=job.model,
    )
    answer, finish = answer_of(result), result.get("finish_reason", "stop")
    kept = await _kept_turn(run, job, server)
    if kept is None:
        done = await complete(job, answer, server, base_url=base_url, finish=finish)
    else:
        artifacts = [
            artifact | {"url": server.links.url(base_url, artifact["id"], owner=job.owner)}
            for artifact in kept.details.get("artifacts", ())
        ]
        done = Completion(
            text=kept.content,
            links=as_markdown(artifacts) if job.ask.form is None else "",
            refusal=answer.refusal,
            finish_reason=finish,
            usage=usage_body(answer.new_usage),
            metadata={**kept.details, "artifacts": artifacts},
        )
    return completion_body(head, job, done)


async def _kept_turn(run: Run, job: ChatJob, server: Server) -> ChatTurn | None:
    """The answer in its conversation, where it is there already."""
    if job.session is None:
        return None
    turns = await server.sessions.answers_of_run(job.session.id, run.id, owner=job.owner)
    waits_with = _code((run.result or {}).get("approval"))
    return next((turn for turn in turns if _code(turn.details.get("approval")) == waits_with), None)


def _code(approval: Mapping[str, Any] | None) -> str | None:
    return None if approval is None else str(approval["code"])
