"""The chat model of a host: its replies are scripted, and it can be given tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from tests.solving import GOOD


class HostModel(BaseChatModel):
    """Says the replies one after the other, and keeps what it was asked and given."""

    replies: list[AIMessage]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    tools: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "host"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        self.tools[:] = [convert_to_openai_tool(tool) for tool in tools]
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.asked.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self.replies.pop(0))])


def call(task: str, number: int = 1, **arguments: Any) -> AIMessage:
    """A reply that uses the tool."""
    arguments = {"task": task, **arguments}
    return AIMessage(
        "", tool_calls=[ToolCall(name="python_coder", args=arguments, id=f"call_{number}")]
    )


def host(*replies: AIMessage | str) -> HostModel:
    said = [AIMessage(reply) if isinstance(reply, str) else reply for reply in replies]
    return HostModel(replies=said)


def script(*lines: dict[str, Any]) -> pytest.MarkDecorator:
    """What the fixture ``coder`` has for a model: one that objects to nothing, and says this."""
    return pytest.mark.parametrize("coder", [pytest.param((*GOOD, *lines), id="")], indirect=True)
