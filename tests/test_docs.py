"""What the project's pages say is what the code does."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

from backend.api.app import create_app
from backend.api.manual import manual
from backend.config.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]


def descriptions() -> dict[str, str]:
    """Field name -> the docstring under it."""
    source = (ROOT / "backend/config/settings.py").read_text(encoding="utf-8")
    (body,) = [
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    return {
        field.target.id: " ".join(said.value.value.split())
        for field, said in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
    }


def settings_table() -> str:
    """The table of every setting: its variable, default and description."""
    said = descriptions()
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else str(field.default)
        rows.append(f"| `{field.alias}` | {default} | {said[name]} |")
    return "\n".join(rows)


def test_the_page_for_developers_lists_every_setting() -> None:
    text = (ROOT / "CLAUDE.md").read_text(encoding="utf-8")
    listed = text.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert listed == settings_table(), f"put this between the marks:\n{settings_table()}"


def test_the_page_of_the_api_is_what_the_server_describes() -> None:
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    document = create_app(load_settings()).openapi()
    assert written == manual(document), "`make docs` writes docs/api.md again"
