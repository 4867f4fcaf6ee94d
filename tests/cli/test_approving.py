"""``--approve``, and ``runs approve`` and ``runs reject``: with somebody at a terminal, and without."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.cli.approving import show_program
from backend.tools.approval import ApprovalRequest, waiting_text
from tests.commands import PATIENCE_S, Descendants, Done, needs_sandbox, run
from tests.ollama_server import OllamaServer
from tests.scripts import act, generate

pytestmark = [pytest.mark.sandbox, needs_sandbox]

QUESTION = "Compute the product of 6 and 7"
WRITING = "You write one Python program"
ASK = ("ask", QUESTION, "--agent", "react", "--approve", "always")
CODE = ("code", QUESTION, "--approve", "always")


@pytest.fixture(autouse=True)
def model(ollama_server: OllamaServer) -> OllamaServer:
    ollama_server.add(
        act("python_coder", QUESTION, when="You answer a request step by step"),
        {**generate("print(6 * 7)"), "when": WRITING},
        {
            "reply": '{"verdict": "approve", "findings": []}',
            "when": "before it runs in a sandbox",
            "repeat": True,
        },
        {"reply": '{"answers_request": true}', "when": "Judge whether its output", "repeat": True},
        act("finish", "It is 42.", when="Observation: 42"),
    )
    return ollama_server


def written(server: OllamaServer) -> int:
    return sum(WRITING in chat.body["messages"][-1]["content"] for chat in server.chats)


def only_run() -> dict[str, Any]:
    (listed,) = run("runs", "list", "--json").document["runs"]
    assert isinstance(listed, dict)
    return listed


def test_without_a_terminal_a_question_waits_and_goes_on_later(model: OllamaServer) -> None:
    waiting = run(*ASK)
    run_id = only_run()["id"]
    assert waiting.status == 4
    assert "print(6 * 7)" in waiting.out
    assert f"`python-coder runs approve {run_id}`" in waiting.err
    listed = run("runs", "list", "--status", "waiting")
    assert "waiting" in listed.out
    assert "runs approve ID" in listed.err
    assert run("runs", "prune", "--keep", "0", "--json").document["pruned"] == 0
    blocked = run("runs", "resume", run_id)
    assert (blocked.status, "Approve or reject" in blocked.error) == (2, True)

    done = run("runs", "approve", run_id[:12])
    assert (done.status, done.out) == (0, "It is 42.\n")
    assert "   1  print(6 * 7)" in done.err
    assert written(model) == 1, "no second generate call"
    again = run("runs", "approve", run_id)
    assert again.status == 2
    assert "waits for no approval: it is completed" in again.error


def test_a_task_waits_and_is_rejected() -> None:
    waiting = run(*CODE, "--json")
    document = waiting.document
    assert (waiting.status, document["exit_status"], document["error_kind"]) == (4, 4, "waiting")
    assert document["approval"]["code"] == "print(6 * 7)"
    run_id = document["run_id"]
    rejected = run("runs", "reject", run_id, "--note", "No time.")
    assert (rejected.status, rejected.out) == (1, "")
    assert f"Rejected: {run_id}" in rejected.err
    assert "was not approved (No time)" in rejected.err
    assert only_run()["status"] == "failed"


def test_a_task_waits_and_is_approved(model: OllamaServer) -> None:
    waiting = run(*CODE)
    assert (waiting.status, waiting.out) == (4, "")
    assert "   1  print(6 * 7)" in waiting.err
    done = run("runs", "approve", only_run()["id"], "--json")
    assert (done.status, done.document["output"]) == (0, "42\n")
    assert written(model) == 1


def test_a_turn_of_a_conversation_waits_and_is_kept_when_it_is_answered(
    model: OllamaServer,
) -> None:
    model.add({"reply": "Hello.", "when": "hello", "repeat": False})
    session = ("--session", "fruit")
    assert run("ask", "hello", *session, "--agent", "chat").out == "Hello.\n"
    assert run(*ASK, *session).status == 4
    assert run("runs", "approve", only_run()["id"], "-q").out == "It is 42.\n"
    model.add({"reply": "Indeed.", "when": "(?s)hello.*It is 42.*thanks"})
    assert run("ask", "thanks", *session, "--agent", "chat").out == "Indeed.\n"


def test_a_run_that_waits_can_be_deleted() -> None:
    run(*ASK)
    run_id = only_run()["id"]
    assert run("runs", "delete", run_id, "--json").document["success"] is True
    assert run("runs", "approve", run_id).status == 2


class Terminal:
    """A command whose input and messages are a terminal, and whose output is a pipe."""

    def __init__(self, *args: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self._shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli", *args],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)

    def wait_for(self, words: str) -> str:
        """What was shown until these words, which are shown within a while."""
        while words not in self._shown:
            ready, _, _ = select.select([self._ours], [], [], PATIENCE_S)
            assert ready, self._shown
            try:
                piece = os.read(self._ours, 65536)
            except OSError:
                piece = b""
            assert piece, self._shown
            self._shown += piece.decode()
        before, self._shown = self._shown.split(words, 1)
        return before

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> Done:
        """Wait for its end."""
        assert self.process.stdout is not None
        while self.process.poll() is None:
            ready, _, _ = select.select([self._ours], [], [], 0.1)
            if ready:
                try:
                    self._shown += os.read(self._ours, 65536).decode()
                except OSError:
                    break
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return Done(status=self.process.returncode, out=out.decode(), err=self._shown)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._ours)


def _own_terminal() -> None:
    """Make the terminal the command's own, so that Ctrl-C on it is its signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize("command", [ASK, CODE], ids=["ask", "code"])
