from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.sandbox.executors.local.capture import Capture


def captured(data: bytes, keep: int, chunk: int = 7) -> tuple[str, bool]:
    capture = Capture(keep)
    for start in range(0, len(data), chunk):
        capture.feed(data[start : start + chunk])
    result = capture.finish()
    return result.text, result.truncated


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_what_fits_is_kept_whole(size: int) -> None:
    data = b"0123456789"[:size]
    assert captured(data, 10) == (data.decode(), False)


def test_head_and_tail_are_kept_and_the_rest_is_counted() -> None:
    assert captured(b"a" * 50 + b"b" * 50, 10) == (
        "aaaaa\n[... 90 of 100 bytes left out ...]\nbbbbb",
        True,
    )


def test_no_character_is_cut_in_two() -> None:
    text, truncated = captured("한".encode() * 100, 20)
    assert truncated
    assert text == "한한한\n[... 282 of 300 bytes left out ...]\n한한한"


def test_what_is_no_text_does_no_harm() -> None:
    text, truncated = captured(bytes(range(256)) * 10, 100)
    assert truncated
    assert "\ufffd" in text


@given(st.binary(max_size=300), st.integers(1, 60), st.integers(1, 50))
def test_what_is_kept_and_left_out_is_everything(data: bytes, keep: int, chunk: int) -> None:
    text, truncated = captured(data, keep, chunk)
    assert truncated is (len(data) > keep)
    if not truncated:
        assert text == data.decode("utf-8", "replace")
