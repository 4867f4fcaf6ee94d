"""What the rule behind approval mode ``risky`` says of programs, and what it leaves alone."""

from __future__ import annotations

import pytest

from backend.tools.risks import risks_of

FILES = ("prices.csv", "data/more.csv")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\nos.remove('a')", "Line 2 deletes files (os.remove)."),
        ("from os import unlink as u\nu('a')", "Line 2 deletes files (os.unlink)."),
        ("from pathlib import Path\nPath('a').unlink()", "deletes files"),
        ("import shutil as s\ns.rmtree('d')", "deletes files (shutil.rmtree)"),
        ("import os\nos.rename('a', 'b')", "moves or cuts files (os.rename)"),
        ("from pathlib import Path\nPath('a').replace('b')", "moves or cuts files"),
        ("import subprocess\nsubprocess.run(['ls'])", "starts other programs (subprocess.run)"),
        ("import os\nos.system('ls')", "starts other programs (os.system)"),
        ("from multiprocessing import Pool\nPool(2)", "starts other programs"),
        ("import asyncio\nasyncio.create_subprocess_exec('ls')", "starts other programs"),
        ("eval(input())", "runs code that cannot be seen here (eval)"),
        ("import pickle\npickle.load(open('a', 'rb'))", "runs code that cannot be seen here"),
        ("import ctypes\nctypes.CDLL('x')", "runs code that cannot be seen here"),
        ("open('prices.csv', 'w')", "overwrites the input file 'prices.csv'"),
        ("open('./prices.csv', mode='a')", "overwrites the input file './prices.csv'"),
        ("df.to_csv('data/more.csv')", "overwrites the input file 'data/more.csv'"),
        ("from pathlib import Path\nPath('prices.csv').write_text('')", "overwrites the input file"),
        ("open('/etc/x', 'w')", "writes outside its folder ('/etc/x')"),
        ("out = '../x.csv'\ndf.to_csv(out)", "writes outside its folder ('../x.csv')"),
        ("plt.savefig('~/x.png')", "writes outside its folder ('~/x.png')"),
        ("def f(:", "It cannot be read"),
    ],
)  # fmt: skip
def test_what_is_risky_is_told_with_its_line(code: str, words: str) -> None:
    assert any(words in reason for reason in risks_of(code, "python", files=FILES))


@pytest.mark.parametrize(
    "code",
    [
        "import pandas as pd\nprint(pd.read_csv('prices.csv')['price'].sum())",
        "df = df.rename(columns={'a': 'b'}).replace('x', 'y')\ndf.to_csv('out.csv')",
        "open('prices.csv').read()\nopen('out.txt', 'w').write('x')",
        "import os\nprint(os.listdir('.'))\nos.makedirs('out', exist_ok=True)",
        "name = 'a-b'.replace('-', '_')\nitems = [1]\nitems.remove(1)",
        "df.eval('a + b')\nimport re\nre.compile('x')",
        "open('/tmp/x', 'w')\nopen('/mnt/data/x.csv', 'w')",
        "import requests\nrequests.get('https://example.org')",
        "",
    ],
)
def test_ordinary_programs_are_not(code: str) -> None:
    assert risks_of(code, "python", files=FILES) == ()


@pytest.mark.parametrize(
    "code",
    [
        "import requests",
        "from urllib.request import urlopen\nurlopen('https://example.org')",
        "import pandas as pd\npd.read_csv('https://example.org/a.csv')",
        "import socket",
    ],
)
def test_the_network_counts_where_programs_have_one(code: str) -> None:
    found = risks_of(code, "python", allow_network=True)
    assert found
    assert all("uses the network" in reason for reason in found)
    assert risks_of(code, "python") == ()


def test_bash_always_starts_programs() -> None:
    (only,) = risks_of("echo 1 > out.txt 2>/dev/null", "bash")
    assert "starts another program" in only
    found = risks_of("set -e\nrm -r old\n# rm new\nmv a b\nsort x > ../y\n", "bash")
    assert [reason.split(".")[0] for reason in found[1:]] == [
        "Line 2 deletes files", "Line 4 moves or cuts files", "Line 5 writes outside its folder",
    ]  # fmt: skip


def test_of_many_reasons_the_first_are_told() -> None:
    code = "import os\n" + "\n".join(f"os.remove('{number}')" for number in range(20))
    found = risks_of(code, "python")
    assert len(found) == 9
    assert found[-1] == "There are 12 more like these."
