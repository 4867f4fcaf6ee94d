"""``python_coder`` as a node of somebody else's graph."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda

from backend.plug.files import OfferedFiles
from backend.plug.foreign import Keys, update_of, use_of
from backend.plug.host import emit_to_host
from backend.plug.opening import Opener
from backend.tools.coder.task import Options

CoderNode = Runnable[Any, dict[str, Any]]


def build_node(
    opener: Opener,
    keys: Keys,
    *,
    offered: OfferedFiles | None,
    options: Options | None,
    model: str | None,
) -> CoderNode:
    """The node; see ``PythonCoder.node``."""

    async def python_coder(state: Any) -> dict[str, Any]:
        use = use_of(state, keys, offered=offered, options=options, model=model)
        return update_of(state, keys, await opener.do(use, emit_to_host()))

    def python_coder_waiting(state: Any) -> dict[str, Any]:
        use = use_of(state, keys, offered=offered, options=options, model=model)
        return update_of(state, keys, opener.do_and_wait(use, emit_to_host()))

    return RunnableLambda(python_coder_waiting, python_coder, name="python_coder")
