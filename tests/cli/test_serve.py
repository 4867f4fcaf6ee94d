from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import pytest

from backend.cli.serve import for_whom
from backend.config.settings import load_settings
from tests.commands import PATIENCE_S, Descendants, files_below, needs_sandbox, start
from tests.scripts import use_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_api_answers_until_it_is_told_to_stop(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", {"stage": "chat", "reply": "Hello."})
    process = start("serve", "--port", "0", "--json")
    descendants = Descendants(process.pid)
    assert process.stdout is not None
    document = ""
    for line in process.stdout:
        document += line.decode()
        if line == b"}\n":
            break
    announced = json.loads(document)
    with httpx.Client(base_url=announced["url"], trust_env=False, timeout=PATIENCE_S) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
        answer = client.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == "Hello."
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err
    assert f"{announced['url']}/v1 (this machine only" in err.decode()
    assert descendants.left() == []
    assert not [path for path in files_below(tmp_path) if "code_execution" in path.parts]


@pytest.mark.parametrize(
    ("address", "wants_keys", "said"),
    [
        ("https://coder.example", False, "WITHOUT API keys: whoever gets through to https://coder"),
        ("https://coder.example", True, "for whoever has an API key"),
        ("http://127.0.0.1:8000", False, "this machine only"),
    ],
)
def test_who_may_use_it_is_told_of_a_public_address_too(
    address: str, wants_keys: bool, said: str
) -> None:
    settings = load_settings(public_base_url=address)
    assert said in for_whom(settings, wants_keys=wants_keys)


def test_a_port_that_is_taken_is_the_callers_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    use_script(monkeypatch, tmp_path / "script.jsonl")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("serve", "--port", str(taken.getsockname()[1]))
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1
