from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import (
    BadReply,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
    PythonCoderError,
    RequestError,
    SettingsError,
)
from backend.llm.models import LanguageModel, Reply, open_models
from backend.llm.scripted import count_tokens, open_script, split_words
from backend.types import Message, Stage

Write = Callable[..., str]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """Write lines to a file; gives the setting that names it."""

    def write(*lines: dict[str, Any] | str, name: str = "script.jsonl") -> str:
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path = tmp_path / name
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return f"scripted:{path}"

    return write


async def ask(
    model: LanguageModel,
    question: str = "Go on.",
    stage: Stage = "answer",
    on_text: Callable[[str], None] | None = None,
) -> Reply:
    return await model.call([Message(role="user", content=question)], stage=stage, on_text=on_text)


async def replies(setting: str, *calls: tuple[Stage, str]) -> list[str]:
    async with open_models(load_settings(model=setting)) as models:
        return [(await ask(models.get(), question, stage)).text for stage, question in calls]


async def failing(setting: str) -> PythonCoderError:
    with pytest.raises(PythonCoderError) as caught:
        await replies(setting, ("answer", "Go on."))
    return caught.value


async def test_it_says_scripted_wherever_a_name_is_shown(script: Write) -> None:
    setting = script({"reply": "Hi."})
    async with open_models(load_settings(model=setting)) as models:
        await models.check()
        assert await models.names() == ["scripted"]
        for name in (None, "scripted", setting):
            assert (models.get(name).name, models.get(name).provider) == ("scripted", "scripted")
        assert (await ask(models.get())).call["model"] == "scripted"


async def test_a_call_takes_the_first_line_whose_stage_and_pattern_fit(script: Write) -> None:
    setting = script(
        {"stage": "repair", "reply": "repaired"},
        {"stage": "generate", "when": r"prime\s+numbers", "reply": "primes"},
        {"stage": "generate", "reply": "anything"},
        {"reply": "any stage"},
    )
    calls: list[tuple[Stage, str]] = [
        ("generate", "Fibonacci"),
        ("generate", "all prime\nnumbers"),
        ("generate", "Fibonacci"),
        ("repair", "prime numbers"),
    ]
    assert await replies(setting, *calls) == ["anything", "primes", "any stage", "repaired"]


async def test_the_pattern_sees_every_message(script: Write) -> None:
    setting = script({"when": r"be brief\nhello", "reply": "both"})
    async with open_models(load_settings(model=setting)) as models:
        reply = await models.get().call(
            [Message(role="system", content="be brief"), Message(role="user", content="hello")],
            stage="chat",
        )
    assert reply.text == "both"


async def test_lines_are_used_once_in_a_process_however_often_the_file_is_opened(
    script: Write,
) -> None:
    setting = script({"reply": "first"}, {"reply": "second"}, {"reply": "third"})
    async with open_models(load_settings(model=setting)) as models:
        assert (await ask(models.get())).text == "first"
        assert await replies(setting, ("answer", "Go on.")) == ["second"]
        assert (await ask(models.get("scripted"))).text == "third"


async def test_a_changed_file_starts_again(script: Write) -> None:
    setting = script({"reply": "first"}, {"reply": "second"})
    assert await replies(setting, ("answer", "")) == ["first"]
    script({"reply": "new first"}, {"reply": "new second"})
    assert await replies(setting, ("answer", "")) == ["new first"]


async def test_a_file_is_the_same_by_every_path(script: Write, tmp_path: Path) -> None:
    setting = script({"reply": "first"}, {"reply": "second"})
    os.symlink(tmp_path / "script.jsonl", tmp_path / "link.jsonl")
    assert await replies(setting, ("answer", "")) == ["first"]
    assert await replies("scripted:link.jsonl", ("answer", "")) == ["second"]


async def test_a_repeating_line_is_never_used_up(script: Write) -> None:
    setting = script({"reply": "once"}, {"reply": "again", "repeat": True})
    calls: list[tuple[Stage, str]] = [("answer", "")] * 4
    assert await replies(setting, *calls) == ["once", "again", "again", "again"]


def test_lines_are_used_once_from_several_threads(script: Write) -> None:
    setting = script(*({"reply": str(n)} for n in range(200)))
    opened = open_script(setting.removeprefix("scripted:"))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: opened.take("answer", "").number, range(200)))
    assert sorted(taken) == list(range(1, 201))


async def test_when_none_is_left_the_stage_and_the_prompts_end_are_told(script: Write) -> None:
    setting = script({"stage": "plan", "reply": "a plan"})
    question = "the beginning " + "and so on " * 100 + "the very\nend"
    with pytest.raises(ModelError) as caught:
        await replies(setting, ("generate", question))
    assert type(caught.value) is ModelError
    assert "'generate'" in caught.value.what
    assert "the very end" in caught.value.what
    assert "the beginning" not in caught.value.what
    assert "script.jsonl" in caught.value.what
    assert "\n" not in str(caught.value)


async def test_it_streams_word_by_word(script: Write) -> None:
    words: list[str] = []
    async with open_models(load_settings(model=script({"reply": " One two\n  three"}))) as models:
        reply = await ask(models.get(), on_text=words.append)
    assert reply.text == "".join(words) == " One two\n  three"
    assert len(words) == 3


@pytest.mark.parametrize("text", ["", "one", " one", "\n\n", "one  two\n", "\tone\n\ttwo "])
def test_words_join_to_the_text(text: str) -> None:
    assert "".join(split_words(text)) == text


