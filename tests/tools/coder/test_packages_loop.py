"""A package that a program lacks: installed where the operator allows it, done without elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.package_index import Index, only_index
from tests.scripts import generate, repair
from tests.solving import GOOD, Play, solve

pytestmark = pytest.mark.sandbox


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with only_index(tmp_path / "index", monkeypatch) as index:
        monkeypatch.setenv("PYTHON_CODE_ALLOW_INSTALL", "true")
        monkeypatch.setenv("PYTHON_CODE_INSTALL_LIST", "lifelines, tinypkg")
        index.add("lifelines", {"lifelines/__init__.py": "WORD = 'alive'\n"})
        yield index


@pytest.mark.parametrize(
    ("name", "word"), [("lifelines", "alive"), ("tinypkg", "tiny")], ids=["known", "of one's own"]
)
async def test_what_is_listed_is_installed_and_the_same_program_runs_again(
    play: Play, index: Index, name: str, word: str
) -> None:
    code = f"import {name}\nprint({name}.WORD)"
    play(generate(code), *GOOD)
    result = await solve()
    assert (result["success"], result["output"]) == (True, f"{word}\n")
    assert (result["code"], result["iterations"]) == (code, 1)
    assert result["installed"] == [name]
    assert "repair" not in result["usage"]["by_stage"]
    first, second = result["attempts"]
    assert (first["diagnosis"]["kind"], first["diagnosis"]["packages"]) == ("environment", [name])
    assert second["diagnosis"] is None
    assert result["packages"] == [name]
    assert result["timings"]["installation_s"] > 0


async def test_what_is_not_listed_is_done_without_and_the_operator_is_told(
    play: Play, index: Index
) -> None:
    index.add("shap", {"shap/__init__.py": ""})
    play(generate("import shap"), repair("print('by hand')", when="Without shap"), *GOOD)
    result = await solve()
    assert (result["output"], result["installed"]) == ("by hand\n", [])
    assert any("shap" in note and "PYTHON_CODE_INSTALL_LIST" in note for note in result["notes"])
    assert index.downloads() == []


async def test_what_the_index_does_not_have_is_done_without(play: Play, index: Index) -> None:
    for path in (index.folder / "lifelines").iterdir():
        path.unlink()
    play(generate("import lifelines"), repair("print('by hand')"), *GOOD)
    result = await solve()
    assert (result["success"], result["output"]) == (True, "by hand\n")
    assert any("lifelines" in note for note in result["notes"])


async def test_without_leave_nothing_is_installed(
    play: Play, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ALLOW_INSTALL", "false")
    play(generate("import lifelines"), repair("print('by hand')", when="lifelines"), *GOOD)
    result = await solve()
    assert (result["output"], result["installed"]) == ("by hand\n", [])
    assert index.asked == []


async def test_the_packages_of_a_program_are_told_without_the_standard_librarys(
    play: Play,
) -> None:
    code = (
        "import json, os.path\nfrom collections import Counter\nimport numpy as np\n"
        "import yaml\nfrom sklearn.linear_model import LinearRegression\nprint(np.sum([1]))"
    )
    play(generate(code), *GOOD)
    assert (await solve())["packages"] == ["numpy", "sklearn", "yaml"]


async def test_what_was_installed_is_there_for_the_next_task(play: Play, index: Index) -> None:
    index.add(
        "lifelines",
        {"lifelines/__init__.py": "import helping\nWORD = helping.WORD\n"},
        version="2.0",
        needs=("helping",),
    )
    index.add("helping", {"helping/__init__.py": "WORD = 'helped'\n"})
    play(
        generate("import lifelines\nprint(lifelines.WORD)", when="First"),
        generate("import helping\nprint(helping.WORD)", when="Second"),
        *GOOD,
    )
    assert (await solve("First"))["output"] == "helped\n"
    result = await solve("Second")
    assert (result["success"], result["output"]) == (True, "helped\n")
    assert (result["installed"], len(result["attempts"])) == ([], 1)


async def test_a_module_that_its_package_does_not_bring_is_looked_for_once(
    play: Play, index: Index
) -> None:
    index.add("lifelines", {"other_name/__init__.py": ""}, version="2.0")
    play(
        generate("import lifelines"),
        repair("import lifelines\nprint(1)"),
        repair("print('by hand')"),
        *GOOD,
    )
    result = await solve()
    assert (result["success"], result["output"]) == (True, "by hand\n")
    assert len(index.downloads()) == 1
