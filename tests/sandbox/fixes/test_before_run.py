"""Mending what the static check names."""

from __future__ import annotations

import sys

import pytest

from backend.sandbox.fixes import Fixed, fix, known_files
from backend.sandbox.policy import blocking, check, installed_in
from tests.sandbox.policy.test_policy import HOSTILE

INSTALLED = installed_in(path for path in sys.path if path.endswith("site-packages"))
KNOWN = known_files(
    ["sales.csv", "Q1 Report.xlsx"],
    [{"name": "sales.csv", "columns": [{"name": "price"}, {"name": "Unit Price"}]}],
)


def fixed(code: str) -> Fixed | None:
    issues = check(
        code,
        files=KNOWN.files,
        columns=KNOWN.columns,
        installed=INSTALLED,
        names=(),
        foresee=True,
    )
    return fix(code, issues, known=KNOWN, installed=INSTALLED)


MENDED = {
    "import": ("print(np.pi)", "import numpy as np\nprint(np.pi)", "added `import numpy as np`"),
    "import-after-docstring": (
        '#!/usr/bin/python\n"""What it does."""\nfrom __future__ import annotations\n\nprint(math.pi)',
        '#!/usr/bin/python\n"""What it does."""\nfrom __future__ import annotations\n\nimport math\nprint(math.pi)',
        "added `import math`",
    ),
    "import-before-decorator": (
        "@dataclass\nclass A:\n    x: int",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int",
        "added `from dataclasses import dataclass`",
    ),
    "import-in-function": (
        "def f():\n    return Counter('a')",
        "from collections import Counter\ndef f():\n    return Counter('a')",
        "added `from collections import Counter`",
    ),
    "file-by-case": (
        "print(open('Sales.CSV').read())",
        "print(open('sales.csv').read())",
        "read 'sales.csv' instead of 'Sales.CSV'",
    ),
    "file-in-another-folder": (
        "p = '/home/me/sales.csv'\nprint(open(p).read())",
        "p = 'sales.csv'\nprint(open(p).read())",
        "read 'sales.csv' instead of '/home/me/sales.csv'",
    ),
    "file-with-spaces": (
        "import pandas as pd\npd.read_excel('q1_report.xlsx')",
        "import pandas as pd\npd.read_excel('Q1 Report.xlsx')",
        "read 'Q1 Report.xlsx' instead of 'q1_report.xlsx'",
    ),
    "after-other-letters": (
        "s = '\uac00\ub098'; print(s, open('SALES.csv').read())",
        "s = '\uac00\ub098'; print(s, open('sales.csv').read())",
        "read 'sales.csv' instead of 'SALES.csv'",
    ),
    "column": (
        "import pandas as pd\ndf = pd.read_csv('sales.csv')\nprint(df['unit_price'])",
        "import pandas as pd\ndf = pd.read_csv('sales.csv')\nprint(df['Unit Price'])",
        "used the column 'Unit Price' instead of 'unit_price'",
    ),
    "package": (
        "import panda as pd\nprint(pd)",
        "import pandas as pd\nprint(pd)",
        "imported `pandas` instead of `panda`",
    ),
    "package-under-its-own-name": (
        "import Pillow\nprint(Pillow)",
        "import PIL as Pillow\nprint(Pillow)",
        "imported `PIL` instead of `Pillow`",
    ),
    "submodule": (
        "from sklearn.ensamble import RandomForestClassifier",
        "from sklearn.ensemble import RandomForestClassifier",
        "imported `sklearn.ensemble` instead of `sklearn.ensamble`",
    ),
    "backend": (
        "import matplotlib\nmatplotlib.use('TkAgg')",
        "import matplotlib\nmatplotlib.use('Agg')",
        "drew with the backend 'Agg' instead of 'TkAgg'",
    ),
    "notebook": ("!pip install x\nx = 1", "\nx = 1", "removed the line '!pip install x'"),
    "magic-in-a-block": (
        "if True:\n    %matplotlib inline\nx = 1",
        "if True:\n    pass\nx = 1",
        "removed the line '%matplotlib inline'",
    ),
    "fence": ("x = 1\n```", "x = 1\n", "removed the line '```'"),
    "template": ("x = 1\n<|im_end|>", "x = 1\n", "removed the line '<|im_end|>'"),
    "quotes": (
        "print(\u201chi\u201d)",
        'print("hi")',
        "put straight quotes in the place of curly ones",
    ),
    "spaces": ("x =\u00a01", "x = 1", "removed invisible characters"),
    "print": ("print 'a', 1", "print('a', 1)", "wrote print(...) with parentheses"),
    "print-going-on": ("print 'a',", "print('a', end=\" \")", "wrote print(...) with parentheses"),
    "tabs": (
        "if 1:\n    x = 1\n\ty = 2",
        "if 1:\n    x = 1\n    y = 2",
        "indented with spaces alone instead of tabs and spaces",
    ),
    "indented": ("  x = 1\n  y = 2", "x = 1\ny = 2", "removed the indentation of the whole program"),
    "open-bracket": ("x = 1\nprint(max(x, 3)", "x = 1\nprint(max(x, 3))\n", "closed the last line's '('"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected", "change"), MENDED.values(), ids=MENDED.keys())
def test_one_thing_is_mended_and_told(code: str, expected: str, change: str) -> None:
    assert fixed(code) == Fixed(code=expected, changes=(change,))


def test_several_things_are_mended_at_once() -> None:
    found = fixed("df = pd.read_csv('SALES.csv')\nprint(np.sum(df['price']))")
    assert found is not None
    assert set(found.changes) == {
        "added `import numpy as np`",
        "added `import pandas as pd`",
        "read 'sales.csv' instead of 'SALES.csv'",
    }
    assert blocking(check(found.code, files=KNOWN.files, names=(), foresee=True)) == []


def test_what_comes_to_light_once_it_is_python_is_mended_too() -> None:
    found = fixed("!pip install numpy\nprint(np.pi)")
    assert found == Fixed(
        code="\nimport numpy as np\nprint(np.pi)",
        changes=("removed the line '!pip install numpy'", "added `import numpy as np`"),
    )


def test_a_variable_that_is_given_is_not_imported_over() -> None:
    code = "print(json.x, np.pi)"
    found = fix(code, check(code, names=["json"]), known=KNOWN, names=["json"])
    assert found is not None
    assert found.changes == ("added `import numpy as np`",)


@pytest.mark.parametrize(
    "code",
    [
        "print(undefined_thing)",
        "total = 1\nprint(totl)",
        "import polars",
        "import os\nos.system('ls')",
        "print(open('other.txt').read())",
        "import pandas as pd\ndf = pd.read_csv('sales.csv')\nprint(df['cost'])",
        "import os\nif os.path.exists('SALES.csv'):\n    open('SALES.csv')",
        "x = [1, 2\nprint(x)",
        "x = = 1",
        "s = '''\n```\n'''\nx = = 1",
        "data = [1, 2, 3,",
        "data = [1, 2, 3",
        "total = (a + b",
        "total = (f(a)",
        "for product in []:\n    pass\nprint(prod)",
        "print(string)",
        "x = 1",
        "while True:\n    pass",
        "!ls",
        "",
    ],
)
def test_what_is_not_certain_is_left_to_the_model(code: str) -> None:
    assert fixed(code) is None


def test_lines_that_end_in_other_ways_keep_their_ends() -> None:
    found = fixed("x = 1\r\nprint(open('SALES.csv').read())\r\n")
    assert found is not None
    assert found.code == "x = 1\r\nprint(open('sales.csv').read())\r\n"
    assert fixed("x = 1\ry = 2\nprint(open('SALES.csv').read())") is None


def test_only_what_was_named_is_mended() -> None:
    code = "print(np.pi)\nprint(open('SALES.csv').read())"
    issues = [i for i in check(code, files=KNOWN.files, names=()) if i.kind == "missing_file"]
    found = fix(code, issues, known=KNOWN)
    assert found is not None
    assert found.changes == ("read 'sales.csv' instead of 'SALES.csv'",)
    assert fix(code, [], known=KNOWN) is None


def test_of_two_files_that_may_be_meant_none_is_chosen() -> None:
    known = known_files(["a b.csv", "A_B.csv"])
    code = "print(open('ab.csv').read())"
    assert fix(code, check(code, files=known.files, foresee=True), known=known) is None


def test_an_input_is_not_written_to() -> None:
    code = "import pandas as pd\ndf = pd.read_csv('SALES.csv')\ndf.to_csv('SALES.csv')"
    assert fixed(code) is None


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_source_is_answered(code: str) -> None:
    found = fixed(code)
    assert found is None or found.code != code
    assert fix(code, "NameError: name 'np' is not defined", known=KNOWN) is None
