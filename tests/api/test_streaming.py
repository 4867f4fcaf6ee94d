from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from backend.api.feed import follow
from backend.api.words import Words
from tests.api.conftest import Serve
from tests.scripts import APPROVE, act, generate, repair


def stream(client: httpx.Client, text: str, headers: Any = None, **more: Any) -> list[str]:
    body = {"messages": [{"role": "user", "content": text}], "stream": True} | more
    with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        return [line for line in reply.iter_lines() if line]


def chunks(lines: list[str]) -> list[dict[str, Any]]:
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1] if line.startswith("data: ")]


def deltas(parts: list[dict[str, Any]], field: str) -> str:
    return "".join(choice["delta"].get(field) or "" for part in parts for choice in part["choices"])


def test_the_role_comes_first_then_words_then_the_end(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "one two three four", "tokens": [5, 4]})
    parts = chunks(stream(client, "hello", stream_options={"include_usage": True}))
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    words = [
        part for part in parts if part["choices"] and part["choices"][0]["delta"].get("content")
    ]
    assert len(words) > 1
    assert deltas(parts, "content") == "one two three four"
    end, usage = parts[-2:]
    assert end["choices"][0] == {
        "index": 0,
        "delta": {},
        "finish_reason": "stop",
        "logprobs": None,
    }
    assert end["x_session_id"].startswith("session-")
    assert end["x_agent_metadata"]["agent_selected"] == "chat"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    assert all(part["usage"] is None for part in parts[:-1])
    assert len({(part["id"], part["created"], part["model"]) for part in parts}) == 1
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}


def test_every_step_is_told_as_it_happens(serve: Serve) -> None:
    client = serve(
        act("python_coder", "divide"),
        generate("print(1 / 0)"),
        APPROVE,
        repair("print(84 / 2)"),
        act("finish", "It is 42.", when=r"42\.0"),
    )
    parts = chunks(stream(client, "Compute 84 / 2", agent_type="react"))
    told = deltas(parts, "reasoning_content")
    places = [
        told.find(mark)
        for mark in ("Agent: react", "print(1 / 0)", "Run:", "Repair:", "print(84 / 2)", "42.0")
    ]
    assert -1 not in places
    assert places == sorted(places)
    assert deltas(parts, "content") == "It is 42."
    assert not any("event" in part or "usage" in part for part in parts)
    attempts = parts[-1]["x_agent_metadata"]["python_coder_results"][0]["attempts"]
    assert "ZeroDivisionError" in json.dumps(attempts[0])


def test_what_was_written_ends_the_words(serve: Serve) -> None:
    client = serve(
        act("python_coder", "write"),
        generate("open('a.txt', 'w').write('x')"),
        APPROVE,
        act("finish", "Done."),
    )
    parts = chunks(stream(client, "Write a file", agent_type="react"))
    [artifact] = parts[-1]["x_agent_metadata"]["artifacts"]
    assert deltas(parts, "content") == f"Done.\n\n[a.txt]({artifact['url']})"


def test_open_webui_is_told_the_status(serve: Serve) -> None:
    client = serve(
        act("python_coder", "multiply"), generate("print(42)"), APPROVE, act("finish", "42")
    )
    parts = chunks(stream(client, "Compute it", {"X-OpenWebUI-Chat-Id": "c"}, agent_type="react"))
    told = [part["event"]["data"] for part in parts if "event" in part]
    assert all(part["choices"] == [] for part in parts if "event" in part)
    assert "Running the program" in [status["description"] for status in told]
    assert [status["done"] for status in told] == [False] * (len(told) - 1) + [True]


def test_silence_is_filled(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "late", "delay_s": 1}, stream_keep_alive_s=0.1)
    lines = stream(client, "hello")
    assert ": keep-alive" in lines
    assert deltas(chunks(lines), "content") == "late"


def test_what_fails_after_the_first_byte_is_a_line(serve: Serve) -> None:
    line = {"stage": "chat", "error": "500 boom", "delay_s": 0.5, "repeat": True}
    client = serve(line, stream_keep_alive_s=0.1)
    parts = chunks(stream(client, "hello", agent_type="chat"))
    assert parts[-1]["error"]["type"] == "server_error"
    assert "boom" in parts[-1]["error"]["message"]
    assert "choices" not in parts[-1]


def test_a_chat_cut_at_its_limit_ends_with_length(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "half of", "done_reason": "length", "repeat": True})
    parts = chunks(stream(client, "hello", agent_type="chat"))
    assert deltas(parts, "content") == "half of"
    assert parts[-1]["choices"][0]["finish_reason"] == "length"


def test_no_word_comes_behind_a_stop_sequence(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "one two EN D three", "repeat": True})
    parts = chunks(stream(client, "hello", agent_type="chat", stop=["EN D"]))
    assert deltas(parts, "content") == "one two "


@pytest.mark.parametrize(
    ("pieces", "answer", "stop", "out"),
    [
        ([], "all at once", (), "all at once"),
        (["a", "b"], "ab", (), "ab"),
        ([" a", "b "], "ab", (), " ab "),
        (["a", "\n\nb"], "b", (), "a\n\nb"),
        (["draft"], "answer", (), "draft\n\nanswer"),
        (["a<", "e", "nd>b"], "a", ("<end>",), "a"),
        (["a<", "e"], "a<e", ("<end>",), "a<e"),
        ([], "x" * 1000, (), "x" * 1000),
    ],
)
def test_words_go_out_once(pieces: list[str], answer: str, stop: tuple[str, ...], out: str) -> None:
    words = Words(stop)
    live = "".join(words.take(piece) for piece in pieces)
    assert live + "".join(words.end(answer)) == out
    assert out.startswith(live)


async def test_a_source_that_is_left_has_stopped() -> None:
    ended = []

    async def source() -> Any:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with follow(source()) as feed:
        assert await feed.next(5) == 1
        assert await feed.next(0.01) is None
    assert ended == [True]


def test_words_in_any_pieces_end_at_the_same_place() -> None:
    text, stop = "aab abab aabb END b", ("aabb", "END", "bb")
    for size in range(1, 8):
        words = Words(stop)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(map(words.take, pieces)) + "".join(words.end("aab abab ")) == "aab abab "
