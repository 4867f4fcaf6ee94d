"""Text that can be written down, out of what JSON's escapes can make."""

from __future__ import annotations


def whole_letters(text: str) -> str:
    """Surrogate pairs as the letters they stand for, halves of pairs as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