async def test_tokens_are_those_of_the_line_or_counted(script: Write) -> None:
    setting = script({"reply": "a b c", "tokens": [100, 20]}, {"reply": "one two three four"})
    async with open_models(load_settings(model=setting)) as models:
        told, counted = await ask(models.get()), await ask(models.get(), "one two three")
    assert (told.call["input_tokens"], told.call["output_tokens"]) == (100, 20)
    assert counted.call["input_tokens"] == count_tokens("one two three") > 0
    assert counted.call["output_tokens"] == count_tokens("one two three four") > 0


async def test_thoughts_are_set_apart(script: Write) -> None:
    setting = script({"reply": "<think>\nHm.\n</think>\n\nYes."})
    async with open_models(load_settings(model=setting)) as models:
        reply = await ask(models.get())
    assert (reply.text, reply.thinking) == ("Yes.", "Hm.")


async def test_a_delay_can_be_cancelled(script: Write) -> None:
    setting = script({"reply": "late", "delay_s": 3600})
    async with open_models(load_settings(model=setting)) as models:
        task = asyncio.create_task(ask(models.get()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("404 model not found", ModelNotFound),
        ("404", ModelNotFound),
        ("connection refused", ModelUnavailable),
        ("cannot connect", ModelUnavailable),
        ("timed out", ModelUnavailable),
        ("503 busy", ModelUnavailable),
        ("400 does not support tools", ModelError),
        ("500 out of luck", ModelError),
        ("something odd", ModelError),
    ],
)
async def test_an_error_is_raised_as_a_servers_would_be(
    script: Write, said: str, kind: type[PythonCoderError]
) -> None:
    assert type(await failing(script({"error": said}, {"reply": "never"}))) is kind


@pytest.mark.parametrize("said", ["500 error parsing tool call", "dropped"])
async def test_an_error_that_is_tried_again_takes_the_next_line(script: Write, said: str) -> None:
    setting = script({"error": said}, {"reply": "better"})
    assert await replies(setting, ("answer", "")) == ["better"]
    error = await failing(script({"error": said}, {"reply": "so f", "error": said}))
    assert isinstance(error, BadReply)
    assert error.partial == "so f"


@pytest.mark.parametrize(
    ("line", "reason"),
    [({"reply": "cut of", "done_reason": "length"}, "length"), ({"reply": ""}, "empty")],
    ids=["length", "empty"],
)
async def test_only_a_reply_that_ended_with_words_is_given(
    script: Write, line: dict[str, Any], reason: str
) -> None:
    error = await failing(script(line))
    assert isinstance(error, BadReply)
    assert (error.reason, error.partial) == (reason, line["reply"])
    assert len(error.calls) == 1


BAD_LINES: dict[str, tuple[dict[str, Any] | str, str]] = {
    "not JSON": ("{reply: yes}", "not JSON"),
    "a comment": ("# a comment", "not JSON"),
    "not an object": ('["reply"]', "not a JSON object"),
    "no reply": ({"stage": "plan"}, "neither 'reply' nor 'error'"),
    "stage": ({"stage": "dream", "reply": ""}, "'dream'; the stages are plan, act"),
    "pattern": ({"when": "(", "reply": ""}, "no regular expression"),
    "pattern's type": ({"when": 1, "reply": ""}, "must be a str"),
    "reply's type": ({"reply": {"a": 1}}, "must be a str"),
    "tokens": ({"tokens": 5, "reply": ""}, "[in, out]"),
    "tokens' types": ({"tokens": [1.5, True], "reply": ""}, "[in, out]"),
    "tokens below 0": ({"tokens": [-1, 2], "reply": ""}, "[in, out]"),
    "delay": ({"delay_s": "1", "reply": ""}, "number of seconds"),
    "repeat": ({"repeat": "yes", "reply": ""}, "must be a bool"),
    "misspelt": ({"whem": "x", "reply": ""}, "'when' is meant"),
}


@pytest.mark.parametrize(("line", "says"), BAD_LINES.values(), ids=BAD_LINES)
async def test_a_line_that_is_not_valid_stops_the_start_and_is_named(
    script: Write, line: dict[str, Any] | str, says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        await replies(script({"reply": "fine"}, "", line))
    assert "script.jsonl, line 3:" in caught.value.what
    assert says in caught.value.what
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("path", "content"),
    [("missing.jsonl", None), (".", None), ("binary.jsonl", b"\xff\xfe")],
    ids=["missing", "a folder", "binary"],
)
async def test_a_file_that_cannot_be_read_stops_the_start(
    tmp_path: Path, path: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / path).write_bytes(content)
    with pytest.raises(SettingsError, match="PYTHON_CODER_MODEL") as caught:
        await replies(f"scripted:{path}")
    assert repr(path) in caught.value.what


async def test_notes_of_ones_own_and_blank_lines_are_let_be(script: Write) -> None:
    setting = script("", {"note": "the first question", "reply": "Hi."}, "   ")
    assert await replies(setting, ("answer", "")) == ["Hi."]


async def test_other_names_are_refused_while_a_script_answers(script: Write) -> None:
    async with open_models(load_settings(model=script({"reply": "Hi."}))) as models:
        with pytest.raises(NotFound, match="'qwen3:8b'"):
            models.get("qwen3:8b")
        with pytest.raises(RequestError):
            models.get("scripted:another.jsonl")
        assert models.get("ollama:qwen3:8b").provider == "ollama"
