"""What is told of the exception that ends a program: real programs in the real sandbox."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from backend.config.settings import load_settings
from backend.sandbox import ExecutionRequest, Executor, open_executor
from backend.sandbox.executors.local.claims import FAILURE_BYTES, failure_of
from backend.sandbox.inside import failure as told
from backend.types import Failure
from tests.sandbox.conftest import Run

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["numpy,pandas", "none"])
async def executor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Executor]:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    folder = tmp_path_factory.mktemp("failures") / "execution"
    settings = load_settings(execution_dir=folder, preimport=request.param)
    async with open_executor("local", settings) as opened:
        yield opened


async def fail(run: Run, code: str, **request: Any) -> Failure:
    result = await run(code, **request)
    assert not result.success, result
    assert result.failure is not None, result.stderr
    assert f"{result.failure.type}" in result.stderr
    return result.failure


async def variables(run: Run, code: str) -> dict[str, str]:
    """Those of the innermost frame."""
    return dict((await fail(run, code)).frames[-1].variables)


async def test_the_frames_are_the_programs_own_with_what_their_variables_were(run: Run) -> None:
    failure = await fail(
        run,
        "import json\n"
        "def read(text, times=2):\n"
        "    parts = [text] * times\n"
        "    return json.loads(text)\n"
        "given = 'no json'\n"
        "other = 1\n"
        "print(read(given))\n",
    )
    assert failure.type == "json.decoder.JSONDecodeError"
    assert failure.message.startswith("Expecting value")
    outer, inner = failure.frames
    assert (outer.line, outer.function, outer.source) == (7, "<module>", "print(read(given))")
    assert outer.variables == {"given": "'no json'"}
    assert (inner.line, inner.function) == (4, "read")
    assert inner.variables["parts"] == "['no json', 'no json']"
    assert next(iter(inner.variables)) == "text", "what the line speaks of comes first"


async def test_a_success_and_an_exit_of_its_own_have_no_failure(run: Run) -> None:
    assert (await run("print(1)")).failure is None
    result = await run("raise SystemExit(3)")
    assert (result.returncode, result.failure) == (3, None)
    caught = await run("try:\n    1 / 0\nexcept ZeroDivisionError:\n    print('went on')")
    assert (caught.success, caught.failure) == (True, None)


async def test_the_traceback_on_stderr_is_what_python_prints(run: Run) -> None:
    result = await run("def f():\n    raise ValueError('no')\nf()")
    assert result.stderr == (
        "Traceback (most recent call last):\n"
        '  File "/workspace/main.py", line 3, in <module>\n'
        "    f()\n"
        '  File "/workspace/main.py", line 2, in f\n'
        "    raise ValueError('no')\n"
        "ValueError: no\n"
    )


async def test_a_table_is_told_by_its_shape_and_columns(run: Run) -> None:
    code = (
        "import pandas as pd\n"
        "df = pd.DataFrame({'Unit Price': [1.5, 2.0], 'Name': ['a', None], '수량': [1, 2]})\n"
        "df['unit price']"
    )
    failure = await fail(run, code)
    assert (failure.type, failure.message) == ("KeyError", "'unit price'")
    assert failure.frames[-1].variables == {
        "df": "DataFrame, 2 rows, 3 columns: 'Unit Price' float64, 'Name' object, '수량' int64"
    }


async def test_arrays_and_series_are_told_by_shape_dtype_and_beginning(run: Run) -> None:
    code = (
        "import numpy as np, pandas as pd\n"
        "a, b = np.zeros((3, 4)), np.arange(5)\n"
        "s = pd.Series([1.5] * 100, name='x')\n"
        "t = pd.to_datetime(['2024-01-02'])[0]\n"
        "i = pd.Index(['p', 'q'])\n"
        "one = np.float64(2.5)\n"
        "frames = [pd.DataFrame({'x': [1]})] * 2\n"
        "a @ b, s, t, i, one, frames"
    )
    assert await variables(run, code) == {
        "a": "ndarray 3x4 float64: 0.0, 0.0, 0.0, 0.0, 0.0, 0.0",
        "b": "ndarray 5 int64: 0, 1, 2, 3, 4",
        "s": "Series 'x', 100 float64: 1.5, 1.5, 1.5, 1.5, 1.5, 1.5",
        "t": "Timestamp 2024-01-02 00:00:00",
        "i": "Index, 2 object: 'p', 'q'",
        "one": "2.5",
        "frames": "[<DataFrame 1x1>, <DataFrame 1x1>]",
    }


async def test_long_values_are_cut_and_say_how_long_they_are(run: Run) -> None:
    code = (
        "import collections\n"
        "numbers, words = list(range(1000)), {'w' * 9: 1, 'v': [1, 2]}\n"
        "text, data, huge = 'x' * 500, b'y' * 500, 10 ** 5000\n"
        "table = {f'key {n}': 'v' * 50 for n in range(100)}\n"
        "count = collections.Counter('aab')\n"
        "empty = [], (), {}, set(), ''\n"
        "1 / 0, numbers, words, text, data, huge, table, count, empty"
    )
    found = await variables(run, code)
    assert found["numbers"] == "<list of 1000: [0, 1, 2, 3, 4, 5, …]>"
    assert found["words"] == "{'wwwwwwwww': 1, 'v': [1, 2]}"
    assert found["text"] == f"'{'x' * 80}'… (500 characters)"
    assert found["data"] == f"b'{'y' * 80}'… (500 bytes)"
    assert found["huge"] == "<int of 16610 bits>"
    assert found["table"].startswith("<dict of 100: {'key 0', 'key 1', ")
    assert found["count"] == "<Counter of 2: {'a': 2, 'b': 1}>"
    assert found["empty"] == "([], (), {}, set(), '')"
    assert all(len(text) <= 120 for text in found.values())


async def test_modules_functions_and_classes_are_left_out(run: Run) -> None:
    code = (
        "import math\n"
        "class C:\n"
        "    x = 1\n"
        "    def method(self): pass\n"
        "def f(): pass\n"
        "c, m, n = C(), C().method, [].append\n"
        "1 / 0, math, C, f, c, m, n, len, int"
    )
    assert await variables(run, code) == {"c": "<C object>"}


HOSTILE = {
    "raises": "raise RuntimeError('mine')",
    "never ends": "\n        while True: pass",
    "huge": "return 'x' * 300_000_000",
    "changes state": "seen.append(1)",
    "leaves": "import os; os._exit(0)",
    "exits": "raise SystemExit(0)",
    "is no text": "return 5",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_nothing_of_the_programs_is_called_to_describe_its_values(
    run: Run, body: str
) -> None:
    special = (
        "__repr__ __str__ __len__ __iter__ __hash__ __bool__ __format__ __getattribute__".split()
    )
    methods = "\n".join(f"    def {name}(self, *more): {body}" for name in special)
    code = (
        "seen = []\n"
        "class Meta(type):\n"
        f"{methods.replace('self', 'cls')}\n"
        "class Plain:\n"
        f"{methods}\n"
        "class Odd(metaclass=Meta):\n"
        "    pass\n"
        "class MyList(list):\n"
        f"{methods}\n"
        "class MyDict(dict):\n"
        f"{methods}\n"
        "class MyText(str):\n"
        f"{methods}\n"
        "a, b, c, d, e = Plain(), Odd(), MyList([1, 2]), MyDict(x=1), MyText('abc')\n"
        "held = [Plain(), MyList()], {'key': Plain()}\n"
        "1 / 0, a, b, c, d, e, held, seen"
    )
    assert await variables(run, code) == {
        "a": "<Plain object>",
        "b": "<Odd object>",
        "c": "<MyList of 2>",
        "d": "<MyDict of 1>",
        "e": "<MyText of 3>",
        "held": "([<Plain object>, <MyList of 0>], {'key': <Plain object>})",
        "seen": "[]",
    }


async def test_the_message_is_asked_for_once(run: Run) -> None:
    code = (
        "calls = []\n"
        "class Own(Exception):\n"
        "    def __str__(self):\n"
        "        calls.append(1)\n"
        "        return f'call {len(calls)}'\n"
        "raise Own"
    )
    result = await run(code)
    assert result.stderr.endswith("Own: call 1\n")
    assert (result.failure.type, result.failure.message) == ("Own", "call 1")


@pytest.mark.parametrize("body", ["raise RuntimeError", "return 5", "raise SystemExit(0)"])
async def test_a_message_that_cannot_be_had_breaks_nothing(run: Run, body: str) -> None:
    code = f"class Own(Exception):\n    def __str__(self): {body}\nraise Own('given')"
    result = await run(code)
    assert (result.success, result.returncode) == (False, 1)
    assert "Own" in result.stderr or body.startswith("raise SystemExit")


async def test_a_long_message_is_cut(run: Run) -> None:
    failure = await fail(run, "raise ValueError('m' * 5_000_000)")
    assert len(failure.message) == told.MESSAGE_CHARS


async def test_deep_recursion_is_told_by_its_first_and_last_frames(run: Run) -> None:
    failure = await fail(run, "def f(n):\n    return f(n + 1)\nf(0)")
    assert failure.type == "RecursionError"
    assert [frame.line for frame in failure.frames] == [3, *[2] * told.INNERMOST]
    values = [int(frame.variables["n"]) for frame in failure.frames[1:]]
    assert values == sorted(values)


async def test_all_variables_together_are_bounded(run: Run) -> None:
    names = [f"name_{number}" for number in range(40)]
    assigned = "\n".join(f"    {name} = 'v' * 400" for name in names)
    calls = "".join(f"def f{n}():\n{assigned}\n    f{n + 1}()\n" for n in range(8))
    failure = await fail(run, f"{calls}def f8():\n    x = 1\n    x / 0\nf0()")
    assert all(len(frame.variables) <= told.VARIABLES for frame in failure.frames)
    size = sum(len(k) + len(v) for frame in failure.frames for k, v in frame.variables.items())
    assert size <= told.ALL_VARIABLES_CHARS
    assert failure.frames[-1].variables == {"x": "1"}, "the innermost has them first"


async def test_text_that_is_no_python_is_told_with_its_line(run: Run) -> None:
    result = await run("x = 1\ny = (1,\nprint(x)")
    assert result.failure == Failure(
        type="SyntaxError",
        message="'(' was never closed",
        frames=(told_frame(2, "<module>", "y = (1,"),),
    )


def told_frame(line: int, function: str, source: str) -> Any:
    from backend.types import FailureFrame

    return FailureFrame(line=line, function=function, source=source)


async def test_a_module_beside_the_program_counts_as_its_own(run: Run, tmp_path: Path) -> None:
    helper, broken = tmp_path / "helper.py", tmp_path / "broken.py"
    helper.write_text("def half(n):\n    return n / 0\n")
    broken.write_text("x = 1\ny = ]\n")
    failure = await fail(run, "import helper\nhelper.half(4)", files={"helper.py": helper})
    inner = failure.frames[-1]
    assert (inner.line, inner.function, inner.source) == (2, "half (helper.py)", "return n / 0")
    assert inner.variables == {"n": "4"}
    failure = await fail(run, "import broken", files={"broken.py": broken})
    assert [frame.function for frame in failure.frames] == ["<module>", "<module> (broken.py)"]
    assert failure.frames[-1].source == "y = ]"


async def test_what_was_being_handled_is_told_with_its_line(run: Run) -> None:
    failure = await fail(run, "try:\n    {}['b']\nexcept KeyError:\n    int('x')")
    assert failure.message.endswith("\nwhile handling KeyError: 'b' (line 2)")
    code = "try:\n    {}['b']\nexcept KeyError as e:\n    raise ValueError('no b') from e"
    assert (await fail(run, code)).message == "no b\ncaused by KeyError: 'b' (line 2)"
    code = "try:\n    {}['b']\nexcept KeyError:\n    raise ValueError('no b') from None"
    assert (await fail(run, code)).message == "no b"


async def test_a_group_is_told_with_its_members_and_where_the_first_one_was(run: Run) -> None:
    code = (
        "import asyncio\n"
        "async def one(n):\n"
        "    raise ValueError(n)\n"
        "async def main():\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        for n in range(5): group.create_task(one(n))\n"
        "asyncio.run(main())"
    )
    failure = await fail(run, code)
    assert failure.type == "ExceptionGroup"
    assert "\n- ValueError: 0\n- ValueError: 1\n- ValueError: 2\n- and 2 more" in failure.message
    assert (failure.frames[-1].function, failure.frames[-1].variables) == ("one", {"n": "0"})


async def test_a_way_of_its_own_to_show_errors_is_used_and_the_failure_told(run: Run) -> None:
    result = await run(
        "import sys\nsys.excepthook = lambda *e: print('mine', file=sys.stderr)\n"
        "class Own(Exception):\n    def __str__(self): print('asked'); return ''\n"
        "raise Own('given', 2)"
    )
    assert (result.stderr, result.stdout) == ("mine\n", "")
    assert (result.failure.type, result.failure.message) == ("Own", "'given', 2")


async def test_only_the_program_itself_tells_of_its_failure(run: Run) -> None:
    """A process that it made and that fails is its own affair."""
    result = await run(
        "import os\nif os.fork() == 0:\n    1 / 0\nos.wait()\nraise ValueError('up')"
    )
    assert result.failure.type == "ValueError"
    result = await run("import os\nif os.fork() == 0:\n    1 / 0\nos.wait()\nraise SystemExit(2)")
    assert (result.returncode, result.failure) == (2, None)


async def test_a_failure_at_exit_is_no_failure_of_the_program(run: Run) -> None:
    result = await run("import atexit\natexit.register(lambda: 1 / 0)")
    assert (result.success, result.failure) == (True, None)
    assert "ZeroDivisionError" in result.stderr


async def test_a_cell_of_a_session_tells_as_well(executor: Executor) -> None:
    async with await executor.open_session() as session:
        first = await session.run(ExecutionRequest(code="def f(n):\n    return 1 / n\nx = 0"))
        assert (first.success, first.failure) == (True, None)
        failed = await session.run(ExecutionRequest(code="# here\nf(x)"))
        assert failed.failure is not None
        outer, inner = failed.failure.frames
        assert (outer.line, outer.function, outer.variables) == (2, "<module>", {"x": "0"})
        assert (inner.function, inner.source) == ("f (cell_1.py)", "return 1 / n")
        again = await session.run(ExecutionRequest(code="x"))
        assert (again.value, again.failure) == ("0", None)


FORGED = {
    "no JSON": b"no",
    "another kind": b"[1]",
    "no frames": b'{"type": "E", "message": ""}',
    "a number for text": b'{"type": 1, "message": "", "frames": []}',
    "frames that are none": b'{"type": "E", "message": "", "frames": [1]}',
    "a line that is no number": b'{"type": "E", "message": "", "frames": [{"line": "1", '
    b'"function": "f", "source": "", "variables": {}}]}',
    "a line that is true": b'{"type": "E", "message": "", "frames": [{"line": true, '
    b'"function": "f", "source": "", "variables": {}}]}',
    "variables that are none": b'{"type": "E", "message": "", "frames": [{"line": 1, '
    b'"function": "f", "source": "", "variables": [1]}]}',
    "an object for text": b'{"type": "E", "message": "", "frames": [{"line": 1, '
    b'"function": "f", "source": "", "variables": {"x": {}}}]}',
    "too many frames": json.dumps(
        {
            "type": "E",
            "message": "",
            "frames": [{"line": 1, "function": "f", "source": "", "variables": {}}] * 50,
        }
    ).encode(),
    "bottomless": b"[" * 100_000,
    "too long": b'{"type": "' + b"x" * FAILURE_BYTES + b'", "message": "", "frames": []}',
    "no text": b"\xff\xfe",
    "nothing": b"",
}


@pytest.mark.parametrize("claim", FORGED.values(), ids=FORGED)
async def test_what_is_no_failure_is_none(claim: bytes) -> None:
    assert failure_of(claim) is None


async def test_a_lone_surrogate_does_not_get_through(run: Run) -> None:
    failure = await fail(run, "text = '\\ud800'\nraise ValueError(text)")
    assert "\ud800" not in failure.message
    json.dumps(failure.as_dict(), ensure_ascii=False).encode()


async def test_a_program_that_succeeds_cannot_claim_a_failure(run: Run) -> None:
    claim = json.dumps({"type": "E", "message": "m", "frames": []}).encode()
    code = f"import os\nos.write(3, b'z' + (%d).to_bytes(4, 'little') + {claim!r})\n" % len(claim)
    assert (await run(code)).failure is None
    result = await run(f"{code}raise SystemExit(1)")
    assert result.failure == Failure(type="E", message="m"), "told by the program, and no more"
