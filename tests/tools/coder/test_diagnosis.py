"""What went wrong: real programs that fail in the real sandbox, told apart by rules."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from backend.config.settings import load_settings
from backend.llm.asking import Unreadable
from backend.prompts import render
from backend.tools.coder.diagnosis import (
    DIAGNOSIS_SCHEMA,
    Diagnosis,
    describe,
    diagnose,
    needs_model,
    read_diagnosis,
    with_reply,
)
from backend.tools.python_executor_engine import PythonExecutor, describe_files, open_engine
from backend.types import DiagnosisKind, ExecutionRequest, ExecutionResult, Failure

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

INSTALLED = frozenset(
    {"numpy", "pandas", "matplotlib", "sklearn", "sklearn.ensemble", "PIL", "yaml"}
)

FILES = {
    "sales.csv": b"Region,Unit Price,Qty,Date\nNorth,1.5,3,2024-01-02\nSouth,2.5,n/k,2024-13-01\n",
    "names.csv": "이름;나이\n김;30\n이;41\n".encode("cp949"),
    "ragged.csv": b"a,b\n1,2\n1,2,3,4\n",
    "broken.json": b'{"a": 1}\n{"a": 2}\n',
}


@dataclass(frozen=True, kw_only=True)
class World:
    engine: PythonExecutor
    paths: dict[str, Path]
    facts: list[dict[str, Any]] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    folder = tmp_path_factory.mktemp("diagnosis")
    paths = {name: folder / name for name in FILES}
    for name, content in FILES.items():
        paths[name].write_bytes(content)
    settings = load_settings(execution_dir=folder / "execution", preimport="numpy,pandas")
    async with open_engine(settings) as engine:
        yield World(engine=engine, paths=paths, facts=await describe_files(engine, paths))


Fail = Callable[..., Awaitable[tuple[Diagnosis, str]]]


@pytest.fixture
def fail(world: World) -> Fail:
    """The diagnosis of a program, and what a model is told."""

    async def run(code: str, **more: Any) -> tuple[Diagnosis, str]:
        asked = {key: more.pop(key) for key in ("timeout_s", "memory_mb") if key in more}
        language = more.get("language", "python")
        request = ExecutionRequest(code=code, language=language, files=world.paths, **asked)
        result = await world.engine.execute(request, check=more.pop("check", False))
        found = diagnose(result, code=code, facts=world.facts, installed=INSTALLED, **more)
        told = describe(found, result, code, language=language)
        assert len(told) <= 2500
        assert found.signature.startswith(found.kind)
        assert json.loads(json.dumps(found.as_dict()))["kind"] == found.kind
        return found, told

    return run


READ = "import pandas as pd\ndf = pd.read_csv('sales.csv')\n"

PROGRAMS: dict[str, tuple[str, DiagnosisKind, list[str]]] = {
    # what the diagnosis and its advice say
    "a bracket left open": ("x = (1,\nprint(2)", "syntax", ["line 1", "never closed", "brackets"]),
    "a string left open": ("x = 'abc\nprint(x)", "syntax", ["Close the string"]),
    "bad indentation": ("def f():\nreturn 1", "syntax", ["four spaces"]),
    "a member that is not there": ("from math import squareroot", "import", ["'squareroot'"]),
    "a submodule that is not there": ("import sklearn.ensembles", "import", ["sklearn.ensemble'"]),
    "a name of numpy's that is gone": (
        "import numpy as np\nnp.float(3)",
        "import",
        ["Write float in place of np.float"],
    ),
    "a misspelt package": ("import pandsa", "import", ["Did you mean 'pandas'"]),
    "a package under another's name": ("import scikit_learn", "import", ["'sklearn'"]),
    "a package that is not installed": (
        "import tensorflow",
        "environment",
        ["'tensorflow' is not installed", "sklearn or numpy"],
    ),
    "the network by name": (
        "import urllib.request\nurllib.request.urlopen('http://example.com')",
        "environment",
        ["network", "do not invent"],
    ),
    "the network by number": (
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)",
        "environment",
        ["network"],
    ),
    "the network through pandas": (
        "import pandas as pd\npd.read_csv('https://example.com/x.csv')",
        "environment",
        ["network"],
    ),
    "a keyboard": ("name = input('Name? ')", "environment", ["nobody types"]),
    "another program": (
        "import subprocess\nsubprocess.run(['ffmpeg'])",
        "environment",
        ["another program"],
    ),
    "writing to an input": (
        "open('sales.csv', 'w').write('x')",
        "environment",
        ["read-only", "new name"],
    ),
    "a name that nothing defines": (
        "total = 1\nprint(totla)",
        "runtime",
        ["'totla'", "Did you mean 'total'"],
    ),
    "an import forgotten": ("print(pd.DataFrame())", "runtime", ["import pandas as pd"]),
    "a local used too early": (
        "n = 1\ndef f():\n    n += 1\nf()",
        "runtime",
        ["'n' is used before it has a value"],
    ),
    "a method that is gone": (
        "import pandas as pd\npd.DataFrame().append({})",
        "runtime",
        ["pd.concat"],
    ),
    "None in the place of something": (
        "import re\nprint(re.match('a', 'b').group())",
        "runtime",
        ["is None"],
    ),
    "a key of a dictionary": (
        "ages = {'Ada': 36, 'Bob': 40}\nprint(ages['ada'])",
        "runtime",
        ["There is no key 'ada'", "Did you mean 'Ada'", "'Bob'"],
    ),
    "a division by zero": ("print(1 / 0)", "runtime", ["divides by zero"]),
    "a position that is not there": ("print([1, 2][5])", "runtime", ["position"]),
    "types that do not go together": ("print(1 + 'a')", "runtime", ["different types"]),
    "shapes that do not fit": (
        "import numpy as np\nprint(np.ones(3) + np.ones(4))",
        "runtime",
        ["shapes"],
    ),
    "a whole column as a condition": (
        f"{READ}if df['Qty'] == '3':\n    print(1)",
        "runtime",
        ["& and |"],
    ),
    "an endless recursion": ("def f(n):\n    return f(n + 1)\nf(0)", "runtime", ["calls itself"]),
    "an exit of its own": (
        "import sys\nprint('Error: no data', file=sys.stderr)\nsys.exit(3)",
        "runtime",
        ["exit status 3", "Error: no data"],
    ),
    "a column that is not there": (
        f"{READ}print(df['unit_price'].mean())",
        "data",
        ["no column 'unit_price'", "Did you mean 'Unit Price'", "'Region'"],
    ),
    "columns that are not there": (
        f"{READ}print(df[['region', 'Qty']])",
        "data",
        ["no column 'region'", "Did you mean 'Region'"],
    ),
    "a column not seen": (
        "import pandas as pd\nprint(pd.read_csv('sales.csv').groupby('region').size())",
        "data",
        ["Did you mean 'Region'"],
    ),
    "a column as an attribute": (f"{READ}print(df.region)", "data", ["df['Region']"]),
    "columns to read that are not there": (
        "import pandas as pd\npd.read_csv('sales.csv', usecols=['qty'])",
        "data",
        ["Did you mean 'Qty'"],
    ),
    "a file that is not there": (
        "open('Sales.CSV')",
        "data",
        ["no file 'Sales.CSV'", "Did you mean 'sales.csv'"],
    ),
    "a file by a path of elsewhere": (
        "import pandas as pd\npd.read_csv('/data/in/sales.csv')",
        "data",
        ["Did you mean 'sales.csv'"],
    ),
    "a number that is none": (
        f"{READ}print(df['Qty'].astype(float))",
        "data",
        ["column 'Qty' holds such values", "to_numeric"],
    ),
    "a date that is none": (
        f"{READ}print(pd.to_datetime(df['Date'], format='%Y-%m-%d'))",
        "data",
        ["errors='coerce'"],
    ),
    "a missing value as a number": ("print(int(float('nan')))", "data", ["dropna"]),
    "dates that are text": (f"{READ}print(df['Date'].dt.year)", "data", ["pd.to_datetime"]),
    "another encoding": (
        "import pandas as pd\npd.read_csv('names.csv', encoding='utf-8')",
        "data",
        ["Pass encoding="],
    ),
    "rows of different lengths": (
        "import pandas as pd\npd.read_csv('ragged.csv')",
        "data",
        ["sep=", "skiprows"],
    ),
    "several JSON documents": (
        "import json\nprint(json.load(open('broken.json')))",
        "data",
        ["lines=True"],
    ),
    "a table that is not there": (
        "import sqlite3\nsqlite3.connect(':memory:').execute('select * from t')",
        "data",
        ["no table 't'"],
    ),
    "an array that is too large": (
        "import numpy as np\nnp.zeros((200_000, 200_000))",
        "memory",
        ["not enough memory", "chunks"],
    ),
    "an assertion of its own": ("x = 3\nassert x == 4, 'x is wrong'", "logic", ["x is wrong"]),
    "a test that fails": (
        "def add(a, b):\n    return a - b\ndef test_add():\n    assert add(1, 2) == 3\ntest_add()",
        "test",
        ["does not do what a test expects", "not the expectation"],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_rules_tell_what_went_wrong(fail: Fail, name: str) -> None:
    code, kind, words = PROGRAMS[name]
    found, told = await fail(code)
    assert found.kind == kind, found
    assert found.certain
    said = " ".join([found.root_cause, *found.advice])
    assert [word for word in words if word not in said] == [], said
    assert [word for word in words if word not in told] == [], told


async def test_what_to_install_is_named_as_the_index_names_it(fail: Fail) -> None:
    assert (await fail("import tensorflow"))[0].packages == ("tensorflow",)
    for name in ("dask", "tabula", "pyspark"):
        found, _ = await fail(f"raise ModuleNotFoundError(\"No module named '{name}'\")")
        assert (found.kind, found.packages) == ("environment", (name,))
    assert (await fail("raise ModuleNotFoundError(\"No module named 'cv2'\")"))[0].packages == (
        "opencv-python-headless",
    )
    wanted = "raise ImportError(\"Missing optional dependency 'openpyxl'. Use pip or conda.\")"
    assert (await fail(wanted))[0].packages == ("openpyxl",)
    assert (await fail("import pandsa"))[0].packages == ()


async def test_a_loop_without_a_way_out_is_found(fail: Fail) -> None:
    found, told = await fail("n = 0\nprint('began')\nwhile True:\n    n += 1", timeout_s=1)
    assert (found.kind, found.certain) == ("timeout", True)
    assert "loop in line 3 has no way out" in found.root_cause
    assert told.startswith("It was stopped by the timeout limit.")
    assert "began" in told


async def test_the_deepest_loops_are_named_when_time_was_out(fail: Fail) -> None:
    code = "t = 0\nfor a in range(10**5):\n    for b in range(10**5):\n        t += 1\nprint(t)"
    found, _ = await fail(code, timeout_s=1)
    assert "begins in line 2, 2 deep" in found.root_cause


async def test_memory_that_was_used_up_is_told(fail: Fail) -> None:
    found, _ = await fail("x = []\nwhile True:\n    x.append('a' * 10**6 + str(len(x)))")
    assert (found.kind, found.signature) == ("memory", "memory: memory")


async def test_printing_without_end_is_told(fail: Fail) -> None:
    found, told = await fail("while True:\n    print('y' * 100_000)")
    assert found.kind == "output"
    assert "only the results" in told


async def test_what_the_check_refuses_is_policy_or_syntax(fail: Fail) -> None:
    found, _ = await fail("import socket\nprint(1)", check=True)
    assert found.kind == "policy"
    assert "line 1" in found.root_cause
    assert (await fail("x = (", check=True))[0].kind == "syntax"


async def test_a_run_that_printed_nothing_is_told_so(fail: Fail) -> None:
    found, told = await fail("def main():\n    print(1)\n")
    assert (found.kind, found.signature) == ("output", "output: nothing")
    assert "main() is never called" in told


async def test_a_wrong_output_is_logic(fail: Fail) -> None:
    found, told = await fail("print(41)", shortfall="the total is missing")
    assert (found.kind, found.certain) == ("logic", True)
    assert "the total is missing" in found.root_cause
    assert "It printed:\n41" in told
    found, _ = await fail("print(41)", shortfall="no reason was given")
    assert (found.kind, found.certain) == ("logic", False)


async def test_tests_that_failed_are_told_apart_from_tests_that_cannot_run(fail: Fail) -> None:
    failed = ["test_add: AssertionError: assert -1 == 3"]
    found, _ = await fail("print(1)", failed_tests=failed)
    assert (found.kind, "does not do" in found.root_cause) == ("test", True)
    found, _ = await fail(
        "print(1)", failed_tests=["test_add: NameError: name 'ad' is not defined"]
    )
    assert "The test itself" in found.root_cause


SCRIPTS: dict[str, tuple[str, DiagnosisKind, list[str]]] = {
    "a command that is not there": ("gerp x sales.csv", "environment", ["'gerp'", "'grep'"]),
    "a file that is not there": ("wc -l sale.csv", "data", ["no file", "'sales.csv'"]),
    "an if left open": ("if true; then\necho 1", "syntax", ["no Bash"]),
    "a variable without a value": ("set -u\necho $FOO", "runtime", ["'FOO' has no value"]),
    "writing to an input": ("echo x > sales.csv", "environment", ["new name"]),
    "what may not be run": ("./sales.csv", "environment", ["bash NAME"]),
    "the network": ("curl -s -S http://example.com", "environment", ["network"]),
    "grep that finds nothing": ("grep -c nothing_here sales.csv", "runtime", ["|| true"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_rules_tell_what_went_wrong_with_a_script(fail: Fail, name: str) -> None:
    code, kind, words = SCRIPTS[name]
    found, told = await fail(code, language="bash")
    if "curl: command not found" in told or "command 'curl'" in told:
        pytest.skip("curl is not installed here")
    assert found.kind == kind, found
    said = " ".join([found.root_cause, *found.advice])
    assert [word for word in words if word not in said] == [], said


async def test_a_script_shows_the_line_that_failed(fail: Fail) -> None:
    _, told = await fail("echo one\ngerp two\n", language="bash")
    assert ">    2 | gerp two" in told
    assert "one" in told


async def test_what_no_rule_knows_is_not_certain(fail: Fail) -> None:
    found, told = await fail("class Odd(Exception):\n    pass\nraise Odd('something odd')")
    assert (found.kind, found.certain) == ("runtime", False)
    assert told.startswith("Odd: something odd\n")
    silent, _ = await fail("exit 7", language="bash")
    assert not silent.certain


async def test_the_model_gets_the_lines_their_values_and_what_was_printed(fail: Fail) -> None:
    code = (
        "import json\n"
        "def mean(values):\n"
        "    total = sum(values)\n"
        "    return total / len(values)\n"
        "groups = {'a': [1, 2], 'b': []}\n"
        "for name, values in groups.items():\n"
        "    print(name, mean(values))\n"
    )
    _, told = await fail(code)
    assert told == (
        "ZeroDivisionError: division by zero\n"
        "Cause: It divides by zero. division by zero\n"
        "- Deal with the case that the divisor is 0, or find out why it is.\n"
        "Where it was:\n"
        ">    7 |     print(name, mean(values))\n"
        "         name = 'b'\n"
        "         values = []\n"
        "in mean:\n"
        "     2 | def mean(values):\n"
        "     3 |     total = sum(values)\n"
        ">    4 |     return total / len(values)\n"
        "     5 | groups = {'a': [1, 2], 'b': []}\n"
        "         total = 0\n"
        "         values = []\n"
        "It printed before that:\n"
        "a 1.5"
    )


async def test_lines_of_a_library_are_not_shown(fail: Fail) -> None:
    _, told = await fail(f"{READ}print(df['nope'])")
    assert "site-packages" not in told
    assert "df = DataFrame, 2 rows, 4 columns: 'Region' object" in told


async def test_a_huge_error_and_output_stay_within_bounds(fail: Fail) -> None:
    lines = "\n".join(f"v{n} = 'x' * 1000" for n in range(30))
    names = ", ".join(f"v{n}" for n in range(30))
    _, told = await fail(f"print('o' * 100_000)\n{lines}\nraise ValueError('m' * 9000, {names})")
    assert told.startswith("ValueError: ('mmm")
    assert "It printed before that:\nooo" in told


SAME = {
    "other numbers and lines": ("int('abc')", "x = 1\n\nint('12 3')"),
    "other addresses": ("raise ValueError(object())", "x = [1]\nraise ValueError(object())"),
    "other ways to name a column that is not there": (
        f"{READ}df['nope']",
        f"{READ}x = 1\ndf[['Nope', 'no']]",
    ),
    "other files that are not there": ("open('a.csv')", "import os\nos.stat('b.csv')"),
}
OTHER = {
    "other names": ("print(a)", "print(b)"),
    "other packages": ("import tensorflow", "import torch_geometric"),
    "other classes": ("1 / 0", "[][0]"),
}


@pytest.mark.parametrize("name", SAME)
async def test_the_same_failure_has_the_same_signature(fail: Fail, name: str) -> None:
    first, second = [(await fail(code))[0] for code in SAME[name]]
    assert first.signature == second.signature


@pytest.mark.parametrize("name", OTHER)
async def test_another_failure_has_another_signature(fail: Fail, name: str) -> None:
    first, second = [(await fail(code))[0] for code in OTHER[name]]
    assert first.signature != second.signature


async def test_a_traceback_is_read_where_nothing_was_told() -> None:
    stderr = (
        "Traceback (most recent call last):\n"
        '  File "/tmp/x/cell.py", line 2, in <module>\n'
        "    f()\n"
        '  File "/usr/lib/python3.11/json/decoder.py", line 9, in f\n'
        "    x\n"
        "NameError: name 'pd' is not defined\n"
    )
    code = "import numpy\npd.read_csv('x')"
    result = ExecutionResult(success=False, returncode=1, stdout="", stderr=stderr)
    found = diagnose(result, code=code)
    assert (found.kind, "import pandas as pd" in found.advice[0]) == ("runtime", True)
    assert ">    2 | pd.read_csv('x')" in describe(found, result, code)


@pytest.mark.parametrize(
    "text", ["", "\n", "Error", "x" * 100_000, "Traceback\n:\n", "\x00 \ud7ff"]
)
async def test_whatever_a_program_says_is_diagnosed(text: str) -> None:
    for failure in (None, Failure(type=text[:200], message=text)):
        for code in ("", text, "def f(:"):
            result = ExecutionResult(
                success=False, returncode=1, stdout=text, stderr=text, failure=failure
            )
            for language in ("python", "bash"):
                found = diagnose(result, code=code, language=language)  # type: ignore[arg-type]
                told = describe(found, result, code, language=language)  # type: ignore[arg-type]
                assert len(told) <= 2500


# --- a model's word


async def test_a_model_is_asked_only_where_rules_cannot_tell(fail: Fail) -> None:
    sure, _ = await fail("1 / 0")
    unsure, _ = await fail("class Odd(Exception):\n    pass\nraise Odd")
    reasonless, _ = await fail("print(1)", shortfall="no reason was given")
    once = [{"signature": unsure.signature}, {"signature": sure.signature}]
    assert not needs_model(sure, once)
    assert not needs_model(unsure, [])
    assert needs_model(unsure, once)
    assert needs_model(reasonless, [])


READABLE = {
    "whole": (
        '{"kind": "data", "root_cause": "c", "advice": ["a", "b"], "packages": []}',
        {"kind": "data", "root_cause": "c", "advice": ["a", "b"], "packages": []},
    ),
    "texts for lists": (
        '{"kind": "Environment", "root_cause": "c", "advice": "a", "packages": "pyarrow"}',
        {"kind": "environment", "root_cause": "c", "advice": ["a"], "packages": ["pyarrow"]},
    ),
    "another name for a kind": (
        'Sure.\n```json\n{"kind": "logical error", "root_cause": "c"}\n```',
        {"kind": "logic", "root_cause": "c", "advice": [], "packages": []},
    ),
    "no kind at all": (
        '{"kind": "banana", "advice": ["a"], "packages": null}',
        {"kind": None, "root_cause": "", "advice": ["a"], "packages": []},
    ),
}


@pytest.mark.parametrize("name", READABLE)
async def test_a_reply_is_read(name: str) -> None:
    reply, expected = READABLE[name]
    assert read_diagnosis(reply) == expected


@pytest.mark.parametrize("reply", ["", "It is the data.", "{}", '{"kind": "data"}', "[1]"])
async def test_a_reply_without_cause_and_advice_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_diagnosis(reply)


async def test_a_reply_adds_to_the_diagnosis_and_an_unreadable_one_changes_nothing() -> None:
    rules = Diagnosis(kind="runtime", root_cause="r", signature="runtime: Odd", certain=False)
    assert with_reply(rules, None) is rules
    opinion = read_diagnosis(
        '{"kind": "data", "root_cause": "c", "advice": ["a"], "packages": ["evil"]}'
    )
    better = with_reply(rules, opinion)
    assert better == Diagnosis(
        kind="data", root_cause="c", advice=("a",), signature="runtime: Odd", certain=True
    )
    lacking = read_diagnosis('{"kind": "environment", "root_cause": "c", "packages": ["pyarrow"]}')
    assert with_reply(rules, lacking).packages == ("pyarrow",)


async def test_the_prompt_holds_what_the_model_needs_and_asks_for_the_schemas_keys() -> None:
    values = {
        "files": "- 'sales.csv'",
        "request": "Sum it",
        "attempts": "",
        "variables": "- total: int, 42",
        "language": "python",
        "code": "print(1)",
        "error": "Odd: it",
        "output": "41",
        "reason": "it holds no JSON object",
    }
    prompt = render("diagnose", **values)
    assert all(value in prompt for value in values.values())
    assert all(f'"{key}"' in prompt for key in DIAGNOSIS_SCHEMA["properties"])
    assert all(kind in prompt for kind in DIAGNOSIS_SCHEMA["properties"]["kind"]["enum"])
