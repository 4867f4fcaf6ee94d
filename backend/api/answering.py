"""From an answer to OpenAI's completion; the turn is kept in its conversation."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from backend.api.approvals import how_to_decide
from backend.api.artifacts import Kept, as_markdown, keep_artifacts
from backend.api.asking import ChatJob
from backend.api.forgetting import forget
from backend.api.plain import plain
from backend.api.state import Server
from backend.core.requests import Answer
from backend.errors import BadReply, StoreUnavailable
from backend.store.session_records import ChatTurn
from backend.store.session_removal import remove_session
from backend.store.told import told
from backend.types import Event
from backend.usage import UsageTotals, total_usage

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer as it goes out."""

    text: str
    """The answer's own words."""
    links: str
    """What follows them: pictures and links in markdown, or ''. JSON has none."""
    refusal: str | None
    """Why there is no answer in the form that was asked for; None where there is one."""
    finish_reason: FinishReason
    usage: dict[str, int]
    """What was used up since the last answer to this request."""
    metadata: dict[str, Any]
    """``x_agent_metadata``."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stays the same in all parts of one completion."""

    id: str
    created: int
    model: str

    def body(self, kind: str) -> dict[str, Any]:
        """The fields every part begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def new_head(model: str) -> Head:
    """The head of a completion that begins now."""
    return Head(id=f"chatcmpl-{secrets.token_hex(12)}", created=int(time.time()), model=model)


def completion_body(head: Head, job: ChatJob, done: Completion) -> dict[str, Any]:
    """The whole completion, for a client that does not stream."""
    content = None if done.refusal is not None else done.text + done.links
    message = {"role": "assistant", "content": content, "refusal": done.refusal}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": done.finish_reason,
        "logprobs": None,
    }
    return (
        head.body("chat.completion")
        | {
            "choices": [choice],
            "usage": done.usage,
        }
        | ids_and_metadata(job, done)
    )


def ids_and_metadata(job: ChatJob, done: Completion) -> dict[str, Any]:
    """What is told beside OpenAI's fields, in the body or in a stream's last chunk."""
    return {
        "x_session_id": job.session.id if job.session else None,
        "x_run_id": done.metadata["run_id"],
        "x_agent_metadata": done.metadata,
    }


class Progress:
    """What is known of a request from its events so far."""

    def __init__(self) -> None:
        self.has_run = False
        """A program has run."""
        self.agent = ""
        """The agent that answers; '' until it is chosen."""

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self.has_run = self.has_run or event.kind == "run"
        if event.kind == "route":
            self.agent = str(event.data.get("agent", ""))


def answer_of_cut_chat(job: ChatJob, error: Exception, progress: Progress) -> Answer:
    """What a chat reply had until its token limit, as OpenAI gives it; raises anything else.

    A reply of the agents' own steps that was cut off is no answer, and stays an error.
    """
    is_cut = isinstance(error, BadReply) and error.reason == "length" and error.partial
    if progress.agent != "chat" or not is_cut:
        raise error
    assert isinstance(error, BadReply)
    return Answer(
        text=error.partial,
        success=False,
        agent="chat",
        mode="auto" if job.ask.agent_type == "auto" else "explicit",
        model=job.model,
        usage=total_usage(error.calls),
    )


async def complete(
    job: ChatJob,
    answer: Answer,
    server: Server,
    *,
    base_url: str,
    finish: FinishReason,
    kept: Kept | None = None,
) -> Completion:
    """Keep what an answer brought, and put it into the form that goes out.

    What is in ``kept`` is a file already. A store that fails now costs the record and not the
    answer: ``notes`` say what is missing.
    """
    if answer.approval is not None:
        answer = replace(answer, text=answer.text + how_to_decide(answer.approval))
    artifacts: list[dict[str, Any]] = []
    notes: list[str] = []
    try:
        artifacts, notes = await keep_artifacts(
            answer.artifacts, server, job.owner, base_url, kept, session_id=job.ask.session_id
        )
    except StoreUnavailable as error:
        notes.append(f"The files that were written could not be kept. {told(error)}")
    metadata: dict[str, Any] = plain(_metadata(answer, artifacts) | {"notes": notes})
    answer = replace(answer, text=plain(answer.text))
    if job.session is not None:
        try:
            await _keep_turn(job, answer, metadata, server)
        except StoreUnavailable as error:
            notes.append(f"The conversation could not be kept. {told(error)}")
    in_words = job.ask.form is None
    return Completion(
        text=cut_at_stop(answer.text, job.stop),
        links=as_markdown(artifacts) if in_words else "",
        refusal=None if in_words or answer.refusal is None else answer.text,
        finish_reason=finish,
        usage=usage_body(answer.new_usage),
        metadata=metadata | {"notes": notes},
    )


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop sequence."""
    places = [place for sequence in stop if (place := text.find(sequence)) >= 0]
    return text[: min(places)] if places else text


