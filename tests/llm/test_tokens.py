from __future__ import annotations

import pytest

from backend.llm.tokens import Calibration, estimate_messages
from backend.prompts.tokens import estimate_tokens
from backend.types import Message


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
