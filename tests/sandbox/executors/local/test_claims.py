"""What a program says of itself, fed with what no program of good will would say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.sandbox.executors.local.claims import (
    CHARTS_BYTES,
    HTML_BYTES,
    charts_of,
    html_of,
    text_of,
)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        pytest.param(None, None, id="nothing said"),
        pytest.param(b"", "", id="empty"),
        pytest.param("한".encode(), "한", id="text"),
        pytest.param(b"a\xff", "a\ufffd", id="no text"),
        pytest.param(b"12345678", "12345", id="too long"),
    ],
)
def test_text_is_text_and_not_longer_than_it_may_be(claim: bytes | None, text: str | None) -> None:
    assert text_of(claim, 5) == text


@pytest.mark.parametrize(
    ("claim", "html"),
    [
        pytest.param(None, None, id="nothing said"),
        pytest.param("<b>한</b>".encode(), "<b>한</b>", id="markup"),
        pytest.param(b"<b>\xff</b>", "<b>\ufffd</b>", id="no text"),
        pytest.param(b"x" * HTML_BYTES, "x" * HTML_BYTES, id="as long as it may be"),
        pytest.param(b"x" * (HTML_BYTES + 1), None, id="too long"),
    ],
)
def test_html_comes_whole_or_not_at_all(claim: bytes | None, html: str | None) -> None:
    assert html_of(claim) == html


CHART = {
    "artifact": "figure_1.png",
    "type": "line",
    "title": "한",
    "twin_of": 0,
    "series": [{"type": "line", "label": None, "x": [0, 1.5], "y": [1, None], "thinned": True}],
}


def test_charts_come_as_they_are() -> None:
    assert charts_of(json.dumps([CHART, CHART]).encode()) == (CHART, CHART)
    assert charts_of(b"[]") == ()
    assert charts_of(None) == ()


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(range(256)), id="no text"),
        pytest.param(b"[{}", id="half"),
        pytest.param(b"[" * 200_000, id="bottomless"),
        pytest.param(b"[" * 200_000 + b"]" * 200_000, id="bottomless and closed"),
        pytest.param(b'[{"a":' * 20 + b"1" + b"}]" * 20, id="deep"),
        pytest.param(b'[{"a":' * 450 + b"1" + b"}]" * 450, id="deeper"),
        pytest.param(b"[" + b"9" * 200_000 + b"]", id="endless number"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"{}", id="one chart and no list"),
        pytest.param(b"[{}, 1]", id="a number among them"),
        pytest.param(b"[[]]", id="a list among them"),
        pytest.param(b"[" + b"{}," * 5000 + b"{}]", id="many"),
        pytest.param(b'[{"x": [' + b"[]," * 50_000 + b"1]}]", id="many lists"),
        pytest.param(b"[{}" + b" " * CHARTS_BYTES + b"]", id="long"),
    ],
)
def test_what_is_no_list_of_charts_is_none(claim: bytes) -> None:
    assert charts_of(claim) == ()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param("NaN", None, id="nan"),
        pytest.param("-Infinity", None, id="infinity"),
        pytest.param("1e999", None, id="infinite in effect"),
        pytest.param("9007199254740993", None, id="inexact elsewhere"),
        pytest.param("9007199254740992", 2**53, id="exact"),
        pytest.param(r'"\ud800"', "?", id="half a character"),
        pytest.param(r'{"\udfff": ["\ud800"]}', {"?": ["?"]}, id="half a character further in"),
        pytest.param("true", True, id="truth"),
        pytest.param("-1.5", -1.5, id="negative"),
        pytest.param(
            "[1, 1.5, NaN, -1e999, 9007199254740993, false, null, []]",
            [1, 1.5, None, None, None, False, None, []],
            id="list",
        ),
    ],
)
def test_values_are_such_that_every_reader_takes_them(said: str, kept: Any) -> None:
    (chart,) = charts_of(b'[{"x": ' + said.encode() + b"}]")
    assert chart == {"x": kept}
    json.dumps(chart, allow_nan=False, ensure_ascii=False).encode()
