from __future__ import annotations

import pytest

from backend.prompts.tokens import estimate_tokens

COUNTED = {
    # Least: what a large vocabulary makes of it. Most: what a small one may.
    "prose": ("The quick brown fox jumps over the lazy dog.", 10, 13),
    "digits": ("3.14159", 4, 7),
    "code": ("    for index in range(len(rows)):\n", 9, 16),
    "constants": ("TOTAL_SALES", 3, 6),
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


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("one two", 2),
        ("internationalisation", 4),
        ("12345", 5),
        ("\uc774\ub984", 2),
        ("a\n  b", 4),
        ("a\n\n\nb\n", 5),
        ("[1, 2]", 5),
    ],
)
def test_tokens_are_counted_as_the_rule_says(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
