"""Approval in a notebook: a real kernel, whose user types into its input field."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.commands import needs_sandbox
from tests.scripts import APPROVE, ASSESS, generate, write_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]

PATIENCE_S = 120
CELL = """
from backend.tools.asking import ask_here
from backend.tools.python_coder_tool import python_coder_tool
result = await python_coder_tool.execute_code_task("Do it", approve=ask_here, use_cache=False)
print(result["success"], result["output"].strip(), result["error_kind"])
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingKernelClient]:
    lines = (generate("print(6 * 7)", repeat=True), APPROVE, ASSESS)
    script = write_script(tmp_path / "script.jsonl", *lines)
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHON_CODER_MODEL": f"scripted:{script}",
        "PYTHONPATH": str(root),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    manager, client = start_new_kernel(kernel_name="python3", env=environment)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_cell(client: BlockingKernelClient, *words: str) -> str:
    """What a cell prints; its questions are answered with these words."""
    printed: list[str] = []
    answers = list(words)

    def show(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(
        CELL,
        allow_stdin=True,
        output_hook=show,
        stdin_hook=lambda message: client.input(answers.pop(0)),
        timeout=PATIENCE_S,
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    assert answers == []
    return "".join(printed)


def test_a_notebooks_user_is_asked(kernel: BlockingKernelClient) -> None:
    shown = run_cell(kernel, "hm", "y")
    assert "```python\nprint(6 * 7)\n```" in shown
    assert shown.endswith("True 42 None\n")
    assert run_cell(kernel, "no").endswith("False  policy\n")
    assert run_cell(kernel, "").endswith("False  waiting\n")
