"""``ask``: the real loop and sandbox; only the model's words are scripted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import TABLE
from tests.commands import PATIENCE_S, Descendants, needs_sandbox, run, start
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, act, generate, repair, use_script, write_script

MAKES_FILES = (
    "import pandas as pd\n"
    "table = pd.read_csv('prices.csv')\n"
    "print('mean', table['price'].mean())\n"
    "table.to_csv('copy.csv', index=False)\n"
)
CONVERSATION: list[dict[str, Any]] = [
    act("python_coder", "Mean price of prices.csv"),
    generate(MAKES_FILES.replace("'price'", "'cost'")),
    APPROVE,
    repair(MAKES_FILES),
    act("finish", "The mean price is 15.0."),
]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", *CONVERSATION)


@pytest.mark.sandbox
@needs_sandbox
def test_the_answer_is_on_stdout_and_the_steps_are_on_stderr(scripted: None, prices: Path) -> None:
    done = run("ask", "Mean price in prices.csv?", "-f", prices, "--agent", "react")
    assert (done.status, done.out) == (0, "The mean price is 15.0.\n")
    for step in ("route", "files", "code", "check", "run", "output", "repair", "artifact"):
        assert any(f"s  {step} " in line for line in done.err.splitlines()), step
    assert "KeyError: 'cost'" in done.err
    files, account = done.err.splitlines()[-2:]
    assert "copy.csv" in files
    assert "-o DIR" in files
    assert "agent react, model scripted (a recorded conversation), 5 calls" in account
    assert "sandbox local, tier" in account


@pytest.mark.sandbox
@needs_sandbox
def test_quiet_leaves_only_the_answer(scripted: None, prices: Path) -> None:
    done = run("ask", "Mean price in prices.csv?", "-f", prices, "--agent", "react", "-q")
    assert (done.out, done.err) == ("The mean price is 15.0.\n", "")


@pytest.mark.sandbox
@needs_sandbox
def test_json_holds_answer_results_usage_and_files(
    scripted: None, prices: Path, tmp_path: Path
) -> None:
    done = run("ask", "-", "-f", prices, "--json", "-o", "out", stdin="Mean price in prices.csv?")
    document = done.document
    assert (done.status, done.err) == (0, "")
    assert (document["success"], document["answer"]) == (True, "The mean price is 15.0.")
    assert (document["agent"], document["mode"], document["model"]) == ("react", "auto", "scripted")
    assert document["usage"]["calls"] == 5
    assert [len(result["attempts"]) for result in document["python_coder_results"]] == [2]
    assert document["isolation"]["executor"] == "local"
    made = {entry["name"]: entry["path"] for entry in document["artifacts"]}
    assert made == {"copy.csv": str(tmp_path / "out" / "copy.csv")}
    assert (tmp_path / "out" / "copy.csv").read_text() == TABLE


@pytest.mark.sandbox
@needs_sandbox
def test_a_hostile_programs_files_stay_in_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "from pathlib import Path\n"
        "for name in ('.bashrc', '-rf', 'a\\x1b[2Jb.txt', 'sub/.hidden/x.txt'):\n"
        "    place = Path(name)\n"
        "    place.parent.mkdir(parents=True, exist_ok=True)\n"
        "    place.write_text('hostile')\n"
        "Path('link').symlink_to('/'.join(['', 'etc', 'passwd']))\n"
        "Path('keep.txt').write_text('hostile')\n"
        "print('done')\n"
    )
    lines = [act("python_coder", "Make files"), generate(program), APPROVE, act("finish", "Made.")]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
    out = tmp_path / "home" / "out"
    out.mkdir(parents=True)
    (out / "keep.txt").write_text("mine")
    done = run("ask", "Run code that makes files", "--agent", "react", "-o", out)
    assert done.status == 0, done.err
    assert (out / "keep.txt").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert "\x1b" not in done.err
    for path in out.rglob("*"):
        assert not path.is_symlink()
        assert not path.name.startswith((".", "-"))


@pytest.mark.sandbox
@needs_sandbox
def test_a_request_that_could_not_be_answered_is_a_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        act("python_coder", "Divide"),
        generate("print(1 / 0)"),
        APPROVE,
        act("finish", "It cannot be divided."),
    ]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
    monkeypatch.setenv("CODE_GENERATION_MAX_RETRIES", "0")
    done = run("ask", "Calculate 1/0 with Python", "--agent", "react", "--json")
    assert done.status == 1
    assert done.document["success"] is False
    assert done.document["python_coder_results"][0]["error"].startswith("ZeroDivisionError")


def test_ollama_that_is_not_running_is_missing_on_the_machine() -> None:
    done = run("ask", "Calculate 2 + 2 with Python", "-q")
    assert (done.status, done.out) == (3, "")
    assert "cannot be reached" in done.error
    assert "ollama serve" in done.error


def test_a_real_client_answers_over_a_real_socket(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Hello to you."})
    done = run("ask", "hello", "--agent", "chat")
    assert (done.status, done.out) == (0, "Hello to you.\n")
    assert "model gpt-oss:20b" in done.err
    assert "no program was run" in done.err


def test_another_model_is_named_with_its_provider_or_without(
    ollama_server: OllamaServer, tmp_path: Path
) -> None:
    ollama_server.models.append("qwen3:8b")
    ollama_server.add({"reply": "Hi.", "repeat": True})
    for name in ("qwen3:8b", "ollama:qwen3:8b"):
        assert run("ask", "hello", "--agent", "chat", "-m", name, "--json").document["model"] == (
            "qwen3:8b"
        )
    script = write_script(tmp_path / "other.jsonl", {"stage": "chat", "reply": "From a script."})
    done = run("ask", "hello", "--agent", "chat", "-m", f"scripted:{script}", "-q")
    assert done.out == "From a script.\n"


NOTHING = {
    "empty": {"reply": ""},
    "white space": {"reply": " \n "},
    "cut off": {"reply": "The answer is", "done_reason": "length"},
    "broken off": {"error": "dropped stream", "repeat": True},
    "server error": {"error": "500 error parsing tool call", "repeat": True},
}


@pytest.mark.parametrize("agent", ["chat", "react", "plan_execute"])
@pytest.mark.parametrize("line", NOTHING.values(), ids=NOTHING)
def test_a_model_that_answers_nothing_usable(
    line: dict[str, Any], agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", {**line, "repeat": True})
    done = run("ask", "Say something", "--agent", agent, "--json")
    assert done.status in (1, 3)
    assert done.document["success"] is False
    told = done.document.get("error") or done.document["answer"]
    assert told.strip()


def write_bytes(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


BAD_FILES = {
    "no bytes": ("empty.csv", b"", "empty"),
    "over the limit": ("large.csv", b"a,b\n" + b"1,2\n" * 400_000, "limit is 1 MB"),
    "unknown type": ("x.frobnicate", b"data", "no supported type"),
    "binary garbage": ("garbage.csv", bytes(range(256)) * 40, "garbage.csv"),
    "no workbook": ("broken.xlsx", b"PK\x03\x04 not really", "broken.xlsx"),
}


@pytest.mark.sandbox
@needs_sandbox
@pytest.mark.parametrize(("name", "content", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_costs_no_model_call(name: str, content: bytes, said: str) -> None:
    write_bytes(name, content)
    done = run("ask", "Sum of column b", "-f", name, "-q", PYTHON_CODE_MAX_FILE_SIZE="1")
    assert (done.status, done.out) == (2, "")
    assert said in done.error


LONG = {
    "10 MB": "x" * 10_000_000,
    "just over the limit": "x" * 100_001,
    "not UTF-8": b"\xff\xfe what",
    "null byte": "what\0is it",
    "nothing": "",
    "white space": " \n\t ",
}


@pytest.mark.parametrize("question", LONG.values(), ids=LONG)
def test_a_question_on_stdin_that_is_none(question: str | bytes) -> None:
    done = run("ask", "-", stdin=question)
    assert (done.status, done.out) == (2, "")
    assert len(done.error) < 400


@pytest.mark.sandbox
@needs_sandbox
def test_ctrl_c_ends_the_program_that_is_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [act("python_coder", "Wait"), generate("while True:\n    pass"), APPROVE]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "600")
    process = start("ask", "Run Python code that waits", "--agent", "react")
    descendants = Descendants(process.pid)
    assert process.stderr is not None
    for line in process.stderr:
        if b"Running the program" in line:
            break
    while descendants.count == 0 or not _busy(process.pid):
        assert process.poll() is None
        psutil.wait_procs([psutil.Process(process.pid)], timeout=0.05)
    process.send_signal(2)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines()[-1] == "Error: Interrupted."
    assert descendants.left() == []


def _busy(pid: int) -> bool:
    """Whether something below has used the processor for a while: the loop is turning."""
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if child.cpu_times().user > 0.5:
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def test_progress_of_a_failed_request_is_no_part_of_the_document() -> None:
    done = run("ask", "Calculate 2 + 2", "--json")
    assert json.loads(done.out)["error_kind"] == "model"
    assert len(done.err.splitlines()) == 1


@pytest.mark.sandbox
@needs_sandbox
def test_an_answer_from_the_record_says_so(scripted: None, prices: Path) -> None:
    asking = ("ask", "Mean price in prices.csv?", "-f", prices, "--agent", "react")
    first, again, anew = (run(*asking, *more) for more in ((), (), ("--no-cache",)))
    assert first.out == again.out == anew.out
    assert "0 calls" in again.err
    assert "known from run-" in again.err
    assert "known from" not in first.err + anew.err
