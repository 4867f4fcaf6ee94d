"""Requests made up from the description: no fault of the server, and no answer it does not tell of.

``make fuzz`` sends many more of them.
"""

from __future__ import annotations

import os

import pytest

from backend.config.settings import load_settings
from tests.api.conftest import running
from tests.api.fuzz import fuzz, operations
from tests.scripts import write_script

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
START = int(os.environ.get("FUZZ_START", "0"))


def test_every_endpoint_answers_as_it_is_described(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', line)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
    )
    with running(settings) as url:
        for operation in operations(url):
            fuzz(operation, url, examples=EXAMPLES, start=START)
