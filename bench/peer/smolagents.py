"""smolagents' interpreter of Python in Python: in the caller's process, no walls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from bench.peer.serving import serve
from bench.programs import PANDAS, PANDAS_SAYS


@contextmanager
def open_peer() -> Iterator[Callable[[str], str]]:
    """An executor that may import pandas."""
    executor = import_module("smolagents.local_python_executor").LocalPythonExecutor(["pandas"])
    executor.send_tools({})

    def run(code: str) -> str:
        return str(executor(code).logs)

    yield run


if __name__ == "__main__":
    serve(open_peer, PANDAS, PANDAS_SAYS)
