"""Each example of docs/langgraph.md is run as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import needs_sandbox
from tests.scripts import generate, write_script
from tests.solving import GOOD

pytestmark = needs_sandbox

PAGE = Path(__file__).parents[2] / "docs" / "langgraph.md"
SALES = "month,sales\n2024-01,3\n2024-02,5\n"
PLOT = (
    "import matplotlib.pyplot as plt\nimport pandas as pd\n"
    "sales = pd.read_csv('sales.csv')\nplt.bar(sales.month, sales.sales)\nplt.savefig('sales.png')\n"
    "print('best:', sales.month[sales.sales.idxmax()])"
)
TOTAL = "import pandas as pd\nprint(pd.read_csv('sales.csv').sales.sum())"
MODEL = 'model = ChatOllama(model="qwen3:8b")'
HOST = (
    "from tests.plug.host_model import call, host\n"
    'model = host(call("Bar chart of sales by month"), "February was best.")'
)


def examples() -> dict[str, str]:
    """Heading -> the program below it."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^## (.+?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", text, re.M | re.S)
    return dict(found)


def shown(heading: str, tmp_path: Path) -> str:
    """What the example prints."""
    (tmp_path / "sales.csv").write_text(SALES)
    code = generate(PLOT if heading == "A tool" else TOTAL)
    script = write_script(tmp_path / "script.jsonl", *GOOD, code)
    done = subprocess.run(
        [sys.executable, "-c", examples()[heading].replace(MODEL, HOST)],
        env=os.environ
        | {
            "PYTHON_CODER_MODEL": f"scripted:{script}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_an_example_of_each_form() -> None:
    assert list(examples()) == ["A tool", "A node", "A subgraph"]
    assert MODEL in examples()["A tool"]


def test_the_tool_prints_the_answer_the_observation_and_the_plot(tmp_path: Path) -> None:
    printed = shown("A tool", tmp_path)
    assert printed.startswith(
        "February was best.\nsuccess | best: 2024-02\nFiles: sales.png\n[('sales.png', '"
    )
    path = Path(printed.rpartition("'sales.png', '")[2].rstrip("')]\n"))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("heading", "printed"),
    [
        ("A node", ["The program says: 8"]),
        (
            "A subgraph",
            [
                *("python_coder > work ['prepare']", "python_coder > work ['generate']"),
                *("python_coder > work ['check']", "python_coder > work ['review']"),
                *("python_coder > work ['run']", "python_coder > work ['assess']"),
                *("python_coder ['work']", "host ['python_coder']"),
            ],
        ),
    ],
)
def test_the_others_print_what_the_page_says(
    heading: str, printed: list[str], tmp_path: Path
) -> None:
    assert shown(heading, tmp_path).splitlines() == printed
