"""What the static check foresees: names, files, columns, packages that are not there, no end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from backend.config.settings import Settings
from backend.sandbox import ExecutionRequest, open_executor
from backend.sandbox.policy import blocking, check, installed_in, third_party_imports
from backend.sandbox.policy.known import known_files
from backend.types import Issue
from tests.sandbox.policy.test_policy import DANGEROUS, HOSTILE

INSTALLED = installed_in(path for path in sys.path if path.endswith("site-packages"))
FILES = ("sales.csv", "Q1 Report.xlsx")
COLUMNS = {"sales.csv": ("order", "price", "Unit Price", "region", "day")}
READ = "import pandas as pd\ndf = pd.read_csv('sales.csv')\n"


def foreseen(
    code: str,
    *,
    files: Iterable[str] = FILES,
    columns: Mapping[str, tuple[str, ...]] = COLUMNS,
    names: Iterable[str] = (),
) -> list[Issue]:
    return check(
        code,
        files=tuple(files),
        columns=columns,
        installed=INSTALLED,
        names=tuple(names),
        foresee=True,
    )


def kinds(issues: Iterable[Issue]) -> list[str]:
    return [issue.kind for issue in issues]


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("total = 1\nprint(totl)", "Did you mean 'total'?"),
        ("print(np.pi)", "Add `import numpy as np`."),
        ("print(Counter('aab'))", "Add `from collections import Counter`."),
        ("print(datetime.now())", "Add `from datetime import datetime`."),
        ("print(datetime.datetime.now())", "Add `import datetime`."),
        ("def f():\n    return zzqx\nprint(f())", "Define it before it is used"),
        ("def main():\n    qqq()\nif __name__ == '__main__':\n    main()", "'qqq'"),
        ("with open('sales.csv') as f:\n    print(lines)", "'lines'"),
        ("x = [y for y in zs]", "'zs'"),
        ("class A:\n    b = cc", "'cc'"),
    ],
)
def test_a_name_that_nothing_defines_stops_a_program_that_comes_to_it(code: str, said: str) -> None:
    (issue,) = foreseen(code)
    assert (issue.kind, issue.severity) == ("undefined_name", "error")
    assert said in issue.message


@pytest.mark.parametrize(
    "code",
    [
        "def never():\n    return nowhere\nprint(1)",
        "if False:\n    nowhere",
        "try:\n    nowhere\nexcept NameError:\n    pass",
        "x = 1 if True else nowhere",
        "f = lambda: nowhere",
        "for x in []:\n    nowhere",
        "import sys\nsys.exit()\nnowhere",
        "def f(a):\n    if a:\n        return 1\n    return nowhere\nf(1)",
        "x = True or nowhere",
        "def f(a: nowhere): pass",
        "from contextlib import suppress\nwith suppress(NameError):\n    nowhere",
    ],
)
def test_a_name_that_may_never_be_reached_is_advice_at_most(code: str) -> None:
    assert {issue.severity for issue in foreseen(code)} <= {"advice"}


@pytest.mark.parametrize(
    "code",
    [
        "from math import *\nprint(pi)",
        "globals()['a'] = 1\nprint(a)",
        "try:\n    pass\nexcept OSError as e:\n    print(e)",
        "match [1, 2]:\n    case [a, *rest]:\n        print(a, rest)\n    case {'k': v, **kw}:\n        print(v, kw)",
        "print([(a, b) for a in 'ab' if (b := a)])\nprint(b)",
        "def f():\n    global g\n    g = 1\nf()\nprint(g)",
        "def outer():\n    n = 1\n    def inner():\n        nonlocal n\n        n += 1\n    inner()\nouter()",
        "import os.path, xml.etree.ElementTree as ET\nprint(os, ET)",
        "class A:\n    def m(self):\n        return __class__\nprint(A, __name__, __file__)",
        "print(*[i for i in range(3)], sep='')",
        "async def f():\n    async with a() as b:\n        print(b)\ndef a(): pass",
        "def f(*args, **kwargs):\n    return args, kwargs\nprint(f())",
        "import pandas as pd\nfor i, (a, b) in enumerate([(1, 2)]):\n    print(i, a, b)",
        "def f(x):\n    del x\nf(1)\nprint(exit, quit, reversed)",
    ],
)
def test_names_that_are_defined_in_any_way_are_no_finding(code: str) -> None:
    assert "undefined_name" not in kinds(foreseen(code))


def test_names_are_judged_only_where_it_is_known_which_there_are() -> None:
    assert foreseen("print(rows)", names=["rows"]) == []
    assert check("print(rows)") == []
    assert [i.severity for i in check("print(rows)", names=())] == ["advice"]


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(open('Sales.csv').read())", "Read 'sales.csv'"),
        ("import pandas as pd\npd.read_csv('/home/user/sales.csv')", "Read 'sales.csv'"),
        ("import pandas as pd\npd.read_csv('data/sales.csv')", "Read 'sales.csv'"),
        ("import pandas as pd\npd.read_csv('C:\\\\data\\\\sales.csv')", "Read 'sales.csv'"),
        ("import pandas as pd\npd.read_excel('q1_report.xls')", "Read 'Q1 Report.xlsx'"),
        ("name = 'seles.csv'\nprint(open(name).read())", "Did you mean 'sales.csv'?"),
        ("print(open('other.txt').read())", "The files in the working directory are 'Q1 Report.xlsx', 'sales.csv'"),
        ("from pathlib import Path\nprint(open(Path('no.txt')).read())", "'no.txt'"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_named_with_those_that_are(code: str, said: str) -> None:
    (issue,) = foreseen(code)
    assert (issue.kind, issue.severity) == ("missing_file", "error")
    assert said in issue.message


def test_who_wants_the_network_is_told_which_files_there_are() -> None:
    (issue,) = foreseen("import pandas as pd\npd.read_csv('https://example.org/a.csv')")
    assert issue.kind == "network"
    assert "The input files are 'Q1 Report.xlsx', 'sales.csv'" in issue.message


def test_a_file_by_a_path_that_leads_to_it_is_no_finding() -> None:
    assert foreseen("open('/mnt/data/sales.csv')") == []


def test_without_any_file_that_is_what_is_said() -> None:
    (issue,) = foreseen("print(open('a.csv').read())", files=[])
    assert "There are no input files" in issue.message


@pytest.mark.parametrize(
    "code",
    [
        "open('sales.csv')\nopen('./sales.csv')\nopen('/mnt/data/sales.csv')",
        "open('out.txt', 'w').write('x')\nprint(open('out.txt').read())",
        "p = 'out.txt'\nwith open(p, mode='w') as f:\n    f.write('x')\nprint(open(p).read())",
        "import pandas as pd\npd.DataFrame({'a': [1]}).to_csv('o.csv')\npd.read_csv('o.csv')",
        "import os\nif os.path.exists('maybe.csv'):\n    open('maybe.csv')",
        "try:\n    open('maybe.csv')\nexcept FileNotFoundError:\n    pass",
        "for i in range(3):\n    open(f'part_{i}.txt', 'w').close()\nopen('part_0.txt')",
        "import numpy as np\nnp.save('m', [1])\nnp.load('m.npy')",
        "import zipfile\nzipfile.ZipFile('x.zip').extractall()\nopen('in_it.csv')",
        "def make(name):\n    open(name, 'w').close()\nmake('made.csv')\nopen('made.csv')",
        "import json\njson.loads('{\"a.b\": 1}')",
        "def open(name):\n    return name\nopen('any.txt')",
        "from pathlib import Path\nPath('new.txt').write_text('x')\nprint(open('new.txt').read())",
        "open('/proc/cpuinfo')\nopen('/tmp/x.txt')\nopen('/etc/os-release')",
        "import pandas as pd\nwith pd.ExcelWriter('o.xlsx') as w:\n    pass\npd.read_excel('o.xlsx')",
        "import io, pandas as pd\npd.read_csv(io.StringIO('a,b'))",
        "import sqlite3\nsqlite3.connect('new.db')",
    ],
)
def test_files_that_may_be_there_do_not_stop_a_program(code: str) -> None:
    assert [i for i in blocking(foreseen(code)) if i.kind == "missing_file"] == []


# --- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("print(df['pirce'])", "Did you mean 'price'?"),
        ("print(df[['order', 'Region']])", "Did you mean 'region'?"),
        ("print(df.groupby('regoin')['price'].sum())", "Did you mean 'region'?"),
        ("print(df.groupby('region')['prices'].sum())", "Did you mean 'price'?"),
        (
            "df = df.dropna()\nprint(df.sort_values(by=['unit_price']))",
            "Did you mean 'Unit Price'?",
        ),
        ("print(df[df['price'] > 3]['quantity'])", "Its columns are"),
        ("print(df.pivot_table(index='region', values='cost'))", "'cost'"),
        ("df['new'] = 1\nprint(df['new'], df['nwe'])", "'nwe'"),
    ],
)
def test_a_column_that_the_file_does_not_have_is_named(asked: str, said: str) -> None:
    (issue,) = foreseen(READ + asked)
    assert (issue.kind, issue.severity) == ("missing_column", "error")
    assert said in issue.message


SALES = "order,price,Unit Price,region,day\n1,2.5,3,north,2024-01-01\n2,4.5,5,south,2024-01-02\n"
RUNS = {
    "assigned": "df['total'] = df['price'] * 2\nprint(df['total'])",
    "assign": "df = df.assign(total=df['price'])\nprint(df['total'])",
    "renamed": "df = df.rename(columns={'price': 'cost'})\nprint(df['cost'])",
    "renamed-in-place": "df.rename(columns={'price': 'cost'}, inplace=True)\nprint(df['cost'])",
    "renamed-by-function": "df = df.rename(columns=str.upper)\nprint(df['PRICE'])",
    "renamed-in-place-by-function": "df.rename(columns=str.upper, inplace=True)\nprint(df['PRICE'])",
    "columns-set": "df.columns = ['a', 'b', 'c', 'd', 'e']\nprint(df['a'])",
    "columns-cleaned": "df.columns = df.columns.str.lower()\nprint(df['unit price'])",
    "column-value-set": "df.columns.values[0] = 'first'\nprint(df.columns)",
    "inserted": "df.insert(0, 'n', 1)\nprint(df['n'])",
    "loop": "for name in ['x', 'y']:\n    df[name] = 0\nprint(df['x'])",
    "f-string": "for i in range(2):\n    df[f'lag{i}'] = df['price'].shift(i)\nprint(df['lag1'])",
    "by-a-function": "def enrich(d):\n    d['extra'] = 1\nenrich(df)\nprint(df['extra'])",
    "by-a-function-computed": "def enrich(d, n):\n    d[n] = 1\nenrich(df, 'extra')\nprint(df['extra'])",
    "alias": "d = df\nfor n in ['q']:\n    d[n] = 1\nprint(df['q'])",
    "merged": "df = df.merge(df, on='order', suffixes=('_l', '_r'))\nprint(df['price_l'])",
    "joined": "df = df.join(df.add_suffix('_2'))\nprint(df['price_2'])",
    "reset": "df = df.reset_index()\nprint(df['index'])",
    "named-index": "df.index.name = 'row'\ndf = df.reset_index()\nprint(df['row'])",
    "rename-axis": "df = df.rename_axis('row').reset_index()\nprint(df['row'])",
    "eval": "df.eval('t = price * 2', inplace=True)\nprint(df['t'])",
    "guarded": "if 'cost' in df.columns:\n    print(df['cost'])",
    "tried": "try:\n    print(df['cost'])\nexcept KeyError:\n    print('no')",
    "grouped": "g = df.groupby('region').agg(total=('price', 'sum')).reset_index()\nprint(g['total'])",
    "counted": "c = df['region'].value_counts().reset_index()\nc.columns = ['r', 'n']\nprint(c['n'])",
    "row-labels": "s = df.set_index('region')['price']\nprint(s['north'])",
    "describe": "print(df.describe()['price']['mean'])",
    "loc": "print(df.loc[df['price'] > 3, 'region'])\ndf.loc[:, 'flag'] = 1\nprint(df['flag'])",
    "dict-of-counts": "n = {}\nfor r in df['region']:\n    n[r] = n.get(r, 0) + 1\nprint(n['north'])",
    "dummies": "df = pd.get_dummies(df, columns=['region'])\nprint(df['region_north'])",
    "transposed": "df = df.set_index('region').T\nprint(df['north'])",
    "rebound": "df = pd.DataFrame({'z': [1]})\nprint(df['z'])",
    "two-tables": "other = pd.DataFrame({'z': [1]})\nprint(other['z'], df['price'])",
    "wide": "w = df.pivot(index='order', columns='region', values='price')\nprint(w['north'])",
    "iterrows": "for _, row in df.iterrows():\n    print(row['price'])",
    "apply": "df['k'] = df.apply(lambda r: r['price'] + r['order'], axis=1)\nprint(df['k'])",
    "multi-assign": "df[['a', 'b']] = df[['price', 'order']]\nprint(df['a'], df['b'])",
    "concat": "df = pd.concat([df, df.add_prefix('p_')], axis=1)\nprint(df['p_price'])",
    "dates": "df['day'] = pd.to_datetime(df['day'])\ndf['month'] = df['day'].dt.month\nprint(df['month'])",
}


@pytest.mark.sandbox
async def test_programs_that_run_on_their_columns_are_not_stopped(
    settings: Settings, tmp_path: Path
) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    sales = tmp_path / "sales.csv"
    sales.write_text(SALES, encoding="utf-8")
    warm = settings.model_copy(update={"preimport": "numpy,pandas"})
    async with open_executor("local", warm) as executor:
        for name, code in RUNS.items():
            request = ExecutionRequest(code=READ + code, files={"sales.csv": sales})
            result = await executor.run(request)
            assert (name, result.success) == (name, True), result.stderr
            assert (name, blocking(foreseen(READ + code))) == (name, [])


@pytest.mark.parametrize(
    "reading",
    [
        "df = pd.read_csv('sales.csv', header=None)",
        "df = pd.read_csv('sales.csv', names=['a', 'b'])",
        "df = pd.read_csv('sales.csv', skiprows=1)",
        "df = pd.read_csv('sales.csv', **options)",
        "df = pd.read_csv('sales.csv', index_col=0).T",
        "df = pd.read_csv('unknown.csv')",
        "name = 'sales.csv'\nfor name in others:\n    df = pd.read_csv(name)",
    ],
)
def test_a_table_read_in_a_way_of_its_own_is_not_judged(reading: str) -> None:
    issues = foreseen(f"import pandas as pd\n{reading}\nprint(df['anything'])")
    assert "missing_column" not in kinds(issues)


# --- packages --------------------------------------------------------------------------------


def test_what_is_installed_is_listed_and_not_imported() -> None:
    assert {"pandas", "sklearn", "sklearn.ensemble", "matplotlib.pyplot", "PIL"} <= INSTALLED
    assert "polars" not in INSTALLED
    assert installed_in(["/nowhere"]) == frozenset()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("import polars as pl", "missing_package", "Use pandas instead"),
        ("import plotly.express as px", "missing_package", "Use matplotlib instead"),
        ("from tensorflow import keras", "missing_package", "Use sklearn or numpy instead"),
        ("import panda as pd", "unknown_import", "Did you mean pandas?"),
        ("from sklearn.ensamble import X", "missing_package", "Did you mean sklearn.ensemble?"),
        ("import matplotlib.pyplt as plt", "missing_package", "Did you mean matplotlib.pyplot?"),
    ],
)
def test_a_package_that_is_not_there_is_named_with_one_that_is(
    code: str, kind: str, said: str
) -> None:
    (issue,) = foreseen(code)
    assert (issue.kind, issue.severity) == (kind, "error")
    assert said in issue.message


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import polars\nexcept ImportError:\n    polars = None",
        "def f():\n    import polars",
        "from matplotlib import pyplt",
    ],
)
def test_a_package_that_may_not_be_needed_is_advice(code: str) -> None:
    assert {(i.kind, i.severity) for i in foreseen(code)} == {("missing_package", "advice")}


@pytest.mark.parametrize(
    "code",
    [
        "import IPython",
        "from matplotlib import colormaps, rcParams, get_backend, style",
        "from numpy import array, matrix, linalg",
        "from pandas import array, NA",
        "from scipy import stats, constants",
        "import sklearn.linear_model, scipy.optimize as so, os.path, xml.dom.minidom",
        "from statsmodels.tsa.arima.model import ARIMA",
        "from mpl_toolkits.mplot3d import Axes3D",
    ],
)
def test_what_is_installed_is_no_finding(code: str) -> None:
    assert foreseen(code) == []


def test_the_packages_that_a_program_imports_are_listed() -> None:
    found = third_party_imports(
        "from __future__ import annotations\nimport os, numpy.linalg\nfrom PIL import Image\n"
        "def f():\n    from sklearn import svm\nfrom . import x\nimport json as j, yaml"
    )
    assert found == ("PIL", "numpy", "sklearn", "yaml")
    assert third_party_imports("no python (") == ()


# --- loops and input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("while True:\n    pass", "error"),
        ("n = 0\nwhile 1:\n    n += 1\n    for i in range(3):\n        break", "error"),
        ("import itertools\nfor i in itertools.count():\n    print(i)", "error"),
        ("def main():\n    while True:\n        print('x')\nmain()", "error"),
        ("while True:\n    work()\ndef work(): pass", "advice"),
        ("x = 0\nwhile x < 10:\n    print(x)", "advice"),
        ("def never():\n    while True:\n        pass", "advice"),
    ],
)
def test_a_loop_without_end_is_told(code: str, severity: str) -> None:
    assert [i.severity for i in foreseen(code) if i.kind == "endless_loop"] == [severity]


@pytest.mark.parametrize(
    "code",
    [
        "while True:\n    if 1:\n        break",
        "def f():\n    while True:\n        return 1",
        "def g():\n    while True:\n        yield 1",
        "import sys\nwhile True:\n    sys.exit()",
        "while True:\n    raise ValueError",
        "x = 3\nwhile x:\n    x -= 1",
        "q = [1]\nwhile q:\n    q.pop()",
        "n = 1\nwhile n < 9:\n    n = n * 2",
        "import itertools\nfor i in itertools.count():\n    if i > 3:\n        break",
        "import itertools\nfor i in itertools.repeat(1, 3):\n    print(i)",
        "import threading, time\ndone = False\nwhile not done:\n    time.sleep(1)",
        "while True:\n    for a in [1]:\n        pass\n    else:\n        break",
    ],
)
def test_a_loop_that_ends_is_no_finding(code: str) -> None:
    assert "endless_loop" not in kinds(foreseen(code))


def test_input_stops_a_program_that_comes_to_it() -> None:
    assert [(i.kind, i.severity) for i in foreseen("n = int(input('n'))")] == [("input", "error")]
    tried = "try:\n    n = input()\nexcept EOFError:\n    n = 1"
    assert [i.severity for i in foreseen(tried)] == ["advice"]


# --- all of it -------------------------------------------------------------------------------


def test_what_will_fail_is_advice_unless_asked_for() -> None:
    code = "import polars\nwhile True:\n    pass\nopen('no.csv')\nprint(nothing)"
    issues = check(code, files=(), installed=INSTALLED, names=())
    assert set(kinds(issues)) == {
        "missing_package",
        "endless_loop",
        "missing_file",
        "undefined_name",
    }
    assert blocking(issues) == []


@pytest.mark.parametrize("code", DANGEROUS.values(), ids=DANGEROUS.keys())
def test_what_is_dangerous_stays_so_whatever_is_known(code: str) -> None:
    assert {i.kind for i in blocking(check(code))} <= {i.kind for i in blocking(foreseen(code))}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_source_is_answered_with_everything_known(code: str) -> None:
    assert len(foreseen(code)) <= 41


def test_facts_about_files_tell_columns_only_where_they_are_complete() -> None:
    table = {"columns": [{"name": "a", "dtype": "int64"}, {"name": "b"}], "header": True}
    known = known_files(
        ["a.csv", "headless.csv", "wide.csv", "book.xlsx", "skipping.csv", "picture.png"],
        [
            {"name": "a.csv", "encoding": "cp949", "delimiter": ";", **table},
            {"name": "headless.csv", **table, "header": False},
            {"name": "wide.csv", **table, "columns_in_all": 300},
            {"name": "book.xlsx", "sheets": [{"name": "x", **table}, {"name": "y", "columns": [{"name": "c"}]}]},
            {"name": "skipping.csv", **table, "read_with": "pd.read_csv('skipping.csv', skiprows=2)"},
            {"name": "picture.png", "width": 3},
        ],
    )  # fmt: skip
    assert known.columns == {"a.csv": ("a", "b"), "book.xlsx": ("a", "b", "c")}
    assert (known.formats["a.csv"].encoding, known.formats["a.csv"].delimiter) == ("cp949", ";")
    assert len(known.files) == 6
