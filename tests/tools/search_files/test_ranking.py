from __future__ import annotations

import subprocess
import sys

import pytest

from backend.tools.search_files.ranking import Index, Query
from backend.tools.search_files.words import words_of

TEXTS = [
    "The refund policy allows a return within 30 days of purchase.",
    "Invoice INV-2024-0317 was paid on 2024-04-02 by Müller GmbH.",
    "Invoice INV-2024-0318 is open. Reminders go out after 14 days.",
    "서울지점의 매출은 3월에 크게 늘었다. 부산지점은 줄었다.",
    "def total_revenue(orders): return sum(order.unitPrice for order in orders)",
    "東京の売上は前年より増えた。",
    "The quick brown fox jumps over the lazy dog, and the policy of the house is kindness.",
]


def found(query: str) -> list[int]:
    return [hit.place for hit in Index(TEXTS).search(Query(query))]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("refund policy", 0),
        ("What does the policy say about refunds and returns?", 0),
        ("INV-2024-0318", 2),
        ("inv-2024-0317", 1),
        ("who paid the invoice of 2024-04-02", 1),
        ("müller", 1),
        ("Mu\u0308ller", 1),
        ("매출", 3),
        ("서울 매출이 얼마나", 3),
        ("부산", 3),
        ("revenue", 4),
        ("unit price", 4),
        ("売上", 5),
        ("東京 売上", 5),
        ('"lazy dog"', 6),
        ("fox", 6),
        ("\uff26\uff2f\uff38", 6),
    ],
)
def test_the_passage_that_is_meant_comes_first(query: str, place: int) -> None:
    assert found(query)[0] == place


def test_a_number_within_an_identifier_is_found_where_no_word_is() -> None:
    index = Index(["code AB0317X here", "nothing of it"])
    assert [hit.place for hit in index.search(Query("0317"))] == [0]


@pytest.mark.parametrize("query", ["zebra", "the", "!?", "0999", "얼룩말", ""])
def test_what_is_not_there_is_not_found(query: str) -> None:
    assert Index(["A text of some words.", "쪽지"]).search(Query(query)) == []


def test_words_that_say_nothing_count_only_if_there_are_no_others() -> None:
    assert Query("the price of it").words == ["price"]
    assert Query("to be or not to be").words == ["to", "be", "or", "not"]


def test_the_words_of_the_query_that_are_nowhere_are_told() -> None:
    assert Index(TEXTS).unknown(Query("refund zebra policy")) == ["zebra"]


@pytest.mark.parametrize("texts", [[], [""], ["", "!!!"], ["a"] * 300])
def test_an_index_of_hardly_anything_is_searched_all_the_same(texts: list[str]) -> None:
    assert Index(texts).search(Query("zebra")) == []


def test_names_are_told_with_their_parts_and_plurals_as_one() -> None:
    assert list(words_of("total_revenue")) == ["total_revenue", "total", "revenue"]
    assert list(words_of("unitPrice HTTPServer2")) == [
        "unitprice", "unit", "price", "httpserver2", "http", "server", "2",
    ]  # fmt: skip
    assert list(words_of("Invoices invoice")) == ["invoice", "invoice"]
    assert list(words_of("매출은 A")) == ["매출", "출은", "a"]


def test_the_library_is_loaded_when_something_is_searched_and_not_before() -> None:
    program = (
        "import sys\nfrom backend.tools.at_hand import tools_at_hand\n"
        "print(sorted({'bm25s', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
