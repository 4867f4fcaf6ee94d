"""Whose turn it is: limits, fairness, and what becomes of those who cannot wait."""

from __future__ import annotations

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from backend.api.app import create_app
from backend.api.turns import Turn, Turns
from backend.config.settings import load_settings
from backend.errors import Busy
from tests.api.conftest import Serve
from tests.api.test_presence import busy, until
from tests.scripts import act, answer, write_script

WORK = (
    'python_coder_queue_working{lane="work"}',
    'python_coder_queue_length{lane="work"}',
)


def turns(**changed: float) -> Turns:
    given = {"work": 1, "talk": 4, "max_waiting": 8, "timeout_s": 60.0} | changed
    return Turns(
        work=int(given["work"]),
        talk=int(given["talk"]),
        max_waiting=int(given["max_waiting"]),
        timeout_s=given["timeout_s"],
    )


async def test_where_there_is_room_nobody_waits() -> None:
    all_turns = turns(work=2)
    async with all_turns.take("a"), all_turns.take("a") as second:
        assert (second.has_come, second.ahead, all_turns.active()) == (True, 0, 2)
    assert (all_turns.active(), all_turns.waiting()) == (0, 0)


async def test_owners_are_served_in_turn() -> None:
    """Somebody with many requests makes nobody else wait for more than one of them."""
    all_turns = turns(max_waiting=64)
    order = []
    with ExitStack() as at_work:
        at_work.enter_context(all_turns.ask("a"))
        waiting = [all_turns.ask(owner) for owner in "aaaabbc"]
        assert [turn.ahead for turn in waiting] == [0, 3, 5, 6, 1, 4, 2]

        async def work(turn: Turn) -> None:
            with turn:
                await turn.wait()
                order.append(turn.owner)

        tasks = [asyncio.create_task(work(turn)) for turn in waiting]
        at_work.close()
        await asyncio.gather(*tasks)
    assert "".join(order) == "abcabaa"


async def test_of_a_session_one_request_is_worked_on_and_the_others_take_no_place() -> None:
    all_turns = turns(work=2)
    first, second, third = (all_turns.ask("a", session_id="s") for _ in range(3))
    of_another = all_turns.ask("b", session_id="s")
    other = all_turns.ask("a", session_id="t")
    begun = [first, of_another]
    assert [turn for turn in (first, second, third, of_another, other) if turn.has_come] == begun

    end(first)
    assert (second.has_come, third.has_come, other.has_come) == (True, False, False)
    end(of_another)
    assert (third.has_come, other.has_come) == (False, True)  # past one that cannot begin
    end(other)
    assert (all_turns.active(), all_turns.waiting(), third.has_come) == (1, 1, False)
    assert all_turns.ask("c").has_come
    end(second)
    assert third.has_come
    assert all_turns.ask("a", "talk", session_id="s").has_come  # what needs no session


async def test_who_waits_for_a_session_is_told_so() -> None:
    all_turns = turns(work=4, max_waiting=2, timeout_s=0.01)
    async with all_turns.take("a", session_id="s"):
        with all_turns.ask("a", session_id="s") as turn:
            with pytest.raises(
                Busy, match="Another request of this session is worked on, and 1 "
            ) as full:
                all_turns.ask("a", session_id="s")
            assert full.value.retry_after_s == 10  # two turns of the session before it, 5 s each
            with pytest.raises(Busy, match="another request of this session is still") as late:
                await turn.wait()
        assert late.value.retry_after_s == 5
        assert all_turns.has_room()
        assert all_turns.ask("a", session_id="t").has_come


@pytest.mark.sandbox
def test_a_session_with_much_to_do_keeps_nobody_else_waiting(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, max_requests=2)
    session = client.post("/v1/sessions").json()["id"]
    order: list[str] = []

    def execute(name: str, **body: str) -> None:
        client.post("/v1/execute", json=body)
        order.append(name)

    wait = "import time\ntime.sleep(1.5)"
    with ThreadPoolExecutor() as pool:
        of_session = [
            pool.submit(execute, "session", code=wait, session_id=session) for _ in range(3)
        ]
        until(lambda: at_work_or_waiting(client) == 3)
        other = pool.submit(execute, "other", code="print(1)")
        for each in (*of_session, other):
            each.result()
    assert order.index("other") < 2


def at_work_or_waiting(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith(WORK))


def end(turn: Turn) -> None:
    with turn:
        assert turn.has_come


