from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import NotFound
from backend.llm.models import open_models
from backend.store.blobs import BlobStore
from backend.store.database import open_database
from backend.store.runs import RunStore
from backend.tools.coder.recall import (
    Identity,
    columns_of,
    identify,
    recall,
    relevant_settings,
    request_key,
    templates_digest,
)
from backend.types import Message
from tests.scripts import ASSESS, use_script

SAME: dict[str, Any] = {
    "kind": "task",
    "request": "Mean?",
    "model": "ollama:gpt-oss:20b",
    "templates": "t",
    "settings": {"timeout_s": 30.0},
    "background": "b",
    "history": [Message(role="user", content="hi")],
    "files": {"a.csv": {"sha256": "1" * 64, "size": 3, "path": "/x/a.csv"}},
    "options": {"language": "python"},
}


def test_a_key_does_not_depend_on_order_or_on_where_a_file_lies() -> None:
    moved = {"a.csv": {"path": "/y/a.csv", "size": 3, "sha256": "1" * 64}}
    swapped = dict(reversed(SAME.items())) | {"files": moved}
    assert request_key(**SAME) == request_key(**swapped)
    assert len(request_key(**SAME)) == 64


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"kind": "ask"}, id="kind"),
        pytest.param({"request": "Mean"}, id="question"),
        pytest.param({"model": "ollama:qwen3:8b"}, id="model"),
        pytest.param({"templates": "u"}, id="prompts"),
        pytest.param({"settings": {"timeout_s": 31.0}}, id="setting"),
        pytest.param({"background": ""}, id="context"),
        pytest.param({"history": [Message(role="assistant", content="hi")]}, id="history"),
        pytest.param({"files": {"b.csv": SAME["files"]["a.csv"]}}, id="file's name"),
        pytest.param({"files": {"a.csv": {"sha256": "2" * 64}}}, id="file's content"),
        pytest.param({"options": {"language": "bash"}}, id="option"),
        pytest.param({"request": "Mean?\udc80"}, id="what is no text"),
    ],
)
def test_whatever_changes_the_result_changes_the_key(other: dict[str, Any]) -> None:
    assert request_key(**{**SAME, **other}) != request_key(**SAME)


def test_settings_that_change_nothing_do_not_count() -> None:
    plain = relevant_settings(load_settings())
    beside = {"port": 1, "data_dir": Path("x"), "log_level": "debug", "openai_api_key": "secret"}
    assert relevant_settings(load_settings(**beside)) == plain
    for name, value in {"timeout_s": 3, "review": False, "temperature": 0, "num_ctx": 4096}.items():
        assert relevant_settings(load_settings(**{name: value})) != plain, name
    assert "secret" not in str(relevant_settings(load_settings(**beside)))


def test_the_prompts_have_a_digest() -> None:
    assert len(templates_digest()) == 64


async def key_of(settings: Settings, **more: Any) -> Identity:
    async with open_models(settings) as models:
        given = {"kind": "task", "request": "Q", "model": models.get(), "settings": settings}
        return await identify(**{**given, **more})


async def test_files_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    here = tmp_path / "a.csv"
    here.write_text("x\n1\n")
    first = await key_of(load_settings(), files={"a.csv": here})
    mark = first.files["a.csv"]
    assert (mark["size"], mark["path"]) == (4, str(here))
    assert (await key_of(load_settings(), files={"a.csv": here})).key == first.key
    here.write_text("x\n2\n")
    assert (await key_of(load_settings(), files={"a.csv": here})).key != first.key
    with pytest.raises(NotFound, match=r"'a\.csv'") as refusal:
        await key_of(load_settings(), files={"a.csv": tmp_path / "gone.csv"})
    assert str(tmp_path) not in str(refusal.value), "whoever asked over HTTP is not to learn it"


async def test_a_scripted_model_is_known_by_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for place, lines in (("a", [ASSESS]), ("b", [ASSESS]), ("c", [ASSESS, ASSESS])):
        use_script(monkeypatch, tmp_path / f"{place}.jsonl", *lines)
        found.append(await key_of(load_settings()))
    assert len({identity.key for identity in found}) == 1, "a crash is gone on from"
    assert found[0].script == found[1].script != found[2].script


def known(key: str, script: str = "") -> Identity:
    return Identity(key=key, files={}, script=script)


@pytest.fixture
async def runs() -> AsyncIterator[RunStore]:
    async with open_database(load_settings()) as database:
        yield RunStore(database)


async def test_a_result_is_recalled_while_its_files_are_kept(
    runs: RunStore, tmp_path: Path
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    digest = await blobs.put(b"plot")
    use = {"success": True, "artifacts": [{"name": "p.png", "sha256": digest, "size": 4}]}
    for key, result in (("task", use), ("ask", {"success": True, "python_coder_results": [use]})):
        run_id = await runs.begin(owner="me", kind="task", key=key, request="Q", model="m")
        await runs.finish(run_id, result, owner="me")
        found = await recall(runs, blobs, known(key), owner="me")
        assert found is not None
        assert found.result == result
    assert await recall(runs, blobs, known("task"), owner="you") is None
    assert await recall(runs, blobs, known("task", "another"), owner="me") is None
    blobs.path(digest).unlink()
    assert await recall(runs, blobs, known("task"), owner="me") is None
    assert await recall(runs, blobs, known("ask"), owner="me") is None


def test_columns_of_tables_sheets_and_what_has_none() -> None:
    table = [{"name": "x", "dtype": "int64"}, {"name": "y"}, {"name": 3}]
    facts = [
        {"name": "a.csv", "columns": table},
        {"name": "b.xlsx", "sheets": [{"name": "s", "columns": table}, {"columns": table[:1]}]},
        {"name": "c.txt", "preview": ["x"]},
        {"name": "d.json", "columns": 3},
        {"name": "wide.csv", "columns": table[:1], "column_names": ["x", "y", "z"]},
    ]
    assert columns_of(facts) == {
        "a.csv": ["x", "y"],
        "b.xlsx": ["x", "y"],
        "wide.csv": ["x", "y", "z"],
    }
