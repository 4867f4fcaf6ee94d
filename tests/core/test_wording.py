from __future__ import annotations

import pytest

from backend.core.terms import DEEDS, EXPLAINING, STEPS, TERMS, WORDING
from backend.core.wording import read_wording


def _terms(query: str) -> set[str]:
    return {term for found in read_wording(query).terms.values() for term in found}


def test_each_term_of_the_table_is_found_where_it_stands() -> None:
    for kind, by_weight in TERMS.items():
        for line in by_weight.values():
            for term in " ".join(line.split()).split(", "):
                ending = "xyz" if term.endswith("*") else ""
                query = f"well {term.removesuffix('*')}{ending} well"
                assert term in read_wording(query).terms[kind], (kind, term)


def test_no_term_has_two_weights() -> None:
    for kind, by_weight in TERMS.items():
        terms = [t for line in by_weight.values() for t in " ".join(line.split()).split(", ")]
        assert sorted(terms) == sorted(set(terms)), kind


def test_deeds_that_only_words_come_of_are_deeds() -> None:
    assert WORDING | EXPLAINING <= DEEDS


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ("WRITE   Python\ncode", {"python", "code"}, set()),
        ("a notification about the context", set(), {"if", "text"}),
        ("what is a list", {"what is a"}, {"what is"}),
        ("no code please, just a chart", {"chart", "a chart"}, {"code"}),
        ("without any plots", set(), {"plot*"}),
        ("Do not stop. Plot it.", {"plot*"}, set()),
        ('Translate "plot the csv"', {"translate"}, {"csv", "plot*"}),
        ("translate \u201cplot the csv\u201d", {"translate"}, {"csv", "plot*"}),
        ("I don't want a plot", set(), {"plot*"}),
        ("what\u2019s json", {"what's", "json"}, set()),
        ("scikit-learn, please", {"scikit-learn"}, set()),
        ("'plot the csv'", {"plot*", "csv"}, set()),
        ("데이터의 평균을 구해줘", {"데이터*", "평균*"}, set()),
        ("Zeichne ein Diagramm der Spalten", {"diagramm*", "spalte*"}, set()),
    ],
)
def test_terms_are_whole_words_that_are_meant(
    query: str, there: set[str], absent: set[str]
) -> None:
    found = _terms(query)
    assert there <= found
    assert not absent & found


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ("plot the price", 0),
        ("the red one, the blue one", 0),
        ("the best month, the worst month, the average basket", 3),
        ("the best month, the worst month, the average basket and the trend", 4),
        ("sort banana, fig, apple, kiwi", 0),
        ("sort [3, 9, 4, 1]", 0),
        ("1. clean it 2. plot it 3. sum it up", 4.5),
        ("- clean it\n- plot it\n- send it", 4.5),
        ("(a) ages (b) incomes", 3),
        ("Plot this. Plot that. Count the rest.", 4.5),
    ],
)
def test_enumerations_are_counted(query: str, items: float) -> None:
    assert read_wording(query).items == items


def test_steps_are_counted_outside_of_quotations() -> None:
    steps = read_wording(
        "I have a picture 'a cat, a dog, and a bird'. Colour it, and translate the edited text "
        "into French using a dictionary."
    ).steps
    assert steps.keys() == STEPS.keys()
    assert steps["had"] == 1
    assert steps["new things"] == 2
    assert steps["commas"] == 1
    assert steps["ands"] == 1
    assert steps["deeds"] == 1 + 1  # colour, translate
    assert steps["results"] == 1
    assert steps["places"] == 1
    assert steps["used"] == 1


@pytest.mark.parametrize(
    ("query", "files", "arithmetic", "numbers", "code"),
    [
        ("What is in Sales-2024.CSV and in 'b.wav'?", ("sales-2024.csv", "b.wav"), False, False, False),
        ("What is 23 * 19?", (), True, True, False),
        ("Who won in 2014?", (), False, False, False),
        ("the first 10", (), False, True, False),
        ("Why?\n    def f(x):\n        return x", (), False, False, True),
        ("why does len(x) fail", (), False, False, False),
        ("print(x)", (), False, False, True),
        ("e.g. this", (), False, False, False),
    ],
)  # fmt: skip
def test_what_can_be_worked_with_is_seen(
    query: str, files: tuple[str, ...], arithmetic: bool, numbers: bool, code: bool
) -> None:
    wording = read_wording(query)
    assert wording.files == files
    assert (wording.arithmetic, wording.numbers, wording.code) == (arithmetic, numbers, code)


@pytest.mark.parametrize(
    "piece",
    ["'a ", "' a", '"', "\u201c", "`a", "``` ", "\n", " ", "\t", "a", "a-", "a, ", "a.b,", "1", "- ",
     "x = ", "a(b", "(a) ", "for a\n", "plot, ", "no ", "what is "],
)  # fmt: skip
def test_twenty_thousand_characters_of_anything_are_read(piece: str) -> None:
    wording = read_wording(piece * (20_000 // len(piece)))
    assert wording.steps["length"] <= 8
