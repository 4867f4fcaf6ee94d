"""Tools of installed distributions: real ones, as a packager writes them."""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.tools import tool

from backend.config.settings import load_settings
from backend.tools.extra.langchain_tool import wrap
from backend.tools.extra.opening import open_tools
from backend.tools.toolbox import Toolbox, ToolContext
from backend.tools.using import use
from tests.tools.extra.conftest import tool_of
from tests.tools.extra.weather_server import PIXEL

Install = Callable[..., None]

TOOLS = '''
import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from langchain_core.tools import InjectedToolCallId, tool

from backend.tools.toolbox import ToolContext, ToolResult, told


class Shout:
    """A tool of python-coder's own form."""

    name = "shout"
    description = "says it loud."
    aliases = frozenset({"yell"})
    schema = {"type": "object", "required": ["text"]}
    schema["properties"] = {"text": {"type": "string"}, "times": {"type": "integer"}}

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        if arguments["text"] == "nothing":
            raise KeyError("nothing to shout")
        return told(arguments["text"].upper() * arguments.get("times", 1))


@tool
def add(left: int, right: int = 1) -> str:
    """Add two numbers."""
    return str(left + right)


@tool
async def fail(text: str) -> str:
    """Fails."""
    raise RuntimeError(f"cannot do {text}")


@tool
def secret(text: str, call: Annotated[str, InjectedToolCallId]) -> str:
    """Takes something no model gives."""
    return f"{text} {len(call) > 0}"


@tool
async def draw() -> list:
    """Draws."""
    picture = {"type": "image", "base64": "PIXEL", "mime_type": "image/png"}
    return [{"type": "text", "text": "here it is"}, picture]


@tool
async def forever() -> str:
    """Never comes to an end."""
    await asyncio.sleep(3600)
    return ""


def several():
    return [add, fail, secret, draw, forever]


number = 42


def fails():
    raise OSError("no licence")
'''.replace("PIXEL", base64.b64encode(PIXEL).decode())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with entry points on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def put(distribution: str = "acme", **points: str) -> None:
        (folder / "acme_tools.py").write_text(TOOLS, encoding="utf-8")
        info = folder / f"{distribution}-1.0.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        (info / "METADATA").write_text(head, encoding="utf-8")
        lines = [f"{name} = {where}" for name, where in points.items()]
        text = "[python_coder.tools]\n" + "\n".join(lines) + "\n"
        (info / "entry_points.txt").write_text(text, encoding="utf-8")

    return put


async def test_a_tool_of_our_own_form_is_taken_as_it_is(
    install: Install, context: ToolContext
) -> None:
    install(one="acme_tools:Shout", two="acme_tools:several")
    async with open_tools(load_settings()) as extras:
        box = Toolbox(extras.tools)
        result = await tool_of(extras, "shout").use({"text": "hi"}, context)
        raised = await use(tool_of(extras, "shout"), {"text": "nothing"}, context)
        long = await use(tool_of(extras, "shout"), {"text": "x" * 100, "times": "100"}, context)
    assert result["text"] == "HI"
    assert not raised["success"]
    assert "KeyError" in raised["text"]
    assert len(long["text"]) < 7000
    assert box.find("yell") == "shout"
    assert [finding.what for finding in extras.findings] == [
        "one of acme: shout",
        "two of acme: add, fail, secret, draw, forever",
    ]


async def test_a_langchain_tool_is_used_with_arguments_put_right(
    install: Install, context: ToolContext
) -> None:
    install(add="acme_tools:add")
    async with open_tools(load_settings()) as extras:
        add = tool_of(extras, "add")
        result = await add.use({"left": "2", "right": 3}, context)
        missing = await add.use({"right": 3}, context)
        assert "Add two numbers." in Toolbox(extras.tools).describe()
    assert (result["success"], result["text"]) == (True, "5")
    assert not missing["success"]
    assert "left is missing" in missing["text"]
    assert "left (integer, required)" in missing["text"]


async def test_what_a_langchain_tool_raises_is_told_as_its_failure(
    install: Install, context: ToolContext
) -> None:
    install(more="acme_tools:several")
    async with open_tools(load_settings()) as extras:
        result = await use(tool_of(extras, "fail"), {"text": "that"}, context)
    assert not result["success"]
    assert "RuntimeError: cannot do that" in result["text"]


async def test_what_no_model_gives_is_not_asked_of_it(
    install: Install, context: ToolContext
) -> None:
    install(more="acme_tools:several")
    async with open_tools(load_settings()) as extras:
        secret = tool_of(extras, "secret")
        result = await secret.use({"text": "it"}, context)
    assert list(secret.schema["properties"]) == ["text"]
    assert result["text"] == "it True"


async def test_a_picture_of_a_langchain_tool_is_kept_as_a_file(
    install: Install, context: ToolContext
) -> None:
    install(more="acme_tools:several")
    async with open_tools(load_settings()) as extras:
        result = await tool_of(extras, "draw").use({}, context)
    (reference,) = result["artifacts"]
    assert await context.blobs.get(reference["sha256"]) == PIXEL
    assert result["text"] == "here it is\n[image/png, kept as draw.png]"


async def test_a_tool_that_never_ends_is_ended_and_can_be_cancelled(
    install: Install, context: ToolContext
) -> None:
    install(more="acme_tools:several")
    quick = ToolContext(
        settings=load_settings(tool_timeout_s=0.2), execute=context.execute, blobs=context.blobs
    )
    async with open_tools(load_settings()) as extras:
        forever = tool_of(extras, "forever")
        result = await forever.use({}, quick)
        task = asyncio.create_task(forever.use({}, context))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not result["success"]
    assert "within 0.2 seconds" in result["text"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no_such_module:tool", "ModuleNotFoundError"),
        ("acme_tools:nothing", "AttributeError"),
        ("acme_tools:number", "42 is no tool"),
        ("acme_tools:fails", "OSError: no licence"),
    ],
)
async def test_what_cannot_be_loaded_is_named_and_keeps_nothing_else_away(
    install: Install, context: ToolContext, where: str, why: str
) -> None:
    install(broken=where, whole="acme_tools:Shout")
    async with open_tools(load_settings()) as extras:
        assert [tool.name for tool in extras.tools] == ["shout"]
    broken, _ = extras.findings
    assert broken.state == "note"
    assert broken.what.startswith("broken of acme cannot be loaded: ")
    assert why in broken.what


async def test_a_tool_with_the_name_of_one_of_ours_is_renamed(
    install: Install, context: ToolContext
) -> None:
    install(mine="acme_tools:Shout", more="acme_tools:add")
    async with open_tools(load_settings(), taken={"shout", "add"}) as extras:
        shout = await tool_of(extras, "acme_shout").use({"text": "hi"}, context)
        add = await tool_of(extras, "acme_add").use({"left": 1}, context)
    assert (shout["text"], add["text"]) == ("HI", "2")


def test_a_tool_that_exits_does_not_take_the_server_along(context: ToolContext) -> None:
    @tool
    async def leave(text: str) -> str:
        """Leaves."""
        sys.exit(3)

    told: list[str] = []

    async def use_it() -> None:
        result = await use(wrap(leave), {"text": "now"}, context)
        told.append(result["text"])

    thread = threading.Thread(target=lambda: asyncio.run(use_it()))
    thread.start()
    thread.join()
    assert told == ["leave failed: RuntimeError: it called sys.exit(3)"]
