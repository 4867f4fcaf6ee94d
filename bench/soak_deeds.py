"""What clients of the soak do with a server: most as they should, some ill-mannered.

A deed raises an `AssertionError` that says what was wrong with the answer, or what the connection
raised.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from bench.load import connected, request
from bench.service import chat

_PLAIN = "import pandas as pd\nprint(pd.Series([1, 2, 3]).sum())"
_ENDLESS = "while True: pass"


@dataclass(kw_only=True)
class Seen:
    """What the clients saw, and what was left."""

    done: Counter[str] = field(default_factory=Counter)
    """By kind of request, those that went as they should."""
    faults: Counter[str] = field(default_factory=Counter)
    runs: set[str] = field(default_factory=set)
    """Taken in the background."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Taken, and not deleted."""
    kills: int = 0
    growth_mib: float = 0.0
    descriptors: int = 0
    """More than at the begin, of a server that idles again."""
    is_dying: bool = False
    """The server is being killed: answers that do not come are no faults."""


@dataclass(frozen=True, kw_only=True)
class Client:
    url: str
    http: httpx.AsyncClient
    chance: random.Random
    seen: Seen


_Deed = Callable[[Client], Awaitable[None]]


async def _post(client: Client, path: str, body: object, *, status: int = 200) -> httpx.Response:
    answer = await client.http.post(path, json=body)
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:200]}"
    return answer


def _asked(client: Client, agent: str) -> dict[str, object]:
    number = client.chance.getrandbits(48)
    words = [{"role": "user", "content": f"Sum the sales by region, number {number}."}]
    return {"messages": words, "agent_type": agent}


async def _chats(client: Client) -> None:
    agent = client.chance.choice(("react", "plan_execute", "chat"))
    body = _asked(client, agent)
    if client.chance.random() < 0.3:
        number = client.chance.randrange(5)
        answer = await client.http.post(
            "/v1/chat/completions", json=body, headers={"X-Session-Id": f"talk-{number}"}
        )
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}"
        return
    answer = await _post(client, "/v1/chat/completions", body)
    assert answer.json()["choices"][0]["message"]["content"], "an empty answer"


async def _streams(client: Client) -> None:
    agent = client.chance.choice(("react", "plan_execute", "chat"))
    answer = await _post(client, "/v1/chat/completions", _asked(client, agent) | {"stream": True})
    assert answer.text.endswith("data: [DONE]\n\n"), "a stream that was cut off"
    assert 'data: {"error"' not in answer.text, answer.text[-300:]


async def _executes(client: Client) -> None:
    body: dict[str, object] = {"code": _PLAIN}
    if client.chance.random() < 0.3:
        name = f"talk-{client.chance.randrange(5)}"
        if (await client.http.get(f"/v1/sessions/{name}/messages")).status_code == 200:
            body["session_id"] = name
    answer = (await _post(client, "/v1/execute", body)).json()
    assert answer["stdout"].strip() == "6", f"a program printed {answer['stdout']!r}"


async def _sends_files(client: Client) -> None:
    content = client.chance.randbytes(client.chance.randrange(1, 200_000)).hex().encode()
    sent = {"file": (f"{client.chance.getrandbits(32)}.txt", content, "text/plain")}
    answer = await client.http.post("/v1/files", files=sent, data={"purpose": "user_data"})
    assert answer.status_code in {200, 201}, f"{answer.status_code} {answer.text[:200]}"
    name = answer.json()["id"]
    client.seen.files[name] = content
    back = await client.http.get(f"/v1/files/{name}/content")
    assert back.content == content, "a file that came back otherwise"
    if client.chance.random() < 0.5:
        del client.seen.files[name]  # whether it is deleted in time or not
        deleted = await client.http.delete(f"/v1/files/{name}")
        assert deleted.status_code == 200, f"{deleted.status_code} {deleted.text[:200]}"


async def _asks_in_background(client: Client) -> None:
    answer = await _post(client, "/v1/runs", _asked(client, "react"), status=202)
    client.seen.runs.add(answer.json()["id"])


async def _cancels(client: Client) -> None:
    answer = await _post(client, "/v1/runs", _asked(client, "plan_execute"), status=202)
    name = answer.json()["id"]
    client.seen.runs.add(name)
    await asyncio.sleep(client.chance.uniform(0, 0.2))
    cancelled = await client.http.post(f"/v1/runs/{name}/cancel")
    # It may have ended by itself before.
    assert cancelled.status_code in {200, 400, 409}, (
        f"{cancelled.status_code} {cancelled.text[:200]}"
    )


async def _asks_for_responses(client: Client) -> None:
    body = {
        "input": f"Sum the sales by region, number {client.chance.getrandbits(48)}.",
        "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}],
    }
    answer = (await _post(client, "/v1/responses", body)).json()
    assert answer["status"] == "completed", f"a response that is {answer['status']}"


async def _leaves(client: Client) -> None:
    asked = [
        chat(client.chance.choice(("react", "chat")), stream=client.chance.random() < 0.5)(
            client.chance.getrandbits(48)
        ),
        request("POST", "/v1/execute", {"code": _ENDLESS}),
    ]
    async with connected(client.url) as connection:
        connection.send(client.chance.choice(asked))
        await asyncio.sleep(client.chance.uniform(0, 0.3))


async def _does_not_read(client: Client) -> None:
    port = httpx.URL(client.url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(chat("chat", stream=True)(client.chance.getrandbits(48)))
        await asyncio.sleep(client.chance.uniform(0.5, 2))
    finally:
        writer.transport.abort()


DEEDS: dict[str, _Deed] = {
    "chats": _chats,
    "streams": _streams,
    "executes": _executes,
    "sends files": _sends_files,
    "asks in the background": _asks_in_background,
    "cancels": _cancels,
    "asks for responses": _asks_for_responses,
    "leaves": _leaves,
    "does not read": _does_not_read,
}
"""By names that are told."""
