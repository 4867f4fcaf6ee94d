"""The stage ``tests``: the model writes pytest functions for a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backend.foreign_code import parse
from backend.llm.asking import Asked, Unreadable, ask
from backend.llm.models import LanguageModel
from backend.llm.replies import extract_code
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.coder.proof.judging import Mistake
from backend.tools.coder.proof.texts_of_tests import (
    SuiteText,
    asserts_nothing,
    test_names,
    without,
    without_copies,
)

_CODE_CHARS: Final = 12_000


async def write_tests(
    model: LanguageModel,
    *,
    request: str,
    code: str,
    outputs: str = "",
    constraints: str = "",
    files: str = "",
    tests: Sequence[SuiteText] = (),
    mistakes: Sequence[Mistake] = (),
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> Asked[str]:
    """Ask for tests: the text of a pytest module, or None with the reason.

    Args:
        model: whom to ask.
        request: what the program is for.
        code: the program.
        outputs: what is declared, ``OutputSpec.describe()``.
        constraints: what must hold, ``Constraints.describe()``.
        files: facts of the input files.
        tests: those there are; only the caller's are shown.
        mistakes: tests of the model's that were wrong, to be written anew.
        temperature: None for the setting.
        max_tokens: None for the setting.

    Raises:
        ModelError, ModelUnavailable: the model could not be asked at all.
    """
    own = "\n\n".join(text["source"] for text in tests if text["by"] == "caller")
    values = {
        "request": request,
        "code": shorten(code, _CODE_CHARS),
        "outputs": outputs,
        "constraints": constraints,
        "files": files,
        "tests": shorten(own, OBSERVATION_CHARS),
        "mistakes": "\n".join(f"- {each.function or 'all'}: {each.why}" for each in mistakes),
    }
    return await ask(
        model,
        "tests",
        values,
        lambda reply: read_tests(reply, code),
        temperature=temperature,
        max_tokens=max_tokens,
    )


def read_tests(reply: str, code: str) -> str:
    """The pytest module of a reply, without copies of the program and tests that cannot fail.

    Raises:
        Unreadable: there is none.
    """
    text = extract_code(reply)
    if text is None or parse(text) is None:
        raise Unreadable("it holds no Python that can be parsed in a ```python block")
    if not test_names(text):
        raise Unreadable("it holds no function whose name begins with test_")
    text = without_copies(text, code)
    text = without(text, asserts_nothing(text)) if asserts_nothing(text) else text
    if not text:
        raise Unreadable("its tests assert nothing")
    return text
