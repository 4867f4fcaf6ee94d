from __future__ import annotations

from collections.abc import Iterable

from backend.sandbox.inside.passages.gathering import Gathering, Room, Unit

LARGE = 10_000_000


def gathered(
    units: Iterable[Unit], terms: tuple[str, ...] = (), chars: int = LARGE, matching: int = LARGE
) -> list[list[str]]:
    gathering = Gathering(terms, Room(chars, matching))
    for unit in units:
        gathering.add(unit)
    return gathering.finish()


def lines(*texts: str) -> list[Unit]:
    return [Unit("", "line", number, text) for number, text in enumerate(texts, 1)]


def test_lines_are_put_together_up_to_a_size_one_can_quote() -> None:
    passages = gathered(lines(*("word " * 50 for _ in range(10))))
    assert [place for place, _, _ in passages] == ["lines 1-3", "lines 4-6", "lines 7-9", "line 10"]


def test_no_passage_reaches_across_parts() -> None:
    units = [Unit("page 1", "", 1, "one"), Unit("page 2", "", 1, "two")]
    assert gathered(units) == [["page 1", "one", ""], ["page 2", "two", ""]]


def test_what_is_longer_than_a_passage_is_cut_between_words() -> None:
    passages = gathered(lines("word " * 1000, "x" * 5000))
    assert all(len(text) <= 1200 for _, text, _ in passages)
    assert "".join(text for _, text, _ in passages).count("word") == 1000
    assert sum(text.count("x") for _, text, _ in passages) == 5000
    assert {place for place, _, _ in passages} == {"line 1", "line 2"}


def test_of_what_does_not_fit_the_best_stays_in_its_order() -> None:
    many = [f"common {number} {'x' * 790}" for number in range(2000)]
    many[1500] += " rare"
    many[1900] = "nothing of it " + "y" * 780
    passages = gathered(lines(*many), ("common", "rare"), chars=0, matching=8_300)
    numbers = [int(place.removeprefix("line ")) for place, _, _ in passages]
    assert numbers == sorted(numbers) and len(numbers) == 10
    assert 1501 in numbers and 1901 not in numbers


def test_room_is_shared_by_the_files() -> None:
    room = Room(1000, 1000)
    for kept, beyond in ((["a", "b"], 2), ([], 3)):
        gathering = Gathering(("b",), room)
        for letter in "abc":
            gathering.add(Unit("", "line", 1, letter * 700))
        assert [text[0] for _, text, _ in gathering.finish()] == kept
        assert gathering.beyond == beyond


def test_letters_that_cannot_be_written_are_replaced() -> None:
    assert gathered(lines("a\0b \ud800")) == [["line 1", "ab ?", ""]]
