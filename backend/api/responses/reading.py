"""From a request's input items to messages, and to the items that are kept of them.

Bytes that came inside an item become a file of the owner's, like in a chat request; the kept item
does not repeat them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from backend.api.conversation import clean_answer
from backend.api.errors import UnsupportedParameter
from backend.api.responses.schemas import AnyPart, Item
from backend.errors import RequestError
from backend.store.responses import Link
from backend.types import Message

_IGNORED: Final = frozenset({"reasoning", "compaction"})
_PRINTED_CHARS = 200


def messages_of(items: Sequence[Item], instructions: str | None) -> list[dict[str, Any]]:
    """The items as a chat request's messages.

    Raises:
        RequestError: an item or part is not one that is understood, or refers to nothing.
    """
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for place, item in enumerate(items):
        if item.type == "message":
            messages.append(_message(item, f"input.{place}"))
        elif item.type == "code_interpreter_call":
            if item.code:
                messages.append({"role": "assistant", "content": _told(item)})
        elif item.type not in _IGNORED:
            raise UnsupportedParameter(
                f"Items of the type {item.type[:80]!r} are not understood here.",
                "Send messages, code_interpreter_call items, or previous_response_id.",
                param=f"input.{place}.type",
            )
    return messages


def kept_items(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The items as they are listed later, each with an id."""
    return [_kept(item) for item in items]


def turns_of(chain: Iterable[Link]) -> tuple[Message, ...]:
    """The conversation of a chain of responses, for a model."""
    turns: list[Message] = []
    for link in chain:
        for item in link.input:
            if item.get("type") == "message" and (text := _text(item)):
                turns.append(Message(role=_role(item["role"]), content=text))
        said = "\n\n".join(filter(None, (_text(item) for item in link.output)))
        if said.strip():
            files = tuple(str(each["name"]) for each in link.artifacts)
            turns.append(
                Message(
                    role="assistant",
                    content=clean_answer(said),
                    files=files,
                    printed=link.printed[:_PRINTED_CHARS],
                )
            )
    return tuple(turns)


def _role(role: str) -> Any:
    return "system" if role == "developer" else role


def _text(item: dict[str, Any]) -> str:
    parts = item.get("content") or []
    return "\n".join(str(part["text"]) for part in parts if part.get("text"))


def _message(item: Item, place: str) -> dict[str, Any]:
    if item.role is None or item.content is None:
        raise RequestError(
            f"{place} is a message without 'role' or 'content'.",
            "Send both.",
            param=f"{place}.{'role' if item.role is None else 'content'}",
        )
    parts = [_part(part, f"{place}.content.{number}") for number, part in enumerate(item.content)]
    return {"role": item.role, "content": parts}


def _part(part: AnyPart, place: str) -> dict[str, Any]:
    match part.type:
        case "input_text" | "output_text" | "text" | "summary_text":
            if part.text is None:
                raise RequestError(f"{place} has no 'text'.", "Send it.", param=f"{place}.text")
            return {"type": "text", "text": part.text}
        case "refusal":
            return {"type": "refusal", "refusal": part.refusal or ""}
        case "input_image":
            if part.file_id:
                return {"type": "file", "file": {"file_id": part.file_id}}
            return {"type": "image_url", "image_url": {"url": _given(part.image_url, place)}}
        case "input_file":
            if part.file_url:
                raise UnsupportedParameter(
                    "Files of other servers are not fetched.",
                    "Upload the file with POST /v1/files and send its id.",
                    param=f"{place}.file_url",
                )
            file = {"file_id": part.file_id, "file_data": part.file_data, "filename": part.filename}
            return {"type": "file", "file": file}
    raise UnsupportedParameter(
        f"Parts of the type {part.type[:80]!r} are not understood here.",
        "Use input_text, input_image, input_file or output_text.",
        param=f"{place}.type",
    )


def _given(value: str | None, place: str) -> str:
    if not value:
        raise RequestError(
            f"{place} has neither image_url nor file_id.", "Send one.", param=f"{place}.image_url"
        )
    return value


def _told(item: Item) -> str:
    printed = [
        str(output.get("logs", ""))
        for output in item.outputs or ()
        if isinstance(output, dict) and output.get("type") == "logs"
    ]
    told = f"Ran this program:\n```python\n{item.code}\n```"
    return told + (f"\nIt printed:\n{''.join(printed)}" if printed else "")


def _kept(item: Item) -> dict[str, Any]:
    if item.type != "message":
        kept = item.model_dump(mode="json", exclude_unset=True, exclude={"content", "role"})
        kept.setdefault("id", f"item_{secrets.token_hex(12)}")
        return kept
    assert item.content is not None
    head = {
        "id": item.id or f"msg_{secrets.token_hex(16)}",
        "type": "message",
        "role": item.role,
        "status": "completed",
    }
    of_assistant = item.role == "assistant"
    return head | {"content": [_kept_part(part, of_assistant) for part in item.content]}


def _kept_part(part: AnyPart, of_assistant: bool) -> dict[str, Any]:
    if of_assistant:
        if part.type == "refusal":
            return {"type": "refusal", "refusal": part.refusal or ""}
        return {"type": "output_text", "text": part.text or "", "annotations": [], "logprobs": []}
    match part.type:
        case "input_image":
            url = None if (part.image_url or "").startswith("data:") else part.image_url
            return {
                "type": "input_image",
                "detail": part.detail or "auto",
                "file_id": part.file_id,
                "image_url": url,
            }
        case "input_file":
            return {"type": "input_file", "file_id": part.file_id, "filename": part.filename}
    return {"type": "input_text", "text": part.text or ""}
