"""``python_coder`` as a LangChain tool: for ``create_agent``, a ``ToolNode``, or by hand."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from backend.core.findings import describe
from backend.plug.files import OfferedFiles
from backend.plug.host import emit_to_host
from backend.plug.opening import Opener, Use
from backend.tools.coder.task import Options

_DESCRIPTION = (
    "Writes, checks and runs a Python program in a sandbox, and repairs it when it fails. Use it "
    "for whatever has to be calculated, simulated, read from files or plotted. Gives what the "
    "program printed, and the names of the files it wrote."
)


class CoderArguments(BaseModel):
    """What a model gives."""

    task: str = Field(
        description="What to calculate, read or plot, in words, with file and column names."
    )
    files: list[str] | None = Field(
        default=None, description="Names of the input files; leave out for all there are."
    )
    context: str | None = Field(
        default=None, description="What else the program's author has to know."
    )


class CoderTool(BaseTool):
    """Content: what the model should see. Artifact: the documented result, files by reference."""

    args_schema: Any = CoderArguments
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"

    _opener: Opener = PrivateAttr()
    _offered: OfferedFiles = PrivateAttr()
    _options: Options | None = PrivateAttr()
    _model: str | None = PrivateAttr()

    def _run(
        self,
        task: str,
        files: list[str] | None = None,
        context: str | None = None,
        *,
        config: RunnableConfig,
    ) -> tuple[str, dict[str, Any]]:
        use = self._use(task, files, context)
        result = self._opener.do_and_wait(use, emit_to_host(_tool_call_id(config)))
        return describe(result), result

    async def _arun(
        self,
        task: str,
        files: list[str] | None = None,
        context: str | None = None,
        *,
        config: RunnableConfig,
    ) -> tuple[str, dict[str, Any]]:
        use = self._use(task, files, context)
        result = await self._opener.do(use, emit_to_host(_tool_call_id(config)))
        return describe(result), result

    def _use(self, task: str, files: list[str] | None, context: str | None) -> Use:
        return Use(
            task=task,
            context=context,
            files=files,
            offered=self._offered,
            options=self._options,
            model=self._model,
        )

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Use it and wait; not in the event loop that it was opened in."""
        return _with_status(super().invoke(input, _told(config, input), **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Use it.

        Raises:
            PythonCoderFailed: our machinery failed; a program's failure is content.
        """
        return _with_status(await super().ainvoke(input, _told(config, input), **kwargs))


def _told(config: RunnableConfig | None, input: Any) -> RunnableConfig | None:
    """The config, with the call's id for ``_arun``, which LangChain tells only those who insist."""
    if not isinstance(input, dict) or input.get("type") != "tool_call":
        return config
    return merge_configs(config, {"metadata": {"tool_call_id": input["id"]}})


def _tool_call_id(config: RunnableConfig) -> str | None:
    found: str | None = (config or {}).get("metadata", {}).get("tool_call_id")
    return found


def _with_status(output: Any) -> Any:
    """A failed program is content for the model, and the message says that it is a failure."""
    if isinstance(output, ToolMessage) and isinstance(output.artifact, dict):
        output.status = "success" if output.artifact["success"] else "error"
    return output


def build_tool(
    opener: Opener, *, name: str, offered: OfferedFiles, options: Options | None, model: str | None
) -> CoderTool:
    """The tool; see ``PythonCoder.tool``."""
    tool = CoderTool(name=name, description=f"{_DESCRIPTION} {offered.describe()}".strip())
    tool._opener = opener
    tool._offered = offered
    tool._options = options
    tool._model = model
    return tool
