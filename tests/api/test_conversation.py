from __future__ import annotations

import base64

import pytest
from pydantic import TypeAdapter

from backend.api.conversation import Conversation, clean_answer, read_conversation
from backend.api.schemas import ChatMessage
from backend.errors import RequestError
from backend.types import Message

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def read(*messages: dict[str, object]) -> Conversation:
    return read_conversation(TypeAdapter(list[ChatMessage]).validate_python(list(messages)))


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def assistant(content: object) -> dict[str, object]:
    return {"role": "assistant", "content": content}


def test_the_last_message_is_the_question_and_instructions_stand_apart() -> None:
    conversation = read(
        {"role": "system", "content": "Be brief."},
        user("one?"),
        assistant("1"),
        {"role": "developer", "content": "In Korean."},
        user([{"type": "text", "text": "and"}, {"type": "text", "text": "two?"}]),
    )
    assert conversation.question == "and\ntwo?"
    assert conversation.system == (
        Message(role="system", content="Be brief."),
        Message(role="system", content="In Korean."),
    )
    assert conversation.earlier == (
        Message(role="user", content="one?"),
        Message(role="assistant", content="1"),
    )


def test_what_other_servers_tools_said_is_kept_as_words() -> None:
    conversation = read(
        user("weather?"),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "1"},
        user("and now?"),
    )
    assert [turn.content for turn in conversation.earlier] == [
        "weather?",
        "[result of a tool] sunny",
    ]


def test_files_and_images_become_attachments_of_their_message() -> None:
    data = base64.b64encode(b"a,b\n").decode()
    conversation = read(
        user([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PNG}}]),
        assistant("nice"),
        user(
            [
                {"type": "text", "text": "compare"},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": data, "filename": "a.csv"}},
                {
                    "type": "file",
                    "file": {"file_data": f"data:text/csv;base64,{data}", "filename": "b.csv"},
                },
                {"type": "image_url", "image_url": {"url": PNG}},
                {"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}},
            ]
        ),
    )
    assert [file.filename for file in conversation.earlier_attachments] == ["image-1.png"]
    assert [(file.file_id, file.filename, file.content) for file in conversation.attachments] == [
        ("file-1", "", b""),
        (None, "a.csv", b"a,b\n"),
        (None, "b.csv", b"a,b\n"),
        (None, "image-2.png", b"\x89PNG"),
    ]
    assert "[attached: image-2.png]" in conversation.question
    assert "not at hand" in conversation.question


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        pytest.param([user("")], "empty", id="empty"),
        pytest.param([user(" \n ")], "empty", id="blank"),
        pytest.param([user(None)], "empty", id="null"),
        pytest.param([user([])], "empty", id="no parts"),
        pytest.param(
            [user([{"type": "image_url", "image_url": {"url": PNG}}])], "empty", id="no words"
        ),
        pytest.param([assistant("hi")], "last message", id="assistant's"),
        pytest.param([user("hi"), assistant("ho")], "last message", id="assistant's last"),
        pytest.param([{"role": "system", "content": "x"}], "last message", id="system only"),
        pytest.param(
            [user([{"type": "text", "text": "x"}, {"type": "file", "file": {}}])],
            "neither file_id",
            id="file without anything",
        ),
        pytest.param(
            [
                user(
                    [
                        {"type": "text", "text": "x"},
                        {"type": "file", "file": {"file_data": "?!", "filename": "a.csv"}},
                    ]
                )
            ],
            "not base64",
            id="broken base64",
        ),
    ],
)
def test_what_is_no_question_is_refused(messages: list[dict[str, object]], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        read(*messages)


LINK = "http://127.0.0.1:8000/v1/files/file-0a1b/content?expires=1&signature=ab"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param(f"see ![plot]({PNG}) here", "see [image plot] here", id="markdown image"),
        pytest.param(f'<img src="{PNG}">', '<img src="[image]">', id="bare data uri"),
        pytest.param('<details type="reasoning">\nsteps\n</details>\n42', "42", id="folded steps"),
        pytest.param(
            "a<details>b<details>c</details>d</details>e<DETAILS>f</DETAILS>g", "aeg", id="nested"
        ),
        pytest.param("a <details> b", "a <details> b", id="never ends"),
        pytest.param("a </details> b", "a </details> b", id="never begins"),
        pytest.param(f"![p.png]({LINK})", "![p.png](file-0a1b)", id="our own link"),
        pytest.param("[x](https://example.org/a?b=c)", "[x](https://example.org/a?b=c)", id="link"),
    ],
)
def test_answers_sent_back_lose_what_is_noise_to_a_model(text: str, cleaned: str) -> None:
    assert clean_answer(text) == cleaned


def test_cleaning_takes_a_time_that_grows_with_the_text_only() -> None:
    for beginning in ("<details>", "<details x", "![x](data:image/png;base64,", "(http://", "("):
        long = beginning * 50_000  # minutes, where each is followed to the end of the text
        assert clean_answer(long) == long
        assert clean_answer("![x](data:image/png;base64,y)" + long) == "[image x]" + long