def usage_body(usage: UsageTotals) -> dict[str, int]:
    """OpenAI's usage: all the model's calls for this request together.

    Its ``*_details`` are left out: model servers do not tell what of a reply was thought, or what of
    a prompt was known to them.
    """
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["input_tokens"] + usage["output_tokens"],
    }


def _metadata(answer: Answer, artifacts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "agent_selected": answer.agent,
        "agent_selection_mode": answer.mode,
        "agent_chosen_by": answer.chosen_by,
        "success": answer.success,
        "scores": answer.scores,
        "matched_terms": answer.matched_terms,
        "steps": answer.steps,
        "python_coder_results": [_result(each, artifacts) for each in answer.python_coder_results],
        "tool_results": [_result(each, artifacts) for each in answer.tool_results],
        "questions": answer.questions,
        "artifacts": artifacts,
        "timings": answer.timings,
        "model": answer.model,
        "model_calls": answer.new_usage["calls"],
        "usage_by_stage": answer.new_usage["by_stage"],
        "isolation": answer.isolation.as_dict() if answer.isolation else None,
        "run_id": answer.run_id,
        "resumed": answer.resumed,
        "approval": answer.approval,
        **_last_program(answer.python_coder_results),
    }


def _last_program(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The program behind the answer, for clients that look for one and not for a list."""
    if not results:
        return {}
    last = results[-1]
    return {
        "code": last["code"],
        "output": last["output"],
        "iterations": last["iterations"],
        "history": last["verification_history"],
    }


def _result(result: Mapping[str, Any], artifacts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A use of a tool, its artifacts by their files' ids instead of places on our disk."""
    ids = {artifact["name"]: artifact["id"] for artifact in artifacts}
    shown = [
        {key: each[key] for key in ("name", "media_type", "size")} | {"id": ids.get(each["name"])}
        for each in result.get("artifacts", [])
    ]
    return {**result, "artifacts": shown}


def sent_turns(job: ChatJob) -> list[ChatTurn]:
    """What the client sent of the conversation before its question."""
    return [
        ChatTurn(role="assistant" if each.role == "assistant" else "user", content=each.content)
        for each in job.sent
    ]


async def _keep_turn(
    job: ChatJob, answer: Answer, metadata: Mapping[str, Any], server: Server
) -> None:
    assert job.session is not None
    turns = [] if job.session.is_kept else sent_turns(job)
    turns.append(
        ChatTurn(
            role="user",
            content=job.said or job.ask.question,
            details={"file_ids": list(job.file_ids), **job.told},
        )
    )
    # Links expire; whoever reads the conversation later gets fresh ones by the files' ids.
    kept = [
        {key: value for key, value in artifact.items() if key != "url"}
        for artifact in metadata["artifacts"]
    ]
    details = dict(metadata) | {"artifacts": kept}
    turns.append(ChatTurn(role="assistant", content=answer.text, details=details))
    is_there = await server.sessions.append(
        job.session.id, turns, owner=job.owner, opens=not job.session.is_kept
    )
    if not is_there:  # it was deleted meanwhile, and what this request brought came after that
        gone = await remove_session(server.database, job.session.id, owner=job.owner)
        await forget(gone, server)
