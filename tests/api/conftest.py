"""A real server on a real socket, the scripted model behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.api.app import create_app
from backend.config.settings import Settings, load_settings
from tests.api.described import check_response
from tests.scripts import write_script

START_S = 30
"""How long a test waits for a server to start or stop."""

Serve = Callable[..., httpx.Client]


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The application in a thread; its address."""
    config = uvicorn.Config(
        create_app(settings),
        host="127.0.0.1",
        port=0,
        log_level="critical",
        timeout_graceful_shutdown=START_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    ticks = threading.Event()
    try:
        for _ in range(START_S * 20):
            if server.started or not thread.is_alive():
                break
            ticks.wait(0.05)
        assert server.started, "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S)
        assert not thread.is_alive()


def connect(url: str) -> httpx.Client:
    """A client that holds every answer against the server's description."""
    # Without TLS: reading the authorities takes longer than most requests here.
    return httpx.Client(
        base_url=url, timeout=60, verify=False, event_hooks={"response": [check_response]}
    )


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server whose model plays these lines; a client for it."""
    with ExitStack() as stack:

        def start(*lines: dict[str, Any], **settings: Any) -> httpx.Client:
            if "model" not in settings:
                script = write_script(tmp_path / "script.jsonl", *lines)
                settings["model"] = f"scripted:{script}"
            url = stack.enter_context(running(load_settings(**settings)))
            return stack.enter_context(connect(url))

        yield start


@pytest.fixture
def client(serve: Serve) -> httpx.Client:
    """A server that answers every chat with ``ok``."""
    return serve({"stage": "chat", "reply": "ok", "tokens": [3, 1], "repeat": True})


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One server for many requests that must leave nothing behind; it answers ``ok``, too."""
    folder = tmp_path_factory.mktemp("steady")
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', line)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
    )
    with running(settings) as url, connect(url) as client:
        yield client
