"""Reading a state that is not ours, and what is written into it: plain values and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata

from backend.core.findings import describe
from backend.errors import RequestError
from backend.plug.files import OfferedFiles
from backend.plug.opening import Use
from backend.prompts.texts import shorten
from backend.tools.coder.task import Options

_HISTORY_CHARS = 6000


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Under which names a host's state has things; what it does not have is left out."""

    task: str = "task"
    request: str = "request"
    """Read where there is no task."""
    context: str = "context"
    files: str = "files"
    messages: str = "messages"
    results: str = "python_coder_results"


def get(state: Any, key: str) -> Any:
    """A value of a state, be it a mapping, a dataclass or a model; None where it has none."""
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def use_of(
    state: Any,
    keys: Keys,
    *,
    offered: OfferedFiles | None,
    options: Options | None,
    model: str | None,
) -> Use:
    """What a state asks for: its task, else its request, else its last human message.

    Raises:
        RequestError: it has none of them.
    """
    turns = convert_to_messages(get(state, keys.messages) or [])
    context = get(state, keys.context) or ""
    task = get(state, keys.task) or get(state, keys.request) or ""
    if not task:
        last = max((at for at, turn in enumerate(turns) if turn.type == "human"), default=None)
        if last is None:
            raise RequestError(
                f"The state asks for nothing: it has no {keys.task!r}, no {keys.request!r}, and "
                f"no human message under {keys.messages!r}.",
                "Put what is to be done under one of them.",
            )
        task = str(turns[last].text)
        context = "\n\n".join(filter(None, [context, _conversation(turns[:last])]))
    return Use(
        task=task,
        context=context or None,
        files=get(state, keys.files) or None,
        offered=offered,
        options=options,
        model=model,
    )


def _conversation(turns: Sequence[BaseMessage]) -> str:
    said = "\n".join(f"{turn.type}: {turn.text}" for turn in turns if str(turn.text).strip())
    return shorten(f"Conversation so far:\n{said}", _HISTORY_CHARS) if said else ""


def update_of(state: Any, keys: Keys, result: dict[str, Any]) -> dict[str, Any]:
    """What a use adds to the state: its result, and an answer where there are messages."""
    update: dict[str, Any] = {keys.results: [result]}
    if get(state, keys.messages) is not None:
        update[keys.messages] = [answer_message(result)]
    return update


def answer_message(result: Mapping[str, Any]) -> AIMessage:
    """The result as a turn of a conversation; files by reference."""
    usage = result["usage"]
    return AIMessage(
        content=describe(result),
        name="python_coder",
        response_metadata={
            "python_coder": {"success": result["success"], "artifacts": result["artifacts"]}
        },
        usage_metadata=UsageMetadata(
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            total_tokens=usage["input_tokens"] + usage["output_tokens"],
        ),
    )
