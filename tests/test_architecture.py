"""The house's rules that no single room can keep: which way imports go, and what an import does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import backend

ROOT = Path(backend.__file__).parent

LAYERS = [
    # From the top down: a module may import from its own layer's package and from below.
    ["backend.api", "backend.cli", "backend.demo", "backend.autocoder", "backend.plug"],
    ["backend.core"],
    ["backend.tools.at_hand", "backend.tools.using"],
    [
        "backend.tools.python_coder_tool",
        "backend.tools.running",
        "backend.tools.search_files",
    ],
    ["backend.tools.coder", "backend.tools.extra"],
    ["backend.tools.live_sessions"],
    ["backend.tools.held_session"],
    ["backend.tools.registry"],
    [
        "backend.tools.python_executor_engine",
        "backend.tools.question",
        "backend.tools.languages",
        "backend.tools.toolbox",
    ],
    ["backend.tools.asking"],
    ["backend.tools.approval"],
    ["backend.tools.risks"],
    ["backend.tools.input_files", "backend.tools.witness"],
    ["backend.sandbox", "backend.store", "backend.llm"],
    ["backend.prompts"],
    ["backend.config"],
    ["backend.foreign_code"],
    ["backend.errors"],
    ["backend.usage"],
    ["backend.types"],
    ["backend.request_context", "backend.observing"],
]
"""``backend.cli`` starts what ``backend.api`` and ``backend.demo`` offer; see ``ALLOWED``."""

ALLOWED = {("backend.cli", "backend.api"), ("backend.cli", "backend.demo")}

ONLY_IN = {
    "langgraph": ("backend.core", "backend.plug", "backend.tools.coder"),
    "fastapi": ("backend.api",),
    "uvicorn": ("backend.api",),
    "langchain_core": (
        "backend.core",
        "backend.llm",
        "backend.plug",
        "backend.tools.coder",
        "backend.tools.extra",
    ),
    "langchain_mcp_adapters": ("backend.tools.extra",),
    "mcp": ("backend.tools.extra",),
    "langchain_ollama": ("backend.llm",),
    "langchain_openai": ("backend.llm",),
    "ollama": ("backend.llm",),
    "openai": ("backend.llm",),
    "prometheus_client": ("backend.api",),
    "opentelemetry": ("backend.api.spans",),
    "sqlalchemy": ("backend.store",),
    "alembic": ("backend.store.migrations",),
    "psycopg": ("backend.store", "backend.tools.coder.postgres_checkpoints"),
    "psycopg_pool": ("backend.tools.coder.postgres_checkpoints",),
    "bm25s": ("backend.tools.search_files.ranking",),
    "click": ("backend.cli",),
    "rich": ("backend.cli", "backend.demo"),
    "pydantic_settings": ("backend.config",),
}

HEAVY = {
    *("langchain_ollama", "langchain_openai", "openai", "ollama", "pandas", "numpy", "bm25s"),
    "prometheus_client",
    *("mcp", "langchain_mcp_adapters", "alembic", "psycopg", "psycopg_pool"),
}
"""Not imported where nothing asked for it: ``python-coder --help`` answers at once."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path


@cache
def imports_of(path: Path, module: str) -> tuple[str, ...]:
    return tuple(_imports_of(path, module))


def _imports_of(path: Path, module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def group_of(module: str) -> tuple[int, str] | None:
    best: tuple[int, str] | None = None
    for depth, names in enumerate(LAYERS):
        for name in names:
            inside = module == name or module.startswith(f"{name}.")
            if inside and (best is None or len(name) > len(best[1])):
                best = (depth, name)
    return best


def test_every_module_has_a_place_in_the_floor_plan() -> None:
    packages = {"backend", "backend.tools"}
    lost = [name for name, _ in modules() if group_of(name) is None and name not in packages]
    assert lost == []


def test_imports_only_point_down() -> None:
    wrong = []
    for module, path in modules():
        here = group_of(module)
        for target in imports_of(path, module):
            there = group_of(target)
            if here is None or there is None or here[1] == there[1]:
                continue
            if here[0] >= there[0] and (here[1], there[1]) not in ALLOWED:
                wrong.append(f"{module} -> {target}")
    assert sorted(set(wrong)) == []


def test_what_runs_inside_the_sandbox_imports_nothing_of_ours() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, path in modules()
        if module.startswith("backend.sandbox.inside.")
        for target in imports_of(path, module)
        if target.split(".")[0] == "backend" and not target.startswith("backend.sandbox.inside")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_library_is_imported_only_in_its_rooms(package: str) -> None:
    rooms = ONLY_IN[package]
    wrong = [
        module
        for module, path in modules()
        for target in imports_of(path, module)
        if target.split(".")[0] == package
        and not any(module == room or module.startswith(f"{room}.") for room in rooms)
    ]
    assert wrong == []


def test_importing_the_tool_starts_nothing_and_loads_no_provider() -> None:
    program = (
        "import sys, threading, backend.tools.python_coder_tool, backend.core.assistant\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_modules_stay_small_enough_to_read() -> None:
    sizes = {
        module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules()
    }
    assert {module: size for module, size in sizes.items() if size > 400} == {}
