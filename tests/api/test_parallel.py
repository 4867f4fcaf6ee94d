"""Fifty conversations at once over HTTP: each gets what it alone must have, and nothing else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from backend.config.settings import load_settings
from bench.misbehaviours.saying import acts, answers, plans, says, stage_of, writes
from tests.api.conftest import running
from tests.ollama_server import Line, OllamaServer

MANY = 50
_MARK = re.compile(r"m\d{3}z")
_PATIENCE_S = 300


@dataclass(kw_only=True)
class Turn:
    """One question of a conversation, and what must come of it."""

    question: str
    say: str
    lines: list[Line]
    outputs: dict[str, str]
    """Of the programs, by step."""
    artifacts: dict[str, str]
    """Name -> content."""

    @property
    def usage(self) -> dict[str, int]:
        spent = [line.tokens or (0, 0) for line in self.lines]
        prompt, completion = (sum(counts) for counts in zip(*spent, strict=True))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


@dataclass(kw_only=True)
class Conversation:
    """One of many, told apart by a mark that stands in everything that is its own."""

    number: int
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        make = _react_turns if self.agent == "react" else _plan_turns
        self.turns = list(make(self.number, self.mark))
        for count, line in enumerate(line for turn in self.turns for line in turn.lines):
            line.tokens = (2000 + 10 * self.number + count, 50 + self.number)
        self.turns[0].lines[0].fault = "hold"

    @property
    def mark(self) -> str:
        return f"m{self.number:03d}z"

    @property
    def agent(self) -> str:
        return ("react", "plan_execute")[self.number % 2]

    @property
    def is_streamed(self) -> bool:
        return self.number // 2 % 2 == 0

    @property
    def table(self) -> str:
        return f"value,mark\n{self.number},{self.mark}\n"


def _first_program(mark: str) -> str:
    return (
        "number, mark = open('data.csv').read().split()[1].split(',')\n"
        f"number = int(number)\nwith open('plot.svg', 'w') as plot:\n"
        f"    plot.write(f'<svg>{{number}} {{mark}}</svg>')\nprint('{mark} read', mark, number)"
    )


def _second_program(mark: str) -> str:
    return f"print('{mark} kept', mark, number * 2, open('plot.svg').read())"


def _reviews(mark: str) -> Line:
    return says("review", '{"verdict": "approve", "findings": []}', when=mark)


def _react_turns(number: int, mark: str) -> Iterator[Turn]:
    svg = f"<svg>{number} {mark}</svg>"
    programs = (_first_program(mark), _second_program(mark))
    printed = (f"{mark} read {mark} {number}\n", f"{mark} kept {mark} {number * 2} {svg}\n")
    files: tuple[dict[str, str], ...] = ({"plot.svg": svg}, {})
    for turn, program in enumerate(programs):
        say = f"Turn {turn} of {mark} is done."
        yield Turn(
            question=f"Do turn {turn} of {mark}.",
            say=say,
            lines=[
                acts("python_coder", f"Turn {turn} for {mark}.", when=mark),
                writes(program, when=mark),
                _reviews(mark),
                acts("finish", say, when=f"Observation: {printed[turn].strip()}"),
            ],
            outputs={"1": printed[turn]},
            artifacts=files[turn],
        )


def _plan_turns(number: int, mark: str) -> Iterator[Turn]:
    svg = f"<svg>{number} {mark}</svg>"
    read = f"{mark} read {mark} {number}\n"
    kept = f"{mark} kept {mark} {number * 2} {svg}\n"
    say = f"Turn 0 of {mark} is done."
    yield Turn(
        question=f"Do turn 0 of {mark}.",
        say=say,
        lines=[
            plans({"task": f"Read for {mark}"}, {"task": f"Count for {mark}"}, when=mark),
            writes(_first_program(mark), when=f"Read for {mark}"),
            writes(f"print('{mark} counts', {number})", when=f"Count for {mark}"),
            _reviews(mark),
            _reviews(mark),
            answers(say, when=f"{read.strip()}.*{mark} counts {number}"),
        ],
        outputs={"s1": read, "s2": f"{mark} counts {number}\n"},
        artifacts={"plot.svg": svg},
    )
    say = f"Turn 1 of {mark} is done."
    yield Turn(
        question=f"Do turn 1 of {mark}.",
        say=say,
        lines=[
            plans({"task": f"Double for {mark}"}, when=mark),
            writes(_second_program(mark), when=mark),
            _reviews(mark),
            answers(say, when=re.escape(kept.strip())),
        ],
        outputs={"s1": kept},
        artifacts={},
    )


@dataclass(kw_only=True)
class Got:
    """What one turn's reply was."""

    text: str
    """As it came over the wire."""
    answer: str
    told: str
    """The steps, where it was streamed."""
    usage: dict[str, int]
    session_id: str
    metadata: dict[str, Any]


