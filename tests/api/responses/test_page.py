"""The example of docs/responses.md is run as it is shown, and prints what it shows."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from backend.config.settings import load_settings
from tests.api.conftest import running
from tests.scripts import APPROVE, act, generate, write_script

PAGE = Path(__file__).parents[3] / "docs" / "responses.md"


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    text: str = found[0]
    return text


def test_the_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    shown = block("text")
    program = "\n".join(shown.splitlines()[:4])
    script = write_script(
        tmp_path / "script.jsonl",
        act("python_coder", "bars of the sales"),
        generate(program),
        APPROVE,
        act("finish", "The fourth quarter was the best."),
        act("python_coder", "sum of the sales"),
        generate("print(sum(sales))"),
        act("finish", "They are 20 in all.", when=r"\b20\b"),
    )
    with running(load_settings(model=f"scripted:{script}")) as url:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block("python").replace("http://127.0.0.1:8000", url), {})
    assert printed.getvalue() == shown
