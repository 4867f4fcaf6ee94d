"""The notebook of examples is run as a reader runs it; its answers must be what was computed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import backend
from backend.demo.proof import numbers_not_in
from tests.commands import needs_sandbox

NOTEBOOK = Path(backend.__file__).parent.parent / "notebooks" / "API_examples.ipynb"
CELL_S = 180
PRINTED = "print(*(result['output'] for result in about['python_coder_results']))"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def shown_by(cell: Any) -> str:
    return "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/markdown", "")
        for output in cell.outputs
    )


async def execute(notebook: Any, folder: Path) -> list[Any]:
    """Run it; behind each question, also show what the programs printed."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.source.startswith("about = ") or "\nabout = " in cell.source:
            cells.append(nbformat.v4.new_code_cell(PRINTED))
    notebook.cells = cells
    where = {"metadata": {"path": str(folder)}}
    await NotebookClient(notebook, timeout=CELL_S, resources=where).async_execute()
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.mark.sandbox
@needs_sandbox
async def test_every_example_runs_and_its_numbers_are_computed(tmp_path: Path) -> None:
    cells = await asyncio.wait_for(execute(read(), tmp_path), timeout=CELL_S * 3)
    shown = "\n".join(shown_by(cell) for cell in cells)
    assert "Answered by: scripted (a recorded conversation; the rest is real)" in shown
    for told in ("10945", "north** grew most", "25** prime", "3 sentences", "4.260 cm"):
        assert told in shown
    agents = re.findall(r"agent (\w+), (\d) run", shown)
    assert agents == [("react", "1")] * 3 + [("plan_execute", "2")]
    images = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(images) == 1
    for number, cell in enumerate(cells):
        if cell.source == PRINTED:
            # Behind the answer stands the link to the plot.
            answer = re.split(r"\nagent |\n!\[", shown_by(cells[number - 1]))[0]
            assert numbers_not_in(answer, shown_by(cell) + cells[number - 1].source) == []


def test_it_says_whether_a_model_or_a_recording_answers() -> None:
    first = read().cells[0].source
    assert "recorded conversation" in first
    assert "PYTHON_CODER_MODEL" in first


def test_it_is_kept_as_it_ran_and_tells_nothing_of_the_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = read()
    nbformat.validate(notebook)
    assert all(cell.outputs for cell in notebook.cells if "ask(\n" in cell.source)
    assert "Traceback" not in text
    assert "http://" not in text
    assert str(Path.home()) not in text
    assert str(NOTEBOOK.parent.parent) not in text
