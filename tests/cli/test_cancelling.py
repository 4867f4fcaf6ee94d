"""Ctrl-C at any moment: nothing is left running, the record says so, and asking again works."""

from __future__ import annotations

import os
import signal
import threading

import psutil
import pytest

from tests.api.test_presence import busy, until
from tests.commands import Descendants, needs_sandbox, run, start
from tests.core.test_cancelling import HELD, QUESTION, lines_for
from tests.ollama_server import Line, OllamaServer

pytestmark = [pytest.mark.sandbox, needs_sandbox]


@pytest.mark.parametrize(
    ("agent", "moment"),
    [
        ("react", "writing"),
        ("react", "run"),
        ("react", "answer"),
        ("plan_execute", "review"),
        ("plan_execute", "run"),
    ],
)
def test_ctrl_c_leaves_nothing(agent: str, moment: str, ollama_server: OllamaServer) -> None:
    lines = lines_for(agent, moment)
    ollama_server.add(*(Line(**line) for line in lines))
    command = ("ask", QUESTION, "--agent", agent)
    process = start(*command, env=os.environ | {"PYTHON_CODE_TIMEOUT": "300"})
    below = Descendants(process.pid)
    if moment in HELD:
        for _ in lines:
            ollama_server.next_request()
    else:
        until(lambda: busy(psutil.Process(process.pid)))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "Error: Interrupted."
    assert below.count
    assert below.left() == []
    if moment in HELD:
        client_left: threading.Event = ollama_server.chats[-1].client_left
        assert client_left.wait(30), "the model still works"

    ollama_server.add(*(Line(**line) for line in lines_for(agent, "")))
    done = run(*command, "-q", PYTHON_CODE_TIMEOUT="300")
    assert (done.status, done.out) == (0, "It is 42.\n")
    listed = run("runs", "list", "--json").document["runs"]
    assert [each["status"] for each in listed] == ["completed", "cancelled"]
