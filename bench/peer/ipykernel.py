"""A warm Jupyter kernel: one process for ever, no walls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bench.peer.serving import serve
from bench.programs import PANDAS, PANDAS_SAYS


@contextmanager
def open_peer() -> Iterator[Callable[[str], str]]:
    """A kernel and its client."""
    manager, client = import_module("jupyter_client.manager").start_new_kernel()

    def run(code: str) -> str:
        messages: list[dict[str, Any]] = []
        reply = client.execute_interactive(code, output_hook=messages.append, timeout=60)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(str(reply["content"].get("evalue")))
        streams = [each["content"] for each in messages if each["msg_type"] == "stream"]
        return "".join(each["text"] for each in streams)

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    serve(open_peer, PANDAS, PANDAS_SAYS)