def test_whoever_sits_there_is_asked(command: tuple[str, ...], terminals: list[Terminal]) -> None:
    terminal = Terminal(*command)
    terminals.append(terminal)
    before = terminal.wait_for("[e]dit: ")
    assert "   1  print(6 * 7)" in before
    terminal.type("what?\n")
    terminal.wait_for("[e]dit: ")
    terminal.type("y\n")
    done = terminal.end()
    assert (done.status, done.out) == (0, "It is 42.\n" if command is ASK else "42\n")
    assert only_run()["status"] == "completed"


def test_a_no_at_the_terminal_ends_it(terminals: list[Terminal]) -> None:
    terminal = Terminal(*ASK, "-q")
    terminals.append(terminal)
    terminal.wait_for("[e]dit: ")
    terminal.type("n\n")
    done = terminal.end()
    assert (done.status, done.out) == (1, "The program was not run: it was not approved.\n")


def test_the_program_can_be_edited(terminals: list[Terminal], tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "print(21 * 2)" > "$1"\n')
    editor.chmod(0o755)
    terminal = Terminal(*CODE, EDITOR=str(editor), VISUAL=str(editor))
    terminals.append(terminal)
    terminal.wait_for("[e]dit: ")
    terminal.type("e\n")
    done = terminal.end()
    assert (done.status, done.out) == (0, "42\n")
    document = run("runs", "show", only_run()["id"], "--json").document
    assert document["code"].strip() == "print(21 * 2)"


def test_at_the_end_of_input_the_program_waits(terminals: list[Terminal]) -> None:
    terminal = Terminal(*ASK)
    terminals.append(terminal)
    terminal.wait_for("[e]dit: ")
    terminal.type("\x04")
    assert terminal.end().status == 4
    assert only_run()["status"] == "waiting"


def test_ctrl_c_at_the_question_cancels_it(terminals: list[Terminal]) -> None:
    terminal = Terminal(*ASK)
    terminals.append(terminal)
    below = Descendants(terminal.process.pid)
    terminal.wait_for("[e]dit: ")
    terminal.type("\x03")
    assert terminal.end().status == 130
    assert below.left() == []
    assert only_run()["status"] == "cancelled"


@pytest.mark.parametrize(
    "code",
    [
        "# all is well\rimport os",
        "import os\x1b[1A\x1b[2K# all is well",
        "level = 'user\u202e \u2066# all is well\u2069 \u2066'",
    ],
)
def test_no_part_of_a_program_hides_from_who_decides(code: str) -> None:
    request = ApprovalRequest(code=code)
    for shown in (show_program(request), waiting_text(request)):
        assert "all is well" in shown
        assert not set(shown) & set("\r\x1b\u202e\u2066\u2069")
        assert re.search(r"\\(r|x1b|u202e)", shown)


def test_a_program_is_shown_with_its_own_letters() -> None:
    code = "größe = 'naïve\t日本'\r\nprint(größe)\n"
    assert code.replace("\r\n", "\n") in waiting_text(ApprovalRequest(code=code))