def _ask(client: httpx.Client, body: dict[str, Any]) -> Got:
    if not body["stream"]:
        reply = client.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        document = reply.json()
        return Got(
            text=reply.text,
            answer=document["choices"][0]["message"]["content"],
            told="",
            usage=document["usage"],
            session_id=document["x_session_id"],
            metadata=document["x_agent_metadata"],
        )
    with client.stream("POST", "/v1/chat/completions", json=body) as stream:
        text = stream.read().decode()
        assert stream.status_code == 200, text
    lines = [line for line in text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [choice["delta"] for part in parts for choice in part["choices"]]
    assert len({part["id"] for part in parts}) == 1
    return Got(
        text=text,
        answer="".join(delta.get("content") or "" for delta in deltas),
        told="".join(delta.get("reasoning_content") or "" for delta in deltas),
        usage=parts[-1]["usage"],
        session_id=parts[-2]["x_session_id"],
        metadata=parts[-2]["x_agent_metadata"],
    )


def _converse(url: str, conversation: Conversation, begin: threading.Barrier) -> list[str]:
    """Play a conversation; what is not as it would be alone."""
    wrong: list[str] = []

    def hold(what: str, seen: Any, wanted: Any) -> None:
        if seen != wanted:
            wrong.append(f"{conversation.mark}, {what}: {seen!r} in place of {wanted!r}")

    with httpx.Client(base_url=url, timeout=_PATIENCE_S) as client:
        upload = {"file": ("data.csv", conversation.table.encode())}
        file_id = client.post("/v1/files", files=upload).json()["id"]
        session_id = client.post("/v1/sessions").json()["id"]
        begin.wait(_PATIENCE_S)
        said: list[tuple[str, str]] = []
        for number, turn in enumerate(conversation.turns):
            got = _ask(
                client,
                {
                    "messages": [{"role": "user", "content": turn.question}],
                    "agent_type": conversation.agent,
                    "session_id": session_id,
                    "file_ids": [file_id] if number == 0 else [],
                    "stream": conversation.is_streamed,
                    "stream_options": {"include_usage": True},
                },
            )
            results = got.metadata["python_coder_results"]
            by_step = {result["step"]: result["output"] for result in results}
            files = got.metadata["artifacts"]
            contents = {each["name"]: client.get(each["url"]).text for each in files}
            hold("marks", set(_MARK.findall(got.text)), {conversation.mark})
            hold("answer", turn.say in got.answer, True)
            hold("usage", got.usage, turn.usage)
            hold("calls", got.metadata["model_calls"], len(turn.lines))
            hold("session", got.session_id, session_id)
            hold("outputs", by_step, turn.outputs)
            hold("artifacts", contents, turn.artifacts)
            if conversation.is_streamed:
                missing = [out for out in turn.outputs.values() if out.strip() not in got.told]
                hold("steps in the stream", missing, [])
            said += [("user", turn.question), ("assistant", turn.say)]
        kept = client.get(f"/v1/sessions/{session_id}/messages").json()["data"]
        hold("messages", [(each["role"], each["content"]) for each in kept], said)
        hold("kept marks", set(_MARK.findall(json.dumps(kept))), {conversation.mark})
        back = client.get(f"/v1/files/{file_id}/content").text
        hold("file", back, conversation.table)
    return wrong


@pytest.mark.sandbox
def test_fifty_conversations_at_once_stay_apart(ollama_server: OllamaServer) -> None:
    conversations = [Conversation(number=number) for number in range(MANY)]
    ollama_server.add(
        *(line for each in conversations for turn in each.turns for line in turn.lines)
    )
    begin = threading.Barrier(MANY)
    settings = load_settings(max_sessions=MANY, max_requests=MANY)
    with running(settings) as url, ThreadPoolExecutor(MANY) as threads:
        playing = [threads.submit(_converse, url, each, begin) for each in conversations]
        try:
            first = [ollama_server.next_request() for _ in range(MANY)]
        finally:
            ollama_server.release()  # not before all of them are under way
        wrong = [fault for each in playing for fault in each.result()]
    assert wrong == []
    begun = {mark for chat in first for mark in _MARK.findall(_prompt(chat.body))}
    assert len(begun) == MANY
    # What a model is shown is one conversation's, too.
    mixed = [
        (stage_of(prompt), marks)
        for prompt in (_prompt(chat.body) for chat in ollama_server.chats)
        if len(marks := set(_MARK.findall(prompt))) != 1
    ]
    assert mixed == []
    asked = sum(len(turn.lines) for each in conversations for turn in each.turns)
    assert len(ollama_server.chats) == asked


def _prompt(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"])
