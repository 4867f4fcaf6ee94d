from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings
from backend.errors import RequestError, TooLarge
from backend.sandbox import ExecutionRequest, Executor, open_executor
from tests.sandbox.conftest import Run

pytestmark = pytest.mark.sandbox


async def test_what_is_printed_comes_back_by_stream(run: Run) -> None:
    result = await run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert (result.success, result.returncode, result.stopped_by) == (True, 0, None)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert result.duration_s > 0


async def test_text_of_any_script_survives(run: Run) -> None:
    text = "한글 non\u2011breaking café 🎉"
    result = await run(f"print({text!r})\nopen('{text}.txt', 'w').write({text!r})")
    assert result.stdout == text + "\n"
    (artifact,) = result.artifacts
    assert (artifact.name, artifact.content.decode()) == (f"{text}.txt", text)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        pytest.param("1 + 1", "2", id="expression"),
        pytest.param("x = 1\n'text'", "'text'", id="after statements"),
        pytest.param("print('hi')", None, id="none is no value"),
        pytest.param("x = 5", None, id="statement"),
        pytest.param(
            "from __future__ import annotations\ndef f(a: Nope): ...\n3", "3", id="future"
        ),
        pytest.param("import os\nos.fork()\n'once'", "'once'", id="forked"),
        pytest.param("", None, id="empty"),
        pytest.param("# nothing", None, id="comment"),
    ],
)
async def test_last_expression_is_the_value_and_is_not_printed(
    run: Run, code: str, value: str | None
) -> None:
    result = await run(code)
    assert result.success, result.stderr
    assert result.value == value
    assert result.stdout == ("hi\n" if code == "print('hi')" else "")


async def test_a_value_is_capped(run: Run) -> None:
    result = await run("'x' * 10_000_000")
    assert result.success
    assert result.value is not None
    assert 1000 < len(result.value) <= 64 * 1024


@pytest.mark.parametrize(
    ("code", "returncode", "said"),
    [
        pytest.param("import sys; sys.exit(3)", 3, "", id="exit status"),
        pytest.param("raise SystemExit", 0, "", id="plain exit"),
        pytest.param("exit('bad input')", 1, "bad input\n", id="exit with a message"),
        pytest.param("import os; os._exit(7)", 7, "", id="hard exit"),
        pytest.param("input()", 1, "EOFError", id="no standard input"),
        pytest.param("def f(:\n  pass", 1, 'main.py", line 1', id="syntax error"),
        pytest.param("print(1)\0", 1, "null bytes", id="null byte"),
        pytest.param("x = '\ud800'", 1, "surrogates", id="lone surrogate"),
        pytest.param("(" * 3000, 1, "SyntaxError", id="deep nesting"),
        pytest.param("open('missing.csv')", 1, "FileNotFoundError", id="missing file"),
        pytest.param(
            "class Odd(int):\n    def __and__(self, other): return 'no'\nraise SystemExit(Odd(5))",
            5,
            "",
            id="odd exit status",
        ),
        pytest.param(
            "import os\nos._exit = os.getpid = os.write = None\nx = 1",
            1,
            "TypeError: 'NoneType' object is not callable\n",
            id="took the way out away",
        ),
    ],
)
async def test_how_a_program_ends_is_told_and_never_raised(
    run: Run, code: str, returncode: int, said: str
) -> None:
    result = await run(code)
    assert result.returncode == returncode
    assert result.success is (returncode == 0)
    assert result.stopped_by is None
    assert said in result.stderr


async def test_a_traceback_shows_the_programs_lines_and_none_of_ours(run: Run) -> None:
    result = await run("def divide(a):\n    return a / 0\n\ndivide(1)\n")
    assert result.stderr.splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "/workspace/main.py", line 4, in <module>',
    ]
    assert "return a / 0" in result.stderr
    assert "inside" not in result.stderr


async def test_arguments_arrive(run: Run) -> None:
    result = await run("import sys\nprint(sys.argv)", argv=["--name", "a b", "한"])
    assert result.stdout == "['main.py', '--name', 'a b', '한']\n"


