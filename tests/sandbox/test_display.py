from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.sandbox.inside.display import as_html, as_text

ROOM = 64 * 1024


class Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error

    def _repr_html_(self) -> str:
        raise self.error


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError


class Sly(str):
    def encode(self, *args: Any, **kwargs: Any) -> Any:
        raise SystemExit

    def __str__(self) -> str:
        raise SystemExit

    def __len__(self) -> int:
        return -1


class Html:
    def __init__(self, html: Any) -> None:
        self.html = html

    def __repr__(self) -> str:
        return self.html if isinstance(self.html, str) else "Html"

    def _repr_html_(self) -> Any:
        return self.html


class Anything:
    def __getattr__(self, name: str) -> Any:
        return lambda: "<b>made up</b>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(1, "1", id="number"),
        pytest.param("한\n", "'한\\n'", id="text"),
        pytest.param([1, {"a": None}], "[1, {'a': None}]", id="list"),
        pytest.param(np.array([1, 2]), "array([1, 2])", id="array"),
        pytest.param(pd.DataFrame({"a": [1], "b": ["x"]}), "   a  b\n0  1  x", id="frame"),
        pytest.param(
            Raises(ValueError("no")),
            "<Raises object whose repr failed: ValueError: no>",
            id="raises",
        ),
        pytest.param(
            Raises(SystemExit(3)), "<Raises object whose repr failed: SystemExit: 3>", id="exits"
        ),
        pytest.param(
            Raises(Silent()), "<Raises object whose repr failed: Silent>", id="error without words"
        ),
        pytest.param(Html("\ud800"), "\\ud800", id="half a character"),
        pytest.param(Html(Sly("sly")), "sly", id="a text of its own kind"),
    ],
)
def test_a_value_as_text(value: Any, text: str) -> None:
    assert as_text(value, ROOM) == text


def test_what_has_no_end_as_text() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "whose repr failed: RecursionError" in as_text(deep, ROOM)


@pytest.mark.parametrize("most", [0, 1, 5, 100, 1000])
def test_text_keeps_its_bound_and_stays_text(most: int) -> None:
    text = as_text("한" * 5000, most)
    assert len(text.encode()) <= most
    assert most < 5 or text.endswith("…")


def test_a_wide_frame_is_not_cut_into_blocks() -> None:
    wide = pd.DataFrame({f"a_rather_long_name_{n}": [n] for n in range(15)})
    assert len(as_text(wide, ROOM).splitlines()) == 2


def test_a_long_frame_is_shown_with_its_ends() -> None:
    text = as_text(pd.DataFrame({"a": range(1000)}), ROOM)
    assert len(text.splitlines()) < 20
    assert "999" in text
    assert len(as_text(pd.DataFrame({"a": range(60)}), ROOM).splitlines()) == 61


def test_what_the_program_has_set_itself_stays() -> None:
    with pd.option_context("display.max_rows", 100, "display.width", 90):
        assert len(as_text(pd.DataFrame({"a": range(100)}), ROOM).splitlines()) == 101
        assert pd.get_option("display.width") == 90
    assert pd.get_option("display.width") == 80


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1, id="number"),
        pytest.param("<b>text</b>", id="text"),
        pytest.param(Html, id="a class, not one of its objects"),
        pytest.param(Anything(), id="makes up attributes"),
        pytest.param(Html(None), id="none"),
        pytest.param(Html(b"<b>"), id="bytes"),
        pytest.param(Html("<b>" * ROOM), id="huge"),
        pytest.param(Html("한" * (ROOM // 2)), id="huge in bytes only"),
        pytest.param(Raises(ValueError("no")), id="raises"),
        pytest.param(Raises(SystemExit()), id="exits"),
    ],
)
def test_no_html(value: Any) -> None:
    assert as_html(value, ROOM) is None


@pytest.mark.parametrize(
    ("value", "html"),
    [
        pytest.param(Html("<b>한</b>"), "<b>한</b>", id="of its own"),
        pytest.param(Html(Sly("<i>")), "<i>", id="a text of its own kind"),
        pytest.param(Html("\ud800"), "\\ud800", id="half a character"),
    ],
)
def test_html_of_its_own(value: Any, html: str) -> None:
    assert as_html(value, ROOM) == html


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(pd.DataFrame({"name": ["<script>"]}), id="frame"),
        pytest.param(pd.Series(["<script>"], name="name"), id="series"),
        pytest.param(pd.DataFrame({"name": ["<script>"]}).style.format(escape="html"), id="styler"),
    ],
)
def test_pandas_objects_are_tables(value: Any) -> None:
    html = as_html(value, ROOM)
    assert html is not None
    assert "<table" in html and "name" in html and "&lt;script&gt;" in html


def test_large_frames_are_shown_in_part() -> None:
    html = as_html(pd.DataFrame(np.zeros((1000, 100))), ROOM)
    assert html is not None
    assert html.count("<tr") < 15
    assert html.count("<th>") < 40
    assert "1000 rows" in html and "100 columns" in html


def test_a_frame_too_long_for_its_room_has_fewer_rows() -> None:
    frame = pd.DataFrame({"text": ["x" * 45] * 60})
    whole, less = as_html(frame, ROOM), as_html(frame, 2000)
    assert whole is not None and less is not None
    assert len(less.encode()) <= 2000 < len(whole.encode())
    assert "60 rows" in less
    assert as_html(frame, 100) is None


def test_showing_leaves_pandas_as_it_was() -> None:
    before = pd.describe_option("display", _print_desc=False)
    as_html(pd.DataFrame({"a": range(100)}), 500)
    as_text(Raises(ValueError()), ROOM)
    assert pd.describe_option("display", _print_desc=False) == before


def test_nothing_is_imported_for_a_value() -> None:
    program = """
import sys
from backend.sandbox.inside.display import as_html, as_text
before = set(sys.modules)
as_text([1], 10), as_html([1], 10)
print(set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
