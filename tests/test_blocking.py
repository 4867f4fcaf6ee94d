"""Nothing holds an event loop up: a request is watched by what LangGraph's server watches with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.commands import needs_sandbox
from tests.scripts import act, generate, repair, write_script
from tests.solving import GOOD

WATCHED = """
import asyncio, sys
from blockbuster import BlockBuster
from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.tools.python_executor_engine import place_files

def watch():
    watching = BlockBuster()
    # What the server leaves out, too: fast where it is used, and used everywhere.
    for name in list(watching.functions):
        lenient = ("os.stat", "os.listdir", "os.remove", "threading.Lock.acquire")
        if name in lenient or name.startswith(("os.path.", "io.")):
            del watching.functions[name]
    watching.activate()

async def main():
    settings = load_settings()
    files = place_files(["prices.csv"], settings)
    watch()
    async with open_assistant(settings) as assistant:
        answer = await assistant.run(Ask(question="Plot", agent_type="react", files=files))
        print(answer.text)
        # Its imports, and the fonts that come of them.
        while not assistant.engine._executor.pool.imported:
            await asyncio.sleep(0.05)

asyncio.run(main())
"""


@needs_sandbox
def test_a_request_with_files_repairs_and_plots_never_holds_the_event_loop_up(
    tmp_path: Path,
) -> None:
    (tmp_path / "prices.csv").write_text("price\n3\n4\n")
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('done')"
    script = write_script(
        tmp_path / "script.jsonl",
        *GOOD,
        act("python_coder", "Plot it"),
        generate("print(open('prices.csv').read()); print(1 / 0)"),
        repair(plot),
        act("finish", "It is plotted."),
    )
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PYTHON_CODER_MODEL": f"scripted:{script}",
            "PYTHON_CODE_PREIMPORT": "matplotlib.pyplot",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "It is plotted.\n", done.stderr
    assert "BlockingError" not in done.stderr
