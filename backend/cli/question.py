"""A question as it is given on the command line: in words, or on stdin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.cli.options import read_text
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings

_MAX_BYTES_A_CHARACTER = 4


def read_question(given: str, settings: Settings) -> str:
    """The question, from stdin for ``-``, before anything is opened for it.

    Raises:
        RequestError: it is empty or not text.
        TooLarge: it is over ``PYTHON_CODER_MAX_QUESTION``.
    """
    from backend.tools.question import require_question

    if given == "-":
        most = settings.max_question_chars * _MAX_BYTES_A_CHARACTER
        given = read_text("-", max_bytes=most, what="question")
    question = require_question(given, settings)
    if "\0" in question or any("\ud800" <= character <= "\udfff" for character in question):
        raise RequestError("The question is not UTF-8 text.", "Write it in UTF-8.")
    return question
