from __future__ import annotations

import pytest

from backend.llm.tokens import Calibration, estimate_messages, estimate_tokens
from backend.types import Message

COUNTED = {
    # Least: what a large vocabulary makes of it. Most: what a small one may.
    "prose": ("The quick brown fox jumps over the lazy dog.", 10, 13),
    "digits": ("3.14159", 4, 7),
    "code": ("    for index in range(len(rows)):\n", 9, 16),
    "korean": ("안녕하세요 세계", 4, 14),
    "chinese": ("你好,世界", 3, 8),
    "cyrillic": ("Привет, мир", 4, 9),
    "rule": ("-" * 40, 1, 10),
    "indentation": (" " * 16 + "x", 2, 2),
    "nothing": ("", 0, 0),
}


@pytest.mark.parametrize("case", COUNTED.values(), ids=COUNTED)
def test_an_estimate_is_rather_too_high_than_too_low(case: tuple[str, int, int]) -> None:
    text, least, most = case
    assert least <= estimate_tokens(text) <= most


@pytest.mark.parametrize(
    "text", ["word " * 500, "1234567890" * 50, "가나다라 " * 100, "ABCxyz019+/" * 50]
)
def test_no_text_has_more_characters_a_token_than_any_vocabulary_makes(text: str) -> None:
    assert len(text) / 8 < estimate_tokens(text) <= 2 * len(text)


def test_a_conversation_has_what_its_template_adds() -> None:
    one = [Message(role="user", content="word " * 100)]
    assert estimate_messages(one) > estimate_tokens("word " * 100)
    assert estimate_messages(one * 2) > 2 * estimate_tokens("word " * 100)


def test_a_factor_rises_at_once_and_falls_slowly() -> None:
    calibration = Calibration()
    assert calibration.factor("m") == 1
    calibration.learn("m", estimated=1000, told=1500)
    high = calibration.factor("m")
    assert high >= 1.5
    calibration.learn("m", estimated=1000, told=1000)
    assert 1.3 < calibration.factor("m") < high
    assert calibration.factor("another") == 1


def test_a_factor_stays_within_its_bounds() -> None:
    calibration = Calibration()
    calibration.learn("m", estimated=1000, told=90_000)
    assert calibration.factor("m") == 3
    for _ in range(50):
        calibration.learn("m", estimated=1000, told=300)
    assert calibration.factor("m") == 0.5


@pytest.mark.parametrize(("estimated", "told"), [(100, 400), (5000, 12), (5000, 0)])
def test_a_short_prompt_and_a_count_without_the_cached_beginning_teach_nothing(
    estimated: int, told: int
) -> None:
    calibration = Calibration()
    calibration.learn("m", estimated=estimated, told=told)
    assert calibration.factor("m") == 1
