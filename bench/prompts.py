"""How many tokens each stage's prompt has.

Method: tokens are estimated (`backend/llm/tokens.py`), rather too high than too low. *Rules*: the
template with nothing in it. *Usual*: the values of a plain request with one file of six columns.
*Longest*: every value as long as the code that gives it lets it be, a request of 6,000
characters and a program as long as the longest reply. *Sent*: the same after it was cut to the
default context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.config.settings import Settings
from backend.llm.fitting import Fitted, fit
from backend.prompts import CEILINGS, Ceiling, render, variables
from backend.prompts.at_hand import list_variables
from backend.prompts.texts import (
    ATTEMPTS_CHARS,
    JUDGED_CONTEXT_CHARS,
    OBSERVATION_CHARS,
    list_facts,
    shorten,
)
from backend.prompts.tokens import estimate_tokens
from backend.tools.registry import CODER, FINISH, ToolName
from backend.tools.running import run_bash, run_python
from backend.tools.toolbox import Described, Toolbox
from backend.types import Stage

_REQUEST = "Read sales.csv, add up the revenue of each region and quarter, and plot it as bars. "
_CODE = """\
import pandas as pd

sales = pd.read_csv("sales.csv", parse_dates=["sold_at"])
for region, group in sales.groupby("region"):
    print(f"{region:<12}{group['revenue'].sum():>14.2f}")
"""
_OUTPUT = "North        1284503.25\nSouth         998120.50\n2024-01-31   42   0.375\n"
_ERROR = """\
KeyError: 'Revenue'
  File "main.py", line 5, in <module>
    print(f"{region:<12}{group['Revenue'].sum():>14.2f}")
Columns are region, revenue, sold_at.
"""
_JUDGING = ("review", "assess")
_CONTEXT_CHARS = 6000
_HISTORY_CHARS = 6000
_STEP_CHARS = 9200
_RESULT_CHARS = 10_000
_USES = 5
"""Of the coder in one request: `PYTHON_CODER_MAX_STEPS`."""


def _facts(files: int, columns: int) -> str:
    return list_facts(
        [
            {
                "name": f"sales_{number}.csv",
                "type": "csv",
                "size": 48_211,
                "rows": 1200,
                "rows_exact": True,
                "columns": [
                    {"name": f"column {n}", "dtype": "float64", "min": 0.25, "max": 9120.5}
                    for n in range(columns)
                ],
                "preview": ["North,1284503.25,2024-01-31,42,0.375,yes"] * 5,
            }
            for number in range(files)
        ]
    )


def _repeated(text: str, chars: int) -> str:
    return shorten(text * (chars // len(text) + 2), chars)


def _fixed() -> dict[str, str]:
    tools: list[Described] = [CODER, run_python(), run_bash()]
    return {
        "tools": Toolbox(tools).describe(),
        "native": "",
        "names": " | ".join([*ToolName, FINISH]),
        "packages": "numpy, pandas, matplotlib, seaborn, scipy, sklearn, statsmodels, sympy, "
        "networkx, PIL, openpyxl, docx, pptx, pypdf, bs4, lxml, yaml",
        "language": "python",
        "timeout_s": "30",
        "memory_mb": "512",
    }


def usual_values() -> dict[str, str]:
    """What a plain request gives a prompt, for every variable that templates name."""
    return _fixed() | {
        "request": _REQUEST,
        "context": "",
        "history": "",
        "variables": "",
        "contract": "",
        "constraints": "",
        "outputs": "",
        "tests": "",
        "mistakes": "",
        "remarks": "",
        "focus": "",
        "instruction": "Change the line that the error names, and nothing else.",
        "program": "",
        "files": _facts(1, 6),
        "attempts": "",
        "steps": _repeated(_OUTPUT, 600),
        "done": "",
        "results": _repeated(_CODE, 700) + _repeated(_OUTPUT, 500),
        "output": _repeated(_OUTPUT, 500),
        "problem": _ERROR,
        "error": _ERROR,
        "plan": "Read the file, group it by region, print the sums and plot them.",
        "why": "",
        "code": _repeated(_CODE, 1200),
        "artifacts": "revenue.png",
        "reason": "",
    }


def longest_values(stage: str) -> dict[str, str]:
    """Every variable's longest value, as the code that gives it cuts it."""
    context = JUDGED_CONTEXT_CHARS if stage in _JUDGING else _CONTEXT_CHARS
    program = _repeated(_CODE, 4096 * 3)
    return _fixed() | {
        "request": _repeated(_REQUEST, 6000),
        "context": _repeated(_REQUEST, context),
        "history": _repeated(_REQUEST, _HISTORY_CHARS),
        "variables": list_variables({f"name_{n}": "DataFrame, " * 9 for n in range(80)}),
        "contract": _repeated(_REQUEST, 2000),
        "constraints": _repeated(_REQUEST, 1500),
        "outputs": _repeated(_REQUEST, 500),
        "tests": _repeated(_CODE, 8000),
        "mistakes": _repeated(_CODE + _ERROR, 8000),
        "remarks": _repeated(_REQUEST, 2000),
        "focus": _repeated(_REQUEST, 2500),
        "instruction": _repeated(_REQUEST, 600),
        "program": program,
        "files": _facts(12, 60),
        "attempts": _repeated(_CODE + _ERROR, ATTEMPTS_CHARS),
        "steps": _repeated(_OUTPUT, _USES * _STEP_CHARS),
        "done": _repeated(_CODE + _OUTPUT, _USES * _RESULT_CHARS),
        "results": _repeated(_CODE + _OUTPUT, _USES * _RESULT_CHARS),
        "output": _repeated(_OUTPUT, OBSERVATION_CHARS),
        "problem": _repeated(_ERROR, OBSERVATION_CHARS),
        "error": _repeated(_ERROR, OBSERVATION_CHARS),
        "plan": _repeated(_REQUEST, 1000),
        "why": _repeated(_REQUEST, 1000),
        "code": program,
        "artifacts": ", ".join(f"figure_{number}.png" for number in range(20)),
        "reason": "it holds no whole Python program in a ```python block",
    }


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A stage's prompt, in tokens."""

    rules: int
    usual: int
    longest: int
    sent: int
    ceiling: Ceiling
    shortened: tuple[str, ...]


