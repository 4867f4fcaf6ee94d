"""The door: ``python_coder`` in the forms that LangGraph knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from os import PathLike, fspath

from langchain_core.tools import BaseTool

from backend.config.settings import Settings
from backend.plug.files import OfferedFiles
from backend.plug.foreign import Keys
from backend.plug.node import CoderNode, build_node
from backend.plug.opening import Opener, open_parts
from backend.plug.subgraph import CoderSubgraph, build_subgraph
from backend.plug.tool import build_tool
from backend.tools.coder.task import Options

AnyPath = str | PathLike[str]


class PythonCoder:
    """``python_coder`` as parts of other graphs, which serve any number of uses at a time.

    Made by itself, it opens model and sandbox for each use, which takes about a second.
    ``open_python_coder`` gives one for which they are open.
    """

    def __init__(self, settings: Settings | None = None, *, opener: Opener | None = None) -> None:
        """Say what to work with.

        Args:
            settings: None to read them from the environment, anew for each use.
            opener: what ``open_python_coder`` gives.
        """
        self._opener = opener or Opener(settings=settings)

    def tool(
        self,
        *,
        name: str = "python_coder",
        files: Sequence[AnyPath] = (),
        folder: AnyPath | None = None,
        options: Options | None = None,
        model: str | None = None,
    ) -> BaseTool:
        """A LangChain tool; its arguments are ``task``, ``files`` and ``context``.

        Its content is what the model should see: what the program printed, or why it failed. Its
        artifact is the documented result of ``execute_code_task``. Its steps are events of the
        graph around (``stream_mode="custom"``).

        Args:
            name: what models call it.
            files: those it may read; all of them unless the model names some.
            folder: the model may name each file below it.
            options: language, declared outputs, constraints, tests, attempts.
            model: another model than the configured one.

        Returns:
            A tool that raises ``PythonCoderFailed`` where our machinery failed.
        """
        offered = _offered(files, folder)
        return build_tool(self._opener, name=name, offered=offered, options=options, model=model)

    def node(
        self,
        *,
        keys: Keys | None = None,
        files: Sequence[AnyPath] = (),
        folder: AnyPath | None = None,
        options: Options | None = None,
        model: str | None = None,
    ) -> CoderNode:
        """A node: does what the state asks for, and adds a result to ``python_coder_results``.

        That key needs a reducer (``Annotated[list, operator.add]``). A state with messages gets
        an answer among them, too. Each use is recorded, and one whose process was killed goes on
        after its last finished step when the node is run again.

        Args:
            keys: under which names the state has task, files, messages and results.
            files: as for ``tool``. With neither files nor folder, the paths in the state are taken
                as they are.
            folder: as for ``tool``.
            options: as for ``tool``.
            model: as for ``tool``.

        Returns:
            A node that raises ``PythonCoderFailed`` where our machinery failed.
        """
        offered = _offered(files, folder) if files or folder is not None else None
        return build_node(
            self._opener, keys or Keys(), offered=offered, options=options, model=model
        )

    def graph(
        self,
        *,
        files: Sequence[AnyPath] = (),
        folder: AnyPath | None = None,
        options: Options | None = None,
        model: str | None = None,
    ) -> CoderSubgraph:
        """A compiled graph, to run by itself or to add as a node; asynchronous only.

        It shares the keys of ``SubgraphInput`` and ``SubgraphOutput`` with its host. Its steps are
        a subgraph of its own: a host's checkpointer keeps them, ``subgraphs=True`` streams them,
        ``xray=True`` draws them. It is not among python-coder's own records.

        Args:
            files: as for ``node``.
            folder: as for ``node``.
            options: as for ``tool``.
            model: as for ``tool``.
        """
        offered = _offered(files, folder) if files or folder is not None else None
        return build_subgraph(self._opener, offered=offered, options=options, model=model)


def _offered(files: Sequence[AnyPath], folder: AnyPath | None) -> OfferedFiles:
    return OfferedFiles(
        files=tuple(fspath(path) for path in files),
        folder=None if folder is None else fspath(folder),
    )


@asynccontextmanager
async def open_python_coder(settings: Settings | None = None) -> AsyncIterator[PythonCoder]:
    """The coder with model, sandbox and record opened once: the sandbox stays warm.

    Args:
        settings: None to read them from the environment.

    Raises:
        PythonCoderFailed: one of them cannot be opened here.
    """
    async with open_parts(settings) as opened:
        yield PythonCoder(opener=Opener(settings=opened.settings, opened=opened))
