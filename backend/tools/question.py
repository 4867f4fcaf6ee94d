"""What a question must be, whichever face it comes through."""

from __future__ import annotations

from backend.config.settings import Settings
from backend.errors import RequestError, TooLarge


def require_question(query: str, settings: Settings) -> str:
    """The question without white space around it.

    Raises:
        RequestError: nothing is left.
        TooLarge: it is over ``PYTHON_CODER_MAX_QUESTION``.
    """
    question = query.strip()
    if not question:
        raise RequestError("The question is empty.", "Ask something.", param="messages")
    if len(question) > settings.max_question_chars:
        raise TooLarge(
            f"The question has {len(question):,} characters, the limit is "
            f"{settings.max_question_chars:,}.",
            "Shorten it, or give the data as a file.",
            param="messages",
        )
    return question