def measure(stage: Stage) -> Sizes:
    """Render a stage's prompt in all its sizes.

    Raises:
        KeyError: its template names a variable whose length is not stated here.
    """
    longest = _values(stage, longest_values(stage))
    sent = _fitted(stage, longest)
    return Sizes(
        rules=estimate_tokens(render(stage, **dict.fromkeys(variables(stage), ""))),
        usual=estimate_tokens(render(stage, **_values(stage, usual_values()))),
        longest=estimate_tokens(render(stage, **longest)),
        sent=estimate_tokens(sent.text),
        ceiling=CEILINGS[stage],
        shortened=sent.shortened,
    )


def _values(stage: Stage, every: Mapping[str, str]) -> dict[str, str]:
    return {name: every[name] for name in variables(stage)}


def _fitted(stage: Stage, values: Mapping[str, str]) -> Fitted:
    defaults = Settings.model_fields
    room = defaults["num_ctx"].default - defaults["max_tokens"].default
    return fit(
        stage,
        values,
        lambda cut: render(stage, **cut),
        lambda prompt: 1 - room / max(estimate_tokens(prompt), 1),
    )


def main() -> bool:
    """Print the table; tell whether every prompt is within its ceilings."""
    print(__doc__)
    print("| stage | rules | of at most | usual | longest | sent | of at most | cut |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    well = True
    for stage in CEILINGS:
        sizes = measure(stage)
        most = sizes.ceiling
        well &= sizes.rules <= most.rules and sizes.sent <= most.whole
        print(
            f"| {stage} | {sizes.rules} | {most.rules} | {sizes.usual} | {sizes.longest} | "
            f"{sizes.sent} | {most.whole} | {', '.join(sizes.shortened)} |"
        )
    return well
