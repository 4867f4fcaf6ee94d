"""A question as it is given on the command line: in words, or on stdin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.cli.options import read_text
from backend.errors import RequestError, TooLarge

if TYPE_CHECKING:
    from backend.config.settings import Settings

_MOST_BYTES_A_CHARACTER = 4


def read_question(given: str, settings: Settings) -> str:
    """The question, from stdin for ``-``, before anything is opened for it.

    Raises:
        RequestError: it is empty or not text.
        TooLarge: it is over ``PYTHON_CODER_MAX_QUESTION``.
    """
    most = settings.max_question_chars
    if given == "-":
        given = read_text("-", most_bytes=most * _MOST_BYTES_A_CHARACTER, what="question")
    question = given.strip()
    if not question:
        raise RequestError("The question is empty.", "Ask something.")
    if len(question) > most:
        raise TooLarge(
            f"The question has {len(question):,} characters, the limit is {most:,}.",
            "Shorten it, or give the data as a file with -f.",
        )
    if "\0" in question or any("\ud800" <= character <= "\udfff" for character in question):
        raise RequestError("The question is not UTF-8 text.", "Write it in UTF-8.")
    return question
