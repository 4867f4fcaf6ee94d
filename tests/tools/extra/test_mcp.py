"""Tools of MCP servers: real ones, over pipes and over a socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from backend.tools.toolbox import Toolbox, ToolContext
from tests.tools.extra.conftest import PROGRAM, OpenServers, as_program, tool_of
from tests.tools.extra.weather_server import PIXEL


def written(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


async def until_written(path: Path, text: str) -> str:
    while text not in written(path):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    return written(path)


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def until_gone(pid: int) -> None:
    while is_alive(pid):  # noqa: ASYNC110 - whoever reaps it tells us nothing
        await asyncio.sleep(0.01)


async def test_a_server_s_tools_are_listed_and_used(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        box = Toolbox(extras.tools)
        assert {"forecast", "broken", "picture"} <= set(box.names)
        forecast = tool_of(extras, "forecast")
        result = await forecast.use({"city": "Oslo", "days": 3}, context)
        again = await forecast.use({"city": "Rome"}, context)
    assert result["success"], result
    assert result["text"] == "Oslo: rain for 3 days, plain"
    assert again["text"].startswith("Rome")
    assert "forecast: The forecast for a city." in box.describe()
    assert [finding.state for finding in extras.findings] == ["ok"]


async def test_one_process_serves_all_calls_and_is_gone_afterwards(
    configured: OpenServers, context: ToolContext, tmp_path: Path
) -> None:
    async with configured({"weather": as_program()}) as extras:
        pids = {(await tool_of(extras, "pid").use({}, context))["text"] for _ in range(3)}
        left = await tool_of(extras, "leave_a_child").use({}, context)
        assert is_alive(int(left["text"]))
    assert len(pids) == 1
    assert not is_alive(int(pids.pop()))
    await until_gone(int(left["text"]))


async def test_calls_to_one_server_run_at_the_same_time(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        together = tool_of(extras, "together")
        results = await asyncio.gather(
            *(together.use({"name": name, "of": 3}, context) for name in "abc")
        )
    assert [result["text"] for result in results] == ["a met 3", "b met 3", "c met 3"]


async def test_what_a_tool_fails_with_is_told_as_its_failure(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        result = await tool_of(extras, "broken").use({}, context)
    assert not result["success"]
    assert "no such station" in result["text"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"city": "Oslo", "days": "2"}, "Oslo: rain for 2 days, plain"),
        ({"City": "Oslo"}, "Oslo: rain for 1 days, plain"),
        ({"arguments": '{"city": "Oslo"}'}, "Oslo: rain for 1 days, plain"),
        ({"city": 7, "units": '{"t": "C"}'}, "7: rain for 1 days, {'t': 'C'}"),
        ({"city": "Oslo", "days": None}, "Oslo: rain for 1 days, plain"),
    ],
    ids=["number-as-text", "spelling", "wrapped", "object-as-text", "null"],
)
async def test_arguments_are_put_right_where_it_is_plain_what_is_meant(
    configured: OpenServers, context: ToolContext, given: dict[str, object], said: str
) -> None:
    async with configured({"weather": as_program()}) as extras:
        result = await tool_of(extras, "forecast").use(given, context)
    assert result["text"] == said


async def test_arguments_that_are_wrong_are_told_with_what_the_tool_takes(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        forecast = tool_of(extras, "forecast")
        missing = await forecast.use({"days": 2}, context)
        wrong = await forecast.use({"city": "Oslo", "days": "many"}, context)
    assert not missing["success"]
    assert "city is missing" in missing["text"]
    assert "city (string, required)" in missing["text"]
    assert not wrong["success"]
    assert "days: 'many' is not of type 'integer'" in wrong["text"]


async def test_pictures_and_resources_are_kept_as_files(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        picture = await tool_of(extras, "picture").use({}, context)
        resources = await tool_of(extras, "resources").use({}, context)
    (reference,) = picture["artifacts"]
    assert (reference["name"], reference["media_type"]) == ("picture.png", "image/png")
    assert await context.blobs.get(reference["sha256"]) == PIXEL
    assert "picture.png" in picture["text"]
    kept = {
        each["name"]: await context.blobs.get(each["sha256"]) for each in resources["artifacts"]
    }
    assert kept == {"june.csv": b"a,b\n1,2\n", "raw.bin": b"\0\1"}
    assert "a,b\n1,2" in resources["text"]


async def test_a_long_text_is_cut_by_the_rule_for_observations(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        result = await tool_of(extras, "long").use({}, context)
    assert len(result["text"]) < 7000
    assert result["text"].startswith("begin")
    assert result["text"].endswith("end")


async def test_cancelling_ends_the_call_and_tells_the_server(
    configured: OpenServers, context: ToolContext, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with configured({"weather": as_program()}) as extras:
        call = asyncio.create_task(tool_of(extras, "slow").use({"marker": str(marker)}, context))
        await until_written(marker, "begun")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until_written(marker, "cancelled")
        after = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
    assert after["success"]


async def test_a_call_that_takes_too_long_is_told_and_ended(
    configured: OpenServers, context: ToolContext, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with configured({"weather": as_program()}, timeout_s=10) as extras:
        result = await tool_of(extras, "slow").use({"marker": str(marker)}, context)
        await until_written(marker, "cancelled")
    assert not result["success"]
    assert "'weather'" in result["text"]
    assert "did not answer within 10 seconds" in result["text"]


async def test_a_server_killed_in_mid_call_is_told_and_started_again_at_the_next_use(
    configured: OpenServers, context: ToolContext, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with configured({"weather": as_program()}) as extras:
        pid = int((await tool_of(extras, "pid").use({}, context))["text"])
        call = asyncio.create_task(tool_of(extras, "slow").use({"marker": str(marker)}, context))
        await until_written(marker, "begun")
        os.kill(pid, signal.SIGKILL)
        result = await call
        after = await tool_of(extras, "pid").use({}, context)
    assert not result["success"]
    assert "'weather'" in result["text"]
    assert "its process ended with -9" in result["text"]
    assert after["success"]
    assert int(after["text"]) != pid


async def test_a_server_that_died_between_two_uses_is_started_again(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}) as extras:
        pid = int((await tool_of(extras, "pid").use({}, context))["text"])
        os.kill(pid, signal.SIGKILL)
        await until_gone(pid)
        await asyncio.sleep(0.2)
        after = await tool_of(extras, "pid").use({}, context)
    assert after["success"], after


async def test_what_is_no_message_on_stdout_is_passed_over_without_a_word(
    configured: OpenServers, context: ToolContext, capfd: pytest.CaptureFixture[str]
) -> None:
    async with configured({"weather": as_program("talkative")}) as extras:
        result = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
    assert result["success"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"command": "no-such-program-here"}, "there is no program 'no-such-program-here'"),
        ({"command": "sleep", "args": ["3600"]}, "did not answer within 2 seconds"),
        (
            {"command": "sh", "args": ["-c", "echo the key is missing >&2; exit 3"]},
            "its process ended with 3, saying: the key is missing",
        ),
        ({"url": "http://127.0.0.1:9/mcp"}, "nothing answers there"),
        ({"url": "http://127.0.0.1:9/sse", "transport": "sse"}, "nothing answers there"),
    ],
    ids=["no-program", "never-answers", "ends-at-once", "no-listener", "no-sse-listener"],
)
async def test_a_server_that_cannot_be_reached_is_told_of_and_does_not_keep_others_away(
    configured: OpenServers, context: ToolContext, entry: dict[str, object], what: str
) -> None:
    async with configured({"lost": entry}, timeout_s=2) as extras:
        assert extras.tools == ()
    (finding,) = extras.findings
    assert finding.state == "note"
    assert "'lost'" in finding.what
    assert what in finding.what


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_server_that_wants_a_key_is_told_of_without_the_secrets_of_its_address(
    configured: OpenServers, transport: str
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        entry = {"url": f"http://127.0.0.1:{port}/mcp?key=secret", "transport": transport}
        async with configured({"locked": entry}) as extras:
            pass
    assert extras.findings[0].what == (
        f"The MCP server 'locked' (http://127.0.0.1:{port}/mcp): it answered 401 Unauthorized."
    )


RAW = """
import json, sys
answers = json.loads(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        answer = {"jsonrpc": "2.0", "id": asked["id"], **answers[asked["method"]]}
        print(json.dumps(answer), flush=True)
"""
_HELLO = {
    "result": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "raw", "version": "1"},
    }
}
_LISTED = {
    "result": {
        "tools": [
            {"name": "go on!", "inputSchema": {"properties": {"a": True}, "required": ["b"]}},
            {"name": "strict", "inputSchema": {}, "outputSchema": {"type": "object"}},
        ]
    }
}


def raw(**answers: object) -> dict[str, object]:
    given = {"initialize": _HELLO, "tools/list": _LISTED, "ping": {"result": {}}, **answers}
    return {"command": sys.executable, "args": ["-c", RAW, json.dumps(given)]}


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ({"tools/list": {"result": {"tools": [{"name": 7}]}}}, "its answer cannot be read"),
        (
            {"tools/list": {"error": {"code": -32601, "message": "no tools here"}}},
            "does not list its tools: no tools here",
        ),
        ({"initialize": {"error": {"code": -1, "message": "no licence"}}}, "no licence"),
        ({"initialize": {"result": {}}}, "ValidationError"),
    ],
    ids=["malformed-list", "no-list", "refuses", "malformed-hello"],
)
async def test_a_server_that_breaks_the_protocol_at_the_start_is_told_of(
    configured: OpenServers, answers: dict[str, object], what: str
) -> None:
    async with configured({"raw": raw(**answers)}) as extras:
        assert extras.tools == ()
    assert what in extras.findings[0].what


@pytest.mark.parametrize(
    ("answer", "success", "text"),
    [
        ({"error": {"code": -32000, "message": "not today"}}, False, "not today"),
        ({"result": {"content": "all of it"}}, False, "its answer cannot be read"),
        ({"result": {"content": []}}, True, "(it gave nothing back)"),
        ({"result": {"content": [], "isError": True}}, False, "(it failed without saying why)"),
        ({"result": {"content": [], "structuredContent": {"a": 1}}}, True, '{"a": 1}'),
        ({"result": {"content": [{"type": "text", "text": "fine"}]}}, True, "fine"),
        (
            {"result": {"content": [{"type": "image", "data": "A", "mimeType": "image/png"}]}},
            True,
            "[image/png left out: it cannot be read]",
        ),
    ],
    ids=["error", "malformed", "empty", "empty-error", "structured", "unstructured", "no-base64"],
)
async def test_whatever_a_server_answers_to_a_call_is_a_result(
    configured: OpenServers,
    context: ToolContext,
    answer: dict[str, object],
    success: bool,
    text: str,
) -> None:
    async with configured({"raw": raw(**{"tools/call": answer})}) as extras:
        first = await tool_of(extras, "strict").use({}, context)
        other = await tool_of(extras, "go_on").use({"a": [1], "b": 2}, context)
    assert (first["success"], other["success"]) == (success, success)
    assert text in first["text"]
    assert text in other["text"]


async def test_one_server_that_is_lost_leaves_the_others(
    configured: OpenServers, context: ToolContext
) -> None:
    servers = {"lost": {"command": "no-such-program-here"}, "weather": as_program()}
    async with configured(servers) as extras:
        result = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
    assert result["success"]
    assert [finding.state for finding in extras.findings] == ["note", "ok"]


async def test_two_servers_with_the_same_tools_are_told_apart(
    configured: OpenServers, context: ToolContext
) -> None:
    servers = {"north sea": as_program(), "south": as_program(env={"WHERE": "${HOME}/south"})}
    async with configured(servers, taken={"pid"}) as extras:
        names = [tool.name for tool in extras.tools]
        north = await tool_of(extras, "north_sea_variable").use({"name": "WHERE"}, context)
        south = await tool_of(extras, "south_variable").use({"name": "WHERE"}, context)
    assert len(names) == len(set(names))
    assert "forecast" not in names
    assert north["text"] == "unset"
    assert south["text"] == f"{os.environ['HOME']}/south"


async def test_a_tool_with_the_name_of_one_of_ours_is_renamed(
    configured: OpenServers, context: ToolContext
) -> None:
    async with configured({"weather": as_program()}, taken={"forecast"}) as extras:
        names = [tool.name for tool in extras.tools]
    assert "weather_forecast" in names
    assert "forecast" not in names
    assert "picture" in names


async def test_our_secrets_do_not_reach_a_server(
    configured: OpenServers, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    async with configured({"weather": as_program()}) as extras:
        result = await tool_of(extras, "variable").use({"name": "OPENAI_API_KEY"}, context)
    assert result["text"] == "unset"


async def test_leaving_by_a_cancel_leaves_no_process(
    configured: OpenServers, context: ToolContext
) -> None:
    opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with configured({"weather": as_program()}) as extras:
            opened.set_result(int((await tool_of(extras, "pid").use({}, context))["text"]))
            await asyncio.sleep(3600)

    task = asyncio.create_task(serve())
    pid = await opened
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_a_cancel_while_servers_start_leaves_no_process(
    configured: OpenServers, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"

    async def serve() -> None:
        script = f"echo $$ > {marker}; trap '' TERM; sleep 3600"
        async with configured({"deaf": {"command": "sh", "args": ["-c", script]}}):
            raise AssertionError("it never answers")

    task = asyncio.create_task(serve())
    pid = int(await until_written(marker, "\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_a_server_dies_with_us_even_if_we_are_killed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = f"echo $$ > {marker}; trap '' TERM; while true; do sleep 1; done"
    config = {"mcpServers": {"deaf": {"command": "sh", "args": ["-c", script]}}}
    (tmp_path / "mcp.json").write_text(json.dumps(config), encoding="utf-8")
    program = (
        "import asyncio\n"
        "from backend.config.settings import load_settings\n"
        "from backend.tools.extra.opening import open_tools\n"
        "async def main():\n"
        "    async with open_tools(load_settings()): pass\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHON_CODER_MCP": str(tmp_path / "mcp.json")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    ours = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment)
    try:
        pid = int(await until_written(marker, "\n"))
        assert is_alive(pid)
    finally:
        ours.kill()
        await ours.wait()
    await until_gone(pid)


class HttpServer:
    """The tests' server behind a URL."""

    def __init__(self, mode: str = "http") -> None:
        self.mode = mode
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/{'sse' if mode == 'sse' else 'mcp'}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(PROGRAM), self.mode, str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while self.process.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.kill()


@pytest.fixture(params=["http", "sse"])
def url_server(request: pytest.FixtureRequest) -> Iterator[HttpServer]:
    server = HttpServer(request.param)
    yield server
    server.kill()


async def test_a_server_behind_a_url_is_used_cancelled_and_used_again(
    configured: OpenServers,
    context: ToolContext,
    url_server: HttpServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    marker = tmp_path / "marker"
    entry = {"url": url_server.url, "transport": url_server.mode}
    async with configured({"weather": entry}) as extras:
        first = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
        broken = await tool_of(extras, "broken").use({}, context)
        picture = await tool_of(extras, "picture").use({}, context)
        together = await asyncio.gather(
            *(tool_of(extras, "together").use({"name": n, "of": 2}, context) for n in "ab")
        )
        call = asyncio.create_task(tool_of(extras, "slow").use({"marker": str(marker)}, context))
        await until_written(marker, "begun")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until_written(marker, "cancelled")
        after = await tool_of(extras, "forecast").use({"city": "Rome"}, context)
    assert first["text"] == "Oslo: rain for 1 days, plain"
    assert not broken["success"]
    assert picture["artifacts"][0]["name"] == "picture.png"
    assert [each["text"] for each in together] == ["a met 2", "b met 2"]
    assert after["success"]
    assert capfd.readouterr() == ("", "")


async def test_a_server_behind_a_url_that_dies_in_mid_call_is_told_and_found_again(
    configured: OpenServers, context: ToolContext, http_server: HttpServer, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with configured({"weather": {"url": http_server.url}}) as extras:
        call = asyncio.create_task(tool_of(extras, "slow").use({"marker": str(marker)}, context))
        await until_written(marker, "begun")
        http_server.kill()
        result = await call
        gone = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
        http_server.start()
        after = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
    assert not result["success"]
    assert "'weather'" in result["text"]
    assert "did not answer within" not in result["text"]
    assert not gone["success"]
    assert "nothing answers there" in gone["text"]
    assert after["success"], after


async def test_a_server_behind_a_url_that_was_started_anew_between_two_uses_is_no_failure(
    configured: OpenServers, context: ToolContext, http_server: HttpServer
) -> None:
    async with configured({"weather": {"url": http_server.url}}) as extras:
        await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
        http_server.kill()
        http_server.start()
        after = await tool_of(extras, "forecast").use({"city": "Oslo"}, context)
    assert after["success"], after


async def test_where_nothing_is_configured_nothing_is_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from backend.config.settings import load_settings\n"
        "from backend.tools.extra.opening import open_tools\n"
        "async def main():\n"
        "    async with open_tools(load_settings()) as extras:\n"
        "        print(extras, sorted({'mcp', 'langchain_mcp_adapters'} & set(sys.modules)))\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await done.communicate()
    assert printed.decode() == "Extras(tools=(), findings=()) []\n"