async def test_variables_arrive(run: Run) -> None:
    data = {"n": 1, "text": "한", "rows": [{"a": 1.5, "b": None}], "yes": True}
    result = await run("print([n, text, rows, yes])", variables=data)
    assert result.stdout == f"{list(data.values())!r}\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        pytest.param({"handle": threading.Lock()}, "'handle'", id="cannot be copied"),
        pytest.param({"not a name": 1}, "'not a name'", id="no name"),
        pytest.param({"class": 1}, "'class'", id="keyword"),
        pytest.param({"__builtins__": 1}, "'__builtins__'", id="python's own"),
    ],
)
async def test_a_variable_that_cannot_be_passed_is_named(
    run: Run, variables: dict[str, object], named: str
) -> None:
    with pytest.raises(RequestError, match=named):
        await run("print(1)", variables=variables)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"timeout_s": 0}, id="no time"),
        pytest.param({"timeout_s": -1}, id="negative time"),
        pytest.param({"timeout_s": float("nan")}, id="time that is no number"),
        pytest.param({"timeout_s": float("inf")}, id="endless time"),
        pytest.param({"memory_mb": 0}, id="no memory"),
        pytest.param({"memory_mb": -5}, id="negative memory"),
        pytest.param({"language": "ruby"}, id="unknown language"),
        pytest.param({"argv": ["a\0b"]}, id="argument with a null byte"),
        pytest.param({"argv": [1]}, id="argument that is no text"),
        pytest.param({"figure_formats": ["png", "jpg"]}, id="unknown figure format"),
        pytest.param({"figure_formats": ()}, id="no figure format"),
        pytest.param({"figure_formats": "png"}, id="figure formats that are no list"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused(
    run: Run, request_: dict[str, object]
) -> None:
    with pytest.raises(RequestError):
        await run("print(1)", **request_)


async def test_too_much_code_is_refused(run: Run) -> None:
    with pytest.raises(TooLarge):
        await run("#" * (17 << 20))


async def test_ten_megabytes_of_source_run(run: Run) -> None:
    assert (await run("#" * (10 << 20) + "\nprint(1)")).stdout == "1\n"


async def test_bash_runs_behind_the_same_walls(run: Run) -> None:
    code = 'echo "$1 $name $(id -u)"; echo made > out.txt; cat /etc/shadow; exit 4'
    result = await run(code, language="bash", argv=["arg"], variables={"name": "값"})
    assert result.stdout == "arg 값 65534\n"
    assert "/etc/shadow" in result.stderr
    assert result.returncode == 4
    assert [artifact.name for artifact in result.artifacts] == ["out.txt"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_multiprocessing_works_inside(run: Run, method: str) -> None:
    code = f"""
import multiprocessing
def square(x):
    return x * x
if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(square, [1, 2, 3]))
"""
    result = await run(code)
    assert result.stdout == "[1, 4, 9]\n", result.stderr


async def test_the_program_is_a_real_main_module(run: Run) -> None:
    code = """
import dataclasses, inspect, pickle, sys, typing
@dataclasses.dataclass
class Point:
    x: "int"
def twice(x):
    return 2 * x
print(pickle.loads(pickle.dumps(Point(3))), pickle.loads(pickle.dumps(twice))(4))
print(inspect.getsource(twice).strip().splitlines()[0], typing.get_type_hints(Point)["x"])
print(__name__, sys.modules["__main__"].twice is twice, __file__)
"""
    result = await run(code)
    assert result.stdout.splitlines() == [
        "Point(x=3) 8",
        "def twice(x): <class 'int'>",
        "__main__ True /workspace/main.py",
    ], result.stderr


async def test_threads_and_exit_functions_finish_before_the_program_does(run: Run) -> None:
    code = """
import atexit, threading, time
atexit.register(print, "last")
threading.Timer(0.05, print, ["thread"]).start()
print("main", end="")
"""
    assert (await run(code)).stdout == "mainthread\nlast\n"


async def test_runs_share_nothing(run: Run) -> None:
    look = "import os; print(os.listdir('.'), os.listdir('/tmp'), os.listdir('/dev/shm'))\n"
    leave = "open('left', 'w').write('x'); open('/tmp/left', 'w'); open('/dev/shm/left', 'w')\n"
    first = await run(look + leave + look)
    before, after = first.stdout.splitlines()
    assert after.count("left") == 3
    # Not simply empty: an interpreter that is installed below /tmp is to be seen there.
    assert (await run(look)).stdout.splitlines() == [before]


async def test_many_runs_at_a_time_keep_to_themselves(executor: Executor) -> None:
    requests = [
        ExecutionRequest(code=f"open('n.txt', 'w').write('{n}')\nprint({n})") for n in range(12)
    ]
    results = await asyncio.gather(*(executor.run(request) for request in requests))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(12)]
    assert [result.artifacts[0].content for result in results] == [b"%d" % n for n in range(12)]


async def test_every_result_carries_the_walls_that_stood(executor: Executor, run: Run) -> None:
    isolation = (await run("print(1)")).isolation
    assert isolation == executor.isolation
    assert isolation is not None
    assert isolation.executor == "local"
    assert isolation.tier == ("A" if "memory cgroup" in isolation.walls else "B")
    assert {"user namespace", "pid namespace", "no network", "seccomp", "rlimits"} <= set(
        isolation.walls
    )


async def test_a_network_that_is_allowed_is_no_wall_and_is_said(
    settings: Settings, executor: Executor
) -> None:
    # An executor of this machine exists, so one with fewer walls can be opened, too.
    lenient = settings.model_copy(update={"allow_network": True})
    async with open_executor("local", lenient) as open_to_all:
        code = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as client:
        print("connected")
"""
        result = await open_to_all.run(ExecutionRequest(code=code))
    assert result.stdout == "connected\n", result.stderr
    assert result.isolation is not None
    assert "no network" not in result.isolation.walls


async def test_an_unknown_executor_is_refused_with_the_known_ones(settings: Settings) -> None:
    with pytest.raises(RequestError, match="local"):
        async with open_executor("nowhere", settings):
            pass


async def test_settings_are_read_when_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: Executor
) -> None:
    monkeypatch.setenv("PYTHON_CODE_EXECUTION_DIR", str(tmp_path / "elsewhere"))
    async with open_executor() as opened:
        assert (await opened.run(ExecutionRequest(code="print(1)"))).success
        assert (tmp_path / "elsewhere").is_dir()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"argv": ("x" * 3_000_000,)}, id="argument too long"),
        pytest.param({"variables": {"TEXT": "a\0b"}}, id="null byte in a variable"),
    ],
)
async def test_what_cannot_be_passed_to_bash_is_told_in_one_line(
    run: Run, request_: dict[str, Any]
) -> None:
    result = await run("echo hi", language="bash", **request_)
    assert (result.success, result.returncode, result.stopped_by) == (False, 126, None)
    assert result.stderr.startswith("bash could not be started: ")
    assert result.stderr.count("\n") == 1


LAST_LINES = {
    "is traced no more when tracing is off": (
        "import sys\ndef t(*of): print(of[1])\nsys.settrace(t)\nsys.settrace(None)",
        "",
    ),
    "is in the frame of the others": (
        "import sys\nframe = sys._getframe()\nprint(frame.f_lineno, frame is sys._getframe())",
        "3 True\n",
    ),
    "needs no builtin": ("import builtins\nbuiltins.eval = None\nprint('last')", "last\n"),
}


@pytest.mark.parametrize(("code", "printed"), LAST_LINES.values(), ids=LAST_LINES)
async def test_the_last_line_is_as_every_other(run: Run, code: str, printed: str) -> None:
    result = await run(code)
    assert (result.stdout, result.stderr) == (printed, "")


async def test_what_python_refuses_is_refused_to_the_last_character(run: Run) -> None:
    result = await run("x = 1\nx\u00a0")
    assert "SyntaxError: invalid non-printable character U+00A0" in result.stderr
