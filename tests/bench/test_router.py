"""The router's figures have floors; those on corpora are measured where the corpora are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

import bench.router as bench
from backend.core.router import route
from backend.core.terms import STEPS, STEPS_BASE
from bench.router_fit import Fitted, agent_with, fit

_FLOOR_WRITTEN = 0.92
_FLOOR_CORPORA = 0.85


@pytest.fixture(scope="module")
def written() -> Sequence[bench.Labelled]:
    return bench.read_written()


def test_the_written_requests_are_many_and_of_every_kind(
    written: Sequence[bench.Labelled],
) -> None:
    labels = Counter(each.label for each in written)
    assert len({each.request for each in written}) == len(written) >= 300
    assert set(labels) == set(bench.LABELS)
    assert min(labels.values()) >= 100
    assert all(each.label != "chat" for each in written if each.files)


@pytest.mark.parametrize("half", [0, 1], ids=["odd", "even-held-out"])
def test_the_written_requests_go_where_they_belong(
    half: int, written: Sequence[bench.Labelled]
) -> None:
    verdicts = bench.judge(written[half::2], bench.shipped)
    told = "\n".join(verdicts.lines())
    assert verdicts.accuracy >= _FLOOR_WRITTEN, told
    assert verdicts.balanced_accuracy >= _FLOOR_WRITTEN, told


@pytest.mark.corpora
def test_fitted_on_one_corpus_the_table_holds_on_the_other(corpora: Path) -> None:
    one, other = (bench.read_corpus(corpora, name) for name in bench.CORPORA)
    for train, test in ((one, other), (other, one)):
        verdicts = bench.across(train, test)
        plain = [bench.judge(test, rule).balanced_accuracy for rule in bench.PLAIN.values()]
        assert verdicts.balanced_accuracy >= _FLOOR_CORPORA > max(plain)


@pytest.mark.corpora
def test_the_weights_of_steps_are_what_the_fit_gives(corpora: Path) -> None:
    requests = [each for name in bench.CORPORA for each in bench.read_corpus(corpora, name)]
    fitted = bench.fit_to(requests)
    assert fitted.weights == pytest.approx(STEPS, abs=0.02)
    assert fitted.base == pytest.approx(STEPS_BASE, abs=0.05)


def test_the_fit_finds_what_tells_labels_apart() -> None:
    short = [(f"Blur picture {n}", False) for n in range(20)]
    long = [(f"Blur a picture {n}, frame it, and send the framed one", True) for n in range(20)]
    fitted = fit([*short, *long])
    assert fitted.weights["results"] > 0
    assert agent_with(fitted, "Blur it, cut it, and print the blurred and cut one") == (
        "plan_execute"
    )
    assert agent_with(fitted, "Blur it") == "react"
    with pytest.raises(ValueError, match="same label"):
        fit(short)


def test_with_the_shipped_weights_the_fit_chooses_as_the_router_does(
    written: Sequence[bench.Labelled],
) -> None:
    shipped = Fitted(weights=STEPS, base=STEPS_BASE)
    for each in written:
        assert agent_with(shipped, each.request) == route(each.request).agent


def test_verdicts_count_each_label_the_same() -> None:
    rows = [bench.Labelled(request="", label="react")] * 3
    rows.append(bench.Labelled(request="", label="chat"))
    verdicts = bench.judge(rows, lambda each: "react")
    assert verdicts.accuracy == 0.75
    assert verdicts.balanced_accuracy == 0.5
    assert len(verdicts.lines()) == 3
