from __future__ import annotations

from pathlib import Path

import pytest

import backend.prompts
from backend.prompts import render, render_from, variables

PACKAGED = sorted(Path(backend.prompts.__file__).parent.glob("*.md"))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")

    write("greet", "Hello {{ name }}.\n{% if reason %}\nBecause {{ reason }}.\n{% endif %}\nBye.\n")
    write("whole", 'First.\n{% include "greet.md" %}')
    return tmp_path


def test_values_are_put_in_and_blocks_leave_no_lines(prompts: Path) -> None:
    assert render_from(prompts, "greet", {"name": "Ada", "reason": ""}) == "Hello Ada.\nBye."
    assert (
        render_from(prompts, "greet", {"name": "Ada", "reason": "so"})
        == "Hello Ada.\nBecause so.\nBye."
    )


def test_values_are_neither_escaped_nor_rendered(prompts: Path) -> None:
    value = "<b> & {{ 7 * 7 }} {% raise %}\n```python\nprint('ä')\n```"
    assert render_from(prompts, "greet", {"name": value, "reason": ""}) == f"Hello {value}.\nBye."


def test_a_missing_variable_is_named_even_where_it_would_not_be_reached(prompts: Path) -> None:
    with pytest.raises(TypeError, match="'greet' misses name, reason"):
        render_from(prompts, "greet", {})


def test_a_variable_that_is_not_used_is_named(prompts: Path) -> None:
    with pytest.raises(TypeError, match="'greet' does not use naem"):
        render_from(prompts, "greet", {"name": "", "reason": "", "naem": ""})


def test_variables_of_included_prompts_count(prompts: Path) -> None:
    assert render_from(prompts, "whole", {"name": "Ada", "reason": ""}).startswith("First.\nHello")
    with pytest.raises(TypeError, match="misses reason"):
        render_from(prompts, "whole", {"name": "Ada"})


@pytest.mark.parametrize("name", ["wish", "../greet", "greet.md", ""])
def test_an_unknown_prompt_is_named_with_those_there_are(prompts: Path, name: str) -> None:
    with pytest.raises(LookupError, match="there are greet, whole"):
        render_from(prompts, name, {})


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_every_packaged_prompt_renders_with_the_variables_it_names(path: Path) -> None:
    assert render(path.stem, **dict.fromkeys(variables(path.stem), "")).strip()
