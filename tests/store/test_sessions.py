from __future__ import annotations

import asyncio

import pytest

from backend.errors import NotFound, RequestError
from backend.store.session_records import ChatTurn
from backend.store.sessions import SessionStore, check_session_id, new_session_id
from backend.types import Message

ON_BOTH_DATABASES = True

PAIR = [
    ChatTurn(role="user", content="two plus two?"),
    ChatTurn(role="assistant", content="4", details={"agent": "chat"}),
]


async def test_a_conversation_is_kept_in_order_with_its_details(sessions: SessionStore) -> None:
    await sessions.append("s1", PAIR, owner="local")
    await sessions.append("s1", [ChatTurn(role="user", content="times ten?")], owner="local")
    page = await sessions.messages("s1", owner="local")
    assert [(turn.role, turn.content) for turn in page.messages] == [
        ("user", "two plus two?"),
        ("assistant", "4"),
        ("user", "times ten?"),
    ]
    assert page.messages[1].details == {"agent": "chat"}
    told = await sessions.words("s1", owner="local")
    assert told[1] == Message(role="assistant", content="4")


async def test_the_history_is_the_last_turns_oldest_first(sessions: SessionStore) -> None:
    for number in range(5):
        await sessions.append("s", [ChatTurn(role="user", content=str(number))], owner="local")
    turns = await sessions.words("s", owner="local", limit=2)
    assert [turn.content for turn in turns] == ["3", "4"]
    assert await sessions.words("none", owner="local") == ()


async def test_one_id_of_two_owners_is_two_conversations(sessions: SessionStore) -> None:
    await sessions.append("same", [ChatTurn(role="user", content="alice's")], owner="alice")
    await sessions.append("same", [ChatTurn(role="user", content="bob's")], owner="bob")
    [turn] = (await sessions.messages("same", owner="bob")).messages
    assert turn.content == "bob's"
    await sessions.delete("same", owner="alice")
    assert not await sessions.exists("same", owner="alice")
    assert (await sessions.messages("same", owner="bob")).messages == [turn]


async def test_what_is_anothers_or_gone_is_unknown(sessions: SessionStore) -> None:
    await sessions.append("s", PAIR, owner="alice")
    with pytest.raises(NotFound):
        await sessions.check("s", owner="bob")
    with pytest.raises(NotFound):
        await sessions.messages("s", owner="bob")
    with pytest.raises(NotFound):
        await sessions.delete("s", owner="bob")
    await sessions.delete("s", owner="alice")
    with pytest.raises(NotFound):
        await sessions.delete("s", owner="alice")
    assert await sessions.words("s", owner="alice") == ()


async def test_the_list_says_what_each_is_about(sessions: SessionStore) -> None:
    await sessions.append("first", PAIR, owner="local")
    await sessions.append("second", [ChatTurn(role="user", content="x" * 200)], owner="local")
    page = await sessions.list(owner="local", limit=1)
    assert [row.id for row in page.sessions] == ["second"]
    assert page.has_more
    assert page.sessions[0].title == "x" * 80
    [first] = (await sessions.list(owner="local", after="second")).sessions
    assert (first.id, first.title, first.message_count) == ("first", "two plus two?", 2)


