"""Source that is a trap for whoever reads it: the check, the server, the sandbox's compiler."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.sandbox.policy import check as static_check
from tests.sandbox.escape.people import Person

MEGABYTE = 1 << 20
NESTED = 20_000

SOURCES: dict[str, Callable[[], str]] = {
    "nested brackets": lambda: "(" * NESTED + ")" * NESTED,
    "nested lists that are too deep for a parser": lambda: "[" * 150 + "1" + "]" * 150,
    "nested calls": lambda: "f(" * NESTED + ")" * NESTED,
    "nested functions": lambda: "\n".join(" " * n + f"def f{n}():" for n in range(95)) + " pass",
    "nested f-strings": lambda: "f'{" * 400 + "1" + "}'" * 400,
    "nested unary": lambda: "-" * NESTED + "1",
    "nested not": lambda: "not " * NESTED + "1",
    "nested attributes": lambda: "a" + ".b" * NESTED,
    "nested subscripts": lambda: "a" + "[0]" * NESTED,
    "nested additions": lambda: "+".join("1" * NESTED),
    "nested lambdas": lambda: "lambda: " * 3_000 + "1",
    "nested conditions": lambda: "1 if 1 else " * 3_000 + "1",
    "many elifs": lambda: "if 0: pass\n" + "elif 0: pass\n" * 5_000,
    "many decorators": lambda: "@f\n" * NESTED + "def g(): pass",
    "many names": lambda: "\n".join(f"a{n} = {n}" for n in range(15_000)),
    "a huge number": lambda: "x = " + "9" * 200_000,
    "a huge text": lambda: "x = '" + "a" * 200_000 + "'",
    "a huge power": lambda: "x = 9 ** 9 ** 9 ** 9",
    "a huge shift": lambda: "x = 1 << (1 << 40)",
    "a huge repetition": lambda: "x = 'a' * 10 ** 12\ny = (0,) * 10 ** 12",
    "ten megabytes": lambda: "x = 1\n" * (10 * MEGABYTE // 6),
    "ten megabytes in a line": lambda: "x = [" + "1," * (5 * MEGABYTE) + "]",
    "ten megabytes of a comment": lambda: "#" + "x" * (10 * MEGABYTE),
    "null bytes": lambda: "print(1)\0\nprint(2)",
    "only null bytes": lambda: "\0" * 1000,
    "surrogates": lambda: "x = '\ud800'",
    "surrogates as a name": lambda: "\ud800 = 1",
    "an odd encoding": lambda: "# -*- coding: utf-7 -*-\n+AGkAbQBwAG8AcgB0 os",
    "an encoding that does not exist": lambda: "# coding: no-such-thing\nprint(1)",
    "an encoding that is no text": lambda: "# coding: hex\n7072696e74",
    "a byte order mark": lambda: "\ufeffprint(1)",
    "other letters that are the same": lambda: "ｉｍｐｏｒｔ ｏｓ\n𝓸𝓼.𝓼𝔂𝓼𝓽𝓮𝓶('true')",  # noqa: RUF001
    "letters that turn the line around": lambda: "x = 1 # \u202e \u2066 print('x')",
    "form feeds and odd line ends": lambda: "x = 1\fy = 2\rz = 3\r\nw = 4\x0b",
    "tabs and blanks": lambda: "if 1:\n\tx = 1\n        y = 2",
    "no end of line": lambda: "if 1:\\",
    "no end of text": lambda: "x = '''" + "a" * 1000,
    "nothing": lambda: "",
    "blanks": lambda: " " * 100_000,
    "line ends": lambda: "\n" * 250_000,
    "semicolons": lambda: "1;" * 100_000,
    "a pattern of many cases": lambda: (
        "match x:\n" + "".join(f" case {{'a': [{n}, *_]}} if {n}: pass\n" for n in range(3_000))
    ),
    "a warning in every line": lambda: "'\\d' is 1\n" * 5_000,
    "a circle of names": lambda: "a = b\nb = c\nc = a\na.system()",
    "a bomb of names": lambda: "\n".join(f"a{n + 1} = (a{n}, a{n})" for n in range(200)),
    "comprehensions in comprehensions": lambda: "[" * 80 + "x" + " for x in y]" * 80,
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_check_answers(name: str) -> None:
    for issue in static_check(SOURCES[name]()):
        assert issue.message.isprintable() or "\n" in issue.message
        assert len(issue.message) < 1000


@pytest.mark.sandbox
@pytest.mark.parametrize("name", SOURCES)
def test_the_server_and_the_sandbox_answer(person: Person, name: str, check: bool) -> None:
    answer = person.run(SOURCES[name](), check=check, timeout_s=2, memory_mb=256)
    if answer.error:
        assert answer.error.startswith(("RequestError", "TooLarge")), answer.error
    elif not answer.issues:
        assert answer.returncode is not None
        assert len(answer.stderr) < 600_000


@pytest.mark.sandbox
def test_the_server_is_well_after_all_of_it(person: Person) -> None:
    assert person.run("print(1)", check=True).stdout == "1\n"


ATOMS = st.sampled_from(
    """import os sys . ( ) [ ] { } : ; , = == ** * @ -> def class lambda if else for in while try
    except finally with as return yield await async global nonlocal del raise not and or is None
    match case _ f' " ''' # \\ __import__ getattr eval exec open 0x 1e9 1j 'a' b'' r'\\d' ... := ~""".split()
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.lists(ATOMS, max_size=40).map(" ".join))
def test_any_text_is_answered(code: str) -> None:
    for issue in static_check(code):
        assert issue.line is None or 1 <= issue.line <= code.count("\n") + code.count("\r") + 2


@settings(max_examples=100, deadline=None)
@given(st.lists(ATOMS, max_size=12).map(" ".join))
def test_what_is_no_python_is_never_let_through(code: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning is no error where programs run
            ast.parse(code)
    except (SyntaxError, ValueError):
        assert any(issue.severity != "advice" for issue in static_check(code))
