"""Mending what a real failure names: the program runs, fails, is mended, and runs again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backend.config.settings import Settings
from backend.sandbox import ExecutionRequest, ExecutionResult, open_executor
from backend.sandbox.fixes import fix, known_files
from backend.sandbox.policy import installed_in
from backend.types import Failure, FailureFrame
from tests.sandbox.conftest import Run

INSTALLED = installed_in(path for path in sys.path if path.endswith("site-packages"))
SALES = "order;price;Unit Price\n1;2.5;3\n2;4.5;5\n"
PEOPLE = "\uc774\ub984,price\n\ud64d\uae38\ub3d9,2\n"
KNOWN = known_files(
    ["sales.csv", "people.csv"],
    [
        {
            "name": "sales.csv",
            "encoding": "utf-8",
            "delimiter": ";",
            "columns": [{"name": "order"}, {"name": "price"}, {"name": "Unit Price"}],
        },
        {
            "name": "people.csv",
            "encoding": "cp949",
            "delimiter": ",",
            "columns": [{"name": "\uc774\ub984"}, {"name": "price"}],
        },
    ],
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="cp949")
    return {name: tmp_path / name for name in KNOWN.files}


class Case(NamedTuple):
    code: str
    changes: list[str]
    """Of all rounds, one after another."""
    output: str


CASES = {
    "import": Case("print(math.floor(2.5))", ["added `import math`"], "2\n"),
    "two-imports": Case(
        "print(Counter('aab')['a'])\nprint(math.floor(2.5))",
        ["added `from collections import Counter`", "added `import math`"],
        "2\n2\n",
    ),
    "file": Case(
        "name = 'Sales.csv'\nprint(len(open(name).read()))",
        ["read 'sales.csv' instead of 'Sales.csv'"],
        "39\n",
    ),
    "joined-path": Case(
        "import os\nprint(len(open(os.path.join('data', 'sales.csv')).read()))",
        ["read 'sales.csv' instead of 'data/sales.csv'"],
        "39\n",
    ),
    "encoding": Case(
        "import pandas as pd\nprint(pd.read_csv('people.csv')['price'][0])",
        ["read 'people.csv' with encoding='cp949'"],
        "2\n",
    ),
    "stated-encoding": Case(
        "print(len(open('people.csv', encoding='utf-8').read()))",
        ["read 'people.csv' with encoding='cp949'"],
        "15\n",
    ),
    "delimiter": Case(
        "import pandas as pd\ndf = pd.read_csv('sales.csv')\nprint(df['price'].sum())",
        ["read 'sales.csv' with sep=';'"],
        "7.0\n",
    ),
    "column": Case(
        "import pandas as pd\ndf = pd.read_csv('sales.csv', sep=';')\n"
        "for name in ['unit_price']:\n    print(df[name].sum())",
        [],
        "",
    ),
    "column-in-place": Case(
        "import pandas as pd\ndf = pd.read_csv('sales.csv', sep=';')\nprint(df['unit_price'].sum())",
        ["used the column 'Unit Price' instead of 'unit_price'"],
        "8\n",
    ),
    "column-grouped": Case(
        "import pandas as pd\ndf = pd.read_csv('sales.csv', sep=';')\n"
        "print(df.groupby('Order')['price'].sum().iloc[0])",
        ["used the column 'order' instead of 'Order'"],
        "2.5\n",
    ),
    "folder": Case(
        "with open('out/a/b.txt', 'w') as f:\n    print(f.write('x'))",
        ["added `import os`", "made the folder 'out/a' first"],
        "1\n",
    ),
    "pandas-folder": Case(
        "import os\nimport pandas as pd\npd.DataFrame({'a': [1]}).to_csv('out/a.csv')\nprint(os.listdir('out'))",
        ["made the folder 'out' first"],
        "['a.csv']\n",
    ),
    "numpy-alias": Case(
        "import numpy as np\nprint(np.array([1.5], dtype=np.float).sum())",
        ["used `float` instead of `np.float`"],
        "1.5\n",
    ),
    "datetime-module": Case(
        "import datetime\nprint(type(datetime.now()).__name__)",
        ["used `datetime.datetime.now` instead of `datetime.now`"],
        "datetime\n",
    ),
    "datetime-class": Case(
        "from datetime import datetime\nprint(type(datetime.datetime.now()).__name__)",
        ["used `datetime`, which is the class already"],
        "datetime\n",
    ),
    "member": Case(
        "from matplotlib import pyplt as plt\nprint(plt.__name__)",
        ["imported `matplotlib.pyplot` instead of `matplotlib.pyplt`"],
        "matplotlib.pyplot\n",
    ),
}


@pytest.fixture
async def warm_run(settings: Settings) -> AsyncIterator[Run]:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    warm = settings.model_copy(update={"preimport": "numpy,pandas"})
    async with open_executor("local", warm) as executor:

        async def run_code(code: str, **request: Any) -> ExecutionResult:
            return await executor.run(ExecutionRequest(code=code, **request))

        yield run_code


@pytest.mark.sandbox
@pytest.mark.parametrize("said", ["failure", "stderr"])
async def test_failed_programs_are_mended_until_they_run(
    said: str, warm_run: Run, files: dict[str, Path]
) -> None:
    for name, case in CASES.items():
        code, changes = case.code, list[str]()
        result = await warm_run(code, files=files)
        while not result.success:
            assert result.failure is not None
            wrong = result.failure if said == "failure" else result.stderr
            found = fix(code, wrong, known=KNOWN, installed=INSTALLED)
            if found is None:
                break
            code = found.code
            changes += found.changes
            result = await warm_run(code, files=files)
        assert (name, changes, result.stdout) == (name, case.changes, case.output)


def failure(kind: str, message: str, line: int = 1) -> Failure:
    frame = FailureFrame(line=line, function="<module>", source="")
    return Failure(type=kind, message=message, frames=(frame,))


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("print(nothing)", failure("NameError", "name 'nothing' is not defined")),
        ("print(math.pi)", failure("NameError", "name 'np' is not defined")),
        ("open('x.csv')", failure("FileNotFoundError", "[Errno 2] No such file or directory: 'x.csv'")),
        ("open('/x/y.txt', 'w')", failure("FileNotFoundError", "[Errno 2] No such file or directory: '/x/y.txt'")),
        ("open('../y/x.txt', 'w')", failure("FileNotFoundError", "[Errno 2] No such file or directory: '../y/x.txt'")),
        ("d = {}\nd['a']", failure("KeyError", "'a'", 2)),
        ("d = {}\nd['unit price']=1\nd['unit price']", failure("KeyError", "'unit price'", 3)),
        ("1 / 0", failure("ZeroDivisionError", "division by zero")),
        ("import numpy as np\nint = str\nnp.int(3)", failure("AttributeError", "module 'numpy' has no attribute 'int'", 3)),
        ("int('price')", failure("ValueError", "invalid literal for int() with base 10: 'Price'")),
        ("open('sales.csv', encoding='cp949')", failure("UnicodeEncodeError", "x")),
        ("x = 1", "no traceback at all"),
        ("x = 1", ""),
        ("x = = 1", failure("NameError", "name 'np' is not defined")),
        ("x = 1", failure("SyntaxError", "invalid syntax")),
    ],
)  # fmt: skip
def test_what_a_failure_does_not_name_for_certain_is_left(code: str, wrong: Failure | str) -> None:
    assert fix(code, wrong, known=KNOWN) is None


def test_labels_keep_their_words_when_a_column_is_mended() -> None:
    code = (
        "import pandas as pd\ndf = pd.read_csv('sales.csv', sep=';')\n"
        "plt.xlabel('unit price')\nprint(df['unit price'])"
    )
    found = fix(code, failure("KeyError", "'unit price'", 4), known=KNOWN)
    assert found is not None
    assert "plt.xlabel('unit price')" in found.code
    assert "df['Unit Price']" in found.code