async def test_talk_does_not_wait_for_work() -> None:
    all_turns = turns()
    async with all_turns.take("a"), all_turns.take("a", "talk") as talk:
        assert talk.has_come


async def test_who_does_not_fit_into_the_queue_is_told_when_to_come_back() -> None:
    all_turns = turns(max_waiting=4)
    with ExitStack() as held:
        for _ in range(3):  # one at work, two wait: as many as there are places left
            held.enter_context(all_turns.ask("a"))
        with pytest.raises(Busy, match="2 wait") as raised:
            all_turns.ask("a")
        assert raised.value.retry_after_s == 15  # three turns before it, none known yet: 5 s each
        held.enter_context(all_turns.ask("b"))  # there is room for somebody else
        held.enter_context(all_turns.ask("c"))
        with pytest.raises(Busy, match="4 wait"):
            all_turns.ask("d")
    assert (all_turns.active(), all_turns.waiting()) == (0, 0)


async def test_nobody_has_to_wait_for_ever() -> None:
    all_turns = turns(timeout_s=0.01)
    async with all_turns.take("a"):
        with pytest.raises(Busy, match="No turn came within"):
            async with all_turns.take("b"):
                raise AssertionError("it was not its turn")
        assert all_turns.waiting() == 0


async def test_silence_can_be_filled_while_one_waits() -> None:
    all_turns = turns()
    with ExitStack() as first:
        first.enter_context(all_turns.ask("a"))
        with all_turns.ask("b") as second:
            assert not await second.wait(0.001)
            first.close()
            assert await second.wait(0.001)


async def test_whoever_gives_up_leaves_the_queue_and_no_place_is_lost() -> None:
    all_turns = turns()

    async def work(owner: str) -> None:
        async with all_turns.take(owner):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(work(owner)) for owner in "abc"]
    await asyncio.sleep(0)
    assert (all_turns.active(), all_turns.waiting()) == (1, 2)
    tasks[1].cancel()
    await asyncio.wait({tasks[1]})
    assert all_turns.waiting() == 1
    tasks[0].cancel()  # its place is given to the last one in the moment in which that gives up
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert (all_turns.active(), all_turns.waiting()) == (0, 0)
    async with all_turns.take("d") as turn:
        assert turn.has_come


def test_a_stream_that_waits_says_so_and_who_does_not_fit_in_is_refused(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "ok", "repeat": True},
        act("finish", "How nice.", repeat=True),
        answer("How nice.", repeat=True),
        max_requests=1,
        max_queue=1,
        stream_keep_alive_s=0.05,
    )
    ask = {"messages": [{"role": "user", "content": "Say something kind."}], "agent_type": "react"}
    endless = json.dumps({"code": "while True: pass", "timeout_s": 300}).encode()
    address = (client.base_url.host, client.base_url.port or 80)
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(address))
        connection.sendall(
            b"POST /v1/execute HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + str(len(endless)).encode() + b"\r\n\r\n" + endless
        )
        until(lambda: busy(psutil.Process()))
        headers = {"X-OpenWebUI-Chat-Id": "here"}
        body = ask | {"stream": True}
        stream = stack.enter_context(
            client.stream("POST", "/v1/chat/completions", json=body, headers=headers)
        )
        assert stream.status_code == 200
        lines = (line for line in stream.iter_lines() if line)
        assert json.loads(next(lines)[6:])["choices"][0]["delta"]["role"] == "assistant"
        status = json.loads(next(lines)[6:])["event"]["data"]
        assert status == {"description": "Waiting for a turn, 0 before you", "done": False}
        assert next(lines) == ": keep-alive"
        for more in ({}, {"stream": True}):
            refused = client.post("/v1/chat/completions", json=ask | more)
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.json()["error"]["code"] == "busy"
        talk = client.post("/v1/chat/completions", json=ask | {"agent_type": "chat"})
        assert talk.json()["choices"][0]["message"]["content"] == "ok"
        connection.close()
        rest = list(lines)
    assert rest[-1] == "data: [DONE]"
    assert "How nice." in "".join(rest)


async def test_a_server_that_is_being_stopped_says_so_and_begins_nothing(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.jsonl", {"stage": "chat", "reply": "ok"})
    app = create_app(load_settings(model=f"scripted:{script}"))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        app.state.server.turns.close()
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        ask = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
        for more in ({}, {"stream": True}):
            refused = await client.post("/v1/chat/completions", json=ask | more)
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
