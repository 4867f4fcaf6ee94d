"""Responses in the background: runs, whose answers are put into this API's form when they are read.

The run is what is worked on, over restarts; the kept response names it until it is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backend.api.responses.message import AnswerMessage, citations
from backend.api.responses.outcome import UNFINISHED, failed_body, finished_body
from backend.api.responses.programs import CallStatus, ProgramCall
from backend.api.run_bodies import INSIDE
from backend.api.state import Server
from backend.errors import NotFound
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.store.responses import StoredResponse
from backend.store.run_records import OVER, Run

_CODES: Final = {"input": "invalid_prompt", "budget": "rate_limit_exceeded"}


async def settled(stored: StoredResponse, server: Server, *, owner: str) -> dict[str, Any]:
    """The response as it stands now; once its run is over, that is kept."""
    body = stored.body
    if body["status"] not in UNFINISHED:
        return body
    try:
        run = await server.recorder.runs.get(body["x_run_id"], owner=owner)
    except NotFound:
        body = failed_body(body, "server_error", "Its run was deleted.")
    else:
        if not _is_answered(run):
            state = "in_progress" if run.status == "running" else "queued"
            return {**body, "status": state}
        body = _answered(body, run)
        await _adopt(body, run, server, owner)
    await server.responses.replace(body, owner=owner)
    return body


def _is_answered(run: Run) -> bool:
    return run.status == "cancelled" or (
        run.status in {*OVER, "waiting"} and run.response is not None
    )


def _answered(body: Mapping[str, Any], run: Run) -> dict[str, Any]:
    response, result = run.response or {}, run.result or {}
    if run.status == "cancelled":
        return {**body, "status": "cancelled"}
    if "choices" not in response:
        told, kind = (response.get("error") or {}).get("message"), result.get("error_kind")
        if told is None and "error" in result:
            # A fault of ours has no kind: its words are for the log.
            told = result["error"] if kind else INSIDE
        code = _CODES.get(str(kind), "server_error")
        return failed_body(body, code, str(told or "It ended without an answer."))
    container_id = body["x_container_id"] or ""
    metadata = response["x_agent_metadata"]
    key = str(body["id"]).removeprefix("resp_")
    calls = list(_calls(result, metadata["artifacts"], container_id, key))
    [choice] = response["choices"]
    said = choice["message"]
    message = AnswerMessage(
        index=len(calls),
        id=f"msg_{key}",
        text=said["content"] or "",
        refusal=said["refusal"],
        is_cut=choice["finish_reason"] == "length",
    )
    if container_id:
        message.annotations = citations(message.text, metadata["artifacts"], container_id)
    return finished_body(
        body,
        output=[*(call.item(with_outputs=True) for call in calls), message.item()],
        usage=response["usage"],
        metadata=metadata,
        is_cut=message.is_cut,
        completed_at=int(run.finished_at or run.updated_at),
    )


def _calls(
    result: Mapping[str, Any],
    artifacts: Sequence[Mapping[str, Any]],
    container_id: str,
    key: str,
) -> Iterator[ProgramCall]:
    """The programs of an answer, each use of a tool in the order of the steps."""
    order = [str(step.get("id", step.get("step"))) for step in result.get("steps", ())]
    uses = [*result.get("python_coder_results", ()), *result.get("tool_results", ())]
    uses.sort(key=lambda use: order.index(use["step"]) if use.get("step") in order else len(order))
    links = {each["name"]: each["url"] for each in artifacts if _is_image(each)}
    number = 0
    for use in uses:
        programs = use.get("attempts") or ([use["details"]] if "attempts" not in use else [])
        for place, program in enumerate(programs):
            if not program.get("code"):
                continue
            is_last = place == len(programs) - 1
            drawn = [links[each["name"]] for each in use["artifacts"] if each["name"] in links]
            yield ProgramCall(
                index=number,
                id=f"ci_{key}{number:02d}",
                code=program["code"],
                container_id=container_id,
                status=_status(program),
                logs=_logs(use, program),
                images=drawn if is_last else [],
            )
            number += 1


def _status(program: Mapping[str, Any]) -> CallStatus:
    ended_well = program.get("returncode") == 0 and not program.get("stopped_by")
    return "completed" if ended_well else "failed"


def _logs(use: Mapping[str, Any], program: Mapping[str, Any]) -> str:
    if "stdout" not in program:
        return str(use.get("text", ""))
    return shorten(f"{program['stdout']}{program['stderr']}", OBSERVATION_CHARS)


def _is_image(artifact: Mapping[str, Any]) -> bool:
    return str(artifact["media_type"]).startswith("image/")


async def _adopt(body: Mapping[str, Any], run: Run, server: Server, owner: str) -> None:
    if run.session_id is not None and body["x_agent_metadata"]:
        ids = {each["id"] for each in body["x_agent_metadata"]["artifacts"]}
        await server.container_files.adopt(ids, run.session_id, owner=owner)
