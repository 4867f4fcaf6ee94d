"""Every way to have a program run over HTTP is on record, with who asked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import backend
from backend.config.settings import load_settings
from backend.store.audit_reading import Entry, Wanted, read_trail
from tests.api.conftest import running
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, answer, generate, repair, write_script

BACKEND = Path(backend.__file__).parent
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    lines = [
        act("python_coder", "Count"),
        generate("print('agent')"),
        APPROVE,
        act("finish", "Done."),
    ]
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', *lines)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
        preimport="none",
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def newest(folder: Path) -> Entry:
    (entry,) = read_trail(folder / "data" / "audit", Wanted(), limit=1)
    return entry


@pytest.mark.sandbox
@needs_sandbox
def test_a_program_is_on_record_with_the_request_it_came_with(
    client: httpx.Client, folder: Path
) -> None:
    ran = client.post("/v1/execute", json={"code": PLOT}, headers={"X-Request-Id": "r-1"}).json()
    told = newest(folder).as_dict()
    assert {key: told[key] for key in ("request_id", "owner", "key_id", "source", "outcome")} == {
        "request_id": "r-1",
        "owner": "local",
        "key_id": "",
        "source": "POST /v1/execute",
        "outcome": "success",
    }
    assert told["code"] == PLOT
    assert [each["size"] for each in told["artifacts"]] == [ran["artifacts"][0]["size"]]


@pytest.mark.sandbox
@needs_sandbox
@pytest.mark.parametrize(
    ("code", "outcome", "verdict"),
    [
        ("import ctypes", "refused", "refused"),
        ("while True: pass", "stopped", "passed"),
        ("1/0", "failed", "passed"),
    ],
    ids=["refused", "stopped", "failed"],
)
def test_how_it_ended_is_on_record(
    client: httpx.Client, folder: Path, code: str, outcome: str, verdict: str
) -> None:
    client.post("/v1/execute", json={"code": code, "timeout_s": 0.3})
    entry = newest(folder)
    assert (entry.began["code"], entry.outcome, entry.began["verdict"]) == (code, outcome, verdict)


@pytest.mark.sandbox
@needs_sandbox
def test_programs_of_a_session_and_of_an_agent_say_whose_they_are(
    client: httpx.Client, folder: Path
) -> None:
    session = client.post("/v1/sessions", json={}).json()["id"]
    client.post("/v1/execute", json={"code": "x = 1", "session_id": session})
    assert newest(folder).began["session_id"] == session
    ask = {"messages": [{"role": "user", "content": "Count"}], "agent_type": "react"}
    reply = client.post("/v1/chat/completions", json=ask | {"session_id": session})
    assert reply.status_code == 200, reply.text
    began = newest(folder).began
    assert (began["code"], began["verdict"]) == ("print('agent')", "passed")
    assert began["session_id"] == session
    assert client.get(f"/v1/runs/{began['run_id']}").status_code == 200
    assert client.get("/ready").status_code == 200
    assert newest(folder).began["code"] == "print('agent')", "what the house runs is not on record"


@pytest.mark.sandbox
@needs_sandbox
@pytest.mark.parametrize("then", ["refused", "overruled"])
def test_what_the_check_refused_of_an_agent_is_on_record(tmp_path: Path, then: str) -> None:
    """Nobody takes that away with the run: an operator reads what was tried."""
    lines = [
        act("python_coder", "Count"),
        generate("import requests\nprint(1)"),
        repair("import requests\nprint(2)"),
        answer("It cannot be done."),
    ]
    settings = load_settings(
        model=f"scripted:{write_script(tmp_path / 'script.jsonl', *lines)}",
        data_dir=tmp_path / "data",
        execution_dir=tmp_path / "data" / "code_execution",
        preimport="none",
        max_iterations=1,
        max_steps=1,
        allow_partial_execution=then == "overruled",
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        ask = {"messages": [{"role": "user", "content": "Count"}], "agent_type": "react"}
        assert client.post("/v1/chat/completions", json=ask).status_code == 200
        (run,) = client.get("/v1/runs").json()["data"]
        counted = client.get("/metrics").text
        client.delete(f"/v1/runs/{run['id']}")
    found = list(read_trail(tmp_path / "data" / "audit", Wanted(), limit=9))
    assert [(each.began["verdict"], each.began["issues"]) for each in found] == [
        ("refused", ["blocked_import"]),
        (then, ["blocked_import"]),
    ]
    assert {each.began["run_id"] for each in found} == {run["id"]}
    assert 'python_coder_programs_total{language="python",outcome="refused"} ' in counted


def test_there_is_one_door_to_execution() -> None:
    """Whoever opens an executor has programs run past the record; the doctor's is one of the house."""
    openers = [
        path.relative_to(BACKEND).as_posix()
        for path in BACKEND.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and any(alias.name in ("open_executor", "open_local") for alias in node.names)
    ]
    assert sorted(openers) == [
        "sandbox/__init__.py",
        "sandbox/doctor.py",
        "tools/python_executor_engine.py",
    ]
