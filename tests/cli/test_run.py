"""``run``: programs in the real sandbox, friendly and hostile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.commands import PATIENCE_S, Descendants, files_below, needs_sandbox, run, start

pytestmark = [pytest.mark.sandbox, needs_sandbox]


def write(text: str, name: str = "program.py") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_output_comes_as_it_is_and_the_rest_on_stderr() -> None:
    done = run("run", write("import sys\nprint('größe', 6 * 7)\nprint('log', file=sys.stderr)"))
    assert (done.status, done.out) == (0, "größe 42\n")
    assert done.err.splitlines()[0] == "log"
    assert "Done after" in done.err
    assert "sandbox local, tier" in done.err


def test_quiet_leaves_only_the_programs_own_output() -> None:
    done = run("run", "-q", write("print(1)"))
    assert (done.out, done.err) == ("1\n", "")


def test_arguments_follow_a_double_dash() -> None:
    done = run("run", write("import sys; print(sys.argv[1:])"), "-q", "--", "-f", "x", "--json")
    assert done.out == "['-f', 'x', '--json']\n"


def test_a_program_comes_on_stdin_too() -> None:
    assert run("run", "-", "-q", stdin="print('from stdin')").out == "from stdin\n"


def test_a_shell_script_is_known_by_its_ending_or_said() -> None:
    script = 'echo "hello $1"; exit 3'
    done = run("run", write(script, "s.sh"), "-q", "--", "you")
    assert (done.status, done.out) == (1, "hello you\n")
    assert run("run", "-", "--language", "bash", "-q", stdin="echo hi").out == "hi\n"


def test_input_files_lie_beside_the_program() -> None:
    write("a,b\n1,2\n", "table.csv")
    done = run("run", write("print(open('table.csv').read())"), "-f", "table.csv", "-q")
    assert done.out == "a,b\n1,2\n\n"


def test_files_are_written_with_an_output_folder_only(tmp_path: Path) -> None:
    program = write("open('made.txt', 'w').write('x')\nopen('.bashrc', 'w').write('y')")
    done = run("run", program)
    assert "made.txt" in done.err
    assert "-o DIR" in done.err
    assert not (tmp_path / "made.txt").exists()
    done = run("run", program, "-o", "out")
    assert (tmp_path / "out" / "made.txt").read_text() == "x"
    assert "made.txt" in done.err
    assert not (tmp_path / "out" / ".bashrc").exists()


def test_json_holds_the_whole_result(tmp_path: Path) -> None:
    program = write("print('hi')\nopen('made.txt', 'w').write('x')\n6 * 7")
    document = run("run", program, "--json", "-o", "out").document
    assert document["success"] is True
    assert (document["returncode"], document["stdout"]) == (0, "hi\n")
    assert document["value"] == "42"
    assert document["isolation"]["executor"] == "local"
    assert document["artifacts"] == [
        {
            "name": "made.txt",
            "media_type": "text/plain",
            "size": 1,
            "path": str(tmp_path / "out" / "made.txt"),
        }
    ]


def test_json_holds_what_a_plot_and_a_table_show() -> None:
    code = "import pandas as pd\npd.Series([1, 2]).plot(title='T')\npd.DataFrame({'n': [1]})"
    document = run("run", write(code), "--json").document
    assert document["value"] == "   n\n0  1"
    assert "<table" in document["html"]
    [chart] = document["charts"]
    assert (chart["artifact"], chart["title"]) == ("figure_1.png", "T")


def test_json_tells_what_failed_and_with_which_values() -> None:
    document = run("run", write("x = 0\nprint(1 / x)"), "--json").document
    assert document["failure"]["type"] == "ZeroDivisionError"
    [frame] = document["failure"]["frames"]
    assert (frame["line"], frame["source"]) == (2, "print(1 / x)")
    assert frame["variables"] == {"x": "0"}


def test_json_is_one_document_when_the_program_fails_or_prints_json() -> None:
    done = run("run", write("print('{}')\nraise SystemExit(4)"), "--json")
    assert done.status == 1
    assert done.document["returncode"] == 4
    assert done.err == ""


def test_a_program_that_the_check_refuses_is_not_run() -> None:
    done = run("run", write("print('first')\nimport subprocess"))
    assert (done.status, done.out) == (1, "")
    assert "line 2: security" in done.err
    assert "not run" in done.err
    document = run("run", "program.py", "--json").document
    assert (document["success"], document["returncode"]) == (False, None)
    assert document["issues"][0]["kind"] == "blocked_import"


LIMITS = {
    "no time": ["--timeout", "0"],
    "less than no memory": ["--memory", "-5"],
    "time without end": ["--timeout", "nan"],
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_an_impossible_limit_is_the_callers_mistake(limit: list[str]) -> None:
    assert run("run", write("print(1)"), *limit).status == 2


def test_an_empty_program_is_the_callers_mistake() -> None:
    done = run("run", write(" \n"))
    assert done.status == 2
    assert "empty" in done.error


def test_where_code_is_switched_off_nothing_is_run() -> None:
    done = run("run", write("print(1)"), PYTHON_CODE_ENABLED="false")
    assert (done.status, done.out) == (2, "")
    assert "PYTHON_CODE_ENABLED" in done.error


def test_without_bubblewrap_it_is_the_machine_that_lacks_something(tmp_path: Path) -> None:
    done = run("run", write("print(1)"), PATH=str(tmp_path))
    assert (done.status, done.out) == (3, "")
    assert "bubblewrap" in done.error


# Each ends in its own `stopped_by`, or in a Python error that names what it ran into.
HOSTILE = {
    "reads /etc/shadow": (
        "print(open('/etc/shadow').read())",
        {None},
        ("FileNotFoundError", "PermissionError"),
    ),
    "opens a socket": (
        "import socket\nsocket.create_connection(('1.1.1.1', 53), timeout=2)",
        {None},
        ("OSError", "PermissionError"),
    ),
    "forks 500 times": (
        "import os, time\nfor _ in range(500):\n    if os.fork() == 0:\n"
        "        time.sleep(60)\n        os._exit(0)\nprint('all of them')",
        {None, "processes"},
        ("BlockingIOError", "Resource temporarily unavailable"),
    ),
    "takes 4 GB": (
        "kept = []\nfor _ in range(4096):\n    kept.append(b'x' * 2**20)\nprint('all of it')",
        {None, "memory"},
        ("MemoryError",),
    ),
    "prints 1 GB": (
        "import sys\nfor _ in range(1024):\n    sys.stdout.write('x' * 2**20)",
        {"output"},
        (),
    ),
    "loops for ever": ("while True:\n    pass", {"timeout", "cpu"}, ()),
}


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize(("code", "stops", "errors"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_ends_and_leaves_nothing(
    code: str, stops: set[str | None], errors: tuple[str, ...], checked: bool, tmp_path: Path
) -> None:
    args = [] if checked else ["--no-check"]
    process = start("run", write(code), "--timeout", "4", "--json", *args)
    descendants = Descendants(process.pid)
    out, _ = process.communicate(timeout=PATIENCE_S)
    document = json.loads(out)
    assert process.returncode == 1
    assert document["success"] is False
    assert descendants.left() == []
    assert files_below(tmp_path) == [tmp_path / "program.py"]
    if document["returncode"] is None and document["stopped_by"] is None:
        assert checked
        assert document["issues"]
        return
    assert document["stopped_by"] in stops
    if document["stopped_by"] is None:
        assert any(error in document["stderr"] for error in errors)
    assert len(document["stdout"]) < 2**20
    assert "root:" not in document["stdout"]


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize(("number", "status"), SIGNALS.items(), ids=[s.name for s in SIGNALS])
def test_a_signal_kills_the_run_and_everything_it_started(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    program = write("import time\nopen('x', 'w').write('x')\ntime.sleep(600)")
    heard = signal.getsignal(number)
    if heard is signal.SIG_IGN:  # these tests were begun with nohup, and commands would inherit it
        signal.signal(number, signal.SIG_DFL)
    process = start("run", program, "--timeout", "600", "--json")
    signal.signal(number, heard)
    descendants = Descendants(process.pid)
    _wait_for_the_program(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status
    assert json.loads(out)["exit_status"] == status
    assert len(err.splitlines()) == 1
    assert descendants.count
    assert descendants.left() == []
    assert files_below(tmp_path) == [tmp_path / "program.py"]


def _wait_for_the_program(process: subprocess.Popen[bytes]) -> None:
    """Until something below the command has slept through several looks at it."""
    calm = 0
    root = psutil.Process(process.pid)
    while calm < 10:
        assert process.poll() is None
        below = root.children(recursive=True)
        depth = len(below) >= 3
        calm = calm + 1 if depth and all(_sleeps(child) for child in below) else 0
        psutil.wait_procs([root], timeout=0.05)


def _sleeps(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_SLEEPING
    except psutil.NoSuchProcess:
        return False


def test_a_terminal_is_not_steered_by_what_a_program_prints(tmp_path: Path) -> None:
    script = tmp_path / "colour.py"
    script.write_text(r"print('a\x1b[31mb\x1b]0;title\x07c\u202ed')", encoding="utf-8")
    command = f"{sys.executable} -m backend.cli run {script}"
    terminal = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, check=True
    )
    piped = subprocess.run(command.split(), capture_output=True, check=True)
    assert terminal.stdout.splitlines()[0] == b"a[31mb]0;titlecd"
    assert piped.stdout == "a\x1b[31mb\x1b]0;title\x07c\u202ed\n".encode()