async def test_messages_come_in_pages(sessions: SessionStore) -> None:
    await sessions.append(
        "s", [ChatTurn(role="user", content=str(n)) for n in range(5)], owner="local"
    )
    await sessions.append("t", PAIR, owner="local")
    await sessions.append("s", [ChatTurn(role="user", content="5")], owner="local")
    first = await sessions.messages("s", owner="local", limit=3)
    rest = await sessions.messages("s", owner="local", after=first.messages[-1].id)
    assert first.has_more
    assert not rest.has_more
    assert [turn.content for turn in rest.messages] == ["3", "4", "5"]
    newest = await sessions.messages("s", owner="local", limit=2, order="desc")
    assert [turn.content for turn in newest.messages] == ["5", "4"]
    before = await sessions.messages("s", owner="local", after="msg-5", limit=9, order="desc")
    assert [turn.content for turn in before.messages] == ["3", "2", "1", "0"]
    # What is said elsewhere is not counted: its numbers would tell of it.
    pages = (first, rest, newest, before)
    ids = [[int(turn.id.removeprefix("msg-")) for turn in page.messages] for page in pages]
    assert ids == [[1, 2, 3], [4, 5, 6], [6, 5], [4, 3, 2, 1]]
    for after, error in (("msg-x", RequestError), ("msg-0", RequestError), ("msg-7", NotFound)):
        with pytest.raises(error):
            await sessions.messages("s", owner="local", after=after)


async def test_parallel_turns_of_one_conversation_stay_in_pairs(sessions: SessionStore) -> None:
    async def talk(number: int) -> None:
        await sessions.append(
            "s",
            [
                ChatTurn(role="user", content=f"question {number}"),
                ChatTurn(role="assistant", content=f"answer {number}"),
            ],
            owner="local",
        )

    await asyncio.gather(*(talk(number) for number in range(20)))
    turns = (await sessions.messages("s", owner="local")).messages
    assert len(turns) == 40
    for question, answer in zip(turns[::2], turns[1::2], strict=True):
        assert question.content.removeprefix("question") == answer.content.removeprefix("answer")


@pytest.mark.parametrize(
    "given",
    ["", "*", "../x", "a/../b", "a..b", "a/b", "a b", "x" * 129, "%2e%2e", "-a", "a\n", "é"],
    ids=repr,
)
def test_what_could_be_a_path_or_a_pattern_is_no_session_id(given: str) -> None:
    with pytest.raises(RequestError, match=f"of {len(given)} characters"):
        check_session_id(given)


@pytest.mark.parametrize("given", ["a", "s1", "7b5f0d3e-1", "local:Xy_z9", "a@b.c", "x" * 128])
def test_the_ids_of_front_ends_are_session_ids(given: str) -> None:
    assert check_session_id(given) == given


def test_a_new_id_is_a_session_id() -> None:
    assert check_session_id(new_session_id())


async def test_what_came_with_a_conversation_and_of_it_is_known_however_long_it_is(
    sessions: SessionStore,
) -> None:
    for number in range(3):
        made = {"id": f"file-{number}", "name": f"plot_{number}.png", "size": number}
        turns = [
            ChatTurn(role="user", content="?", details={"file_ids": [f"file-in-{number}"]}),
            ChatTurn(role="assistant", content="!", details={"artifacts": [made], "output": "7\n"}),
        ]
        await sessions.append("s", turns, owner="local")
    await sessions.append("s", [ChatTurn(role="user", content="and?")], owner="local")
    ids = await sessions.file_ids("s", owner="local")
    assert ids == ["file-in-0", "file-in-1", "file-in-2"]
    listed = await sessions.artifacts("s", owner="local")
    assert [each["name"] for each in listed] == ["plot_0.png", "plot_1.png", "plot_2.png"]
    assert await sessions.artifacts("s", owner="somebody") == []
    told = await sessions.words("s", owner="local", limit=2)
    assert told == (
        Message(role="assistant", content="!", files=("plot_2.png",), printed="7\n"),
        Message(role="user", content="and?"),
    )


async def test_an_answer_that_comes_too_late_does_not_bring_a_conversation_back(
    sessions: SessionStore,
) -> None:
    turns = [ChatTurn(role="user", content="What?"), ChatTurn(role="assistant", content="That.")]
    await sessions.append("s1", turns, owner="me", opens=False)
    assert not await sessions.exists("s1", owner="me")
    await sessions.append("s1", turns, owner="me")
    await sessions.append("s1", turns, owner="me", opens=False)
    page = await sessions.messages("s1", owner="me")
    assert len(page.messages) == 4
