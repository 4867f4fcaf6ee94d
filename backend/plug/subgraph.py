"""``python_coder`` as a compiled graph: its steps are the host's to stream, keep and resume."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from backend.llm.budget import Budget
from backend.plug.failure import require_machinery
from backend.plug.files import OfferedFiles
from backend.plug.foreign import Keys, update_of, use_of
from backend.plug.host import emit_to_host
from backend.plug.opening import Opened, Opener, Use, chosen
from backend.store.blobs import BlobStore
from backend.tools.approval import Approvals
from backend.tools.coder.graph import build_graph, run_task
from backend.tools.coder.state import CoderContext
from backend.tools.coder.task import Options, Task
from backend.tools.python_executor_engine import place_files, require_enabled
from backend.tools.question import require_question


class SubgraphInput(TypedDict, total=False):
    """The keys that a host shares to ask for something."""

    task: str
    request: str
    """Read where there is no task."""
    context: str
    files: list[str]
    messages: list[Any]
    """Read where there is neither: the last human message is the task."""


class SubgraphOutput(TypedDict, total=False):
    """The keys that a host shares to learn what came of it: what is new, for its reducers."""

    python_coder_results: list[dict[str, Any]]
    messages: list[Any]
    """The answer, where the input had messages."""


class SubgraphState(SubgraphInput, SubgraphOutput):
    """All of them. No reducers: a host that has some would add everything twice."""


CoderSubgraph = CompiledStateGraph[SubgraphState, None, SubgraphInput, SubgraphOutput]


def build_subgraph(
    opener: Opener, *, offered: OfferedFiles | None, options: Options | None, model: str | None
) -> CoderSubgraph:
    """The graph; see ``PythonCoder.graph``."""
    # Named in the node, so that LangGraph finds it there, and draws and inspects its steps.
    loop = build_graph()

    async def work(state: SubgraphState) -> dict[str, Any]:
        use = use_of(state, Keys(), offered=offered, options=options, model=model)
        async with opener.parts() as parts:
            task = await _task_of(use, parts)
            result = await run_task(loop, _context_of(use, parts), task, within=True)
        require_machinery(result)
        return update_of(state, Keys(), result)

    builder = StateGraph(SubgraphState, input_schema=SubgraphInput, output_schema=SubgraphOutput)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(name="python_coder")


async def _task_of(use: Use, parts: Opened) -> Task:
    """The task; nothing has run where it cannot be begun."""
    settings = parts.settings
    require_enabled(settings)
    paths = await chosen(use)
    return Task(
        request=require_question(use.task, settings),
        background=use.context or "",
        files=await asyncio.to_thread(place_files, paths, settings),
        options=use.options or Options(),
    )


def _context_of(use: Use, parts: Opened) -> CoderContext:
    emit = emit_to_host()
    return CoderContext(
        settings=parts.settings,
        model=parts.models.get(use.model).within(Budget.of(parts.settings)),
        engine=parts.engine,
        blobs=BlobStore.of(parts.settings),
        emit=emit,
        approvals=Approvals(
            parts.settings.approve, allow_network=parts.settings.allow_network, emit=emit
        ),
    )
