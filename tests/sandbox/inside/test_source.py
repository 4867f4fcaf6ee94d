"""A program ends in the same value, and fails at the same place, however its text is cut."""

from __future__ import annotations

import ast
import re
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.sandbox.inside.source import compile_program

TEXTS = {
    "one expression": "1 + 1",
    "nothing": "",
    "a comment": "x = 1\n# x",
    "blank lines at the end": "x = 2\nx\n\n\n",
    "a statement": "x = 1\ny = x",
    "a statement and an expression in one line": "x = 1; x",
    "in a branch, in one line": "if False: x = 1; 2",
    "an other branch in one line": "if True: pass\nelse: x = 1; 2",
    "in a block": "for i in range(3):\n    i",
    "after a block": "for i in range(3):\n    i\ni",
    "over several lines": "x = [\n1,\n2\n]\nx.index(\n2\n)",
    "the last line of a text": "x = '''\n1\n'''\n'''\na'''",
    "within a text": "'''\n1\n2'''",
    "after a backslash": "x = 1\nx + \\\n2",
    "a statement after a backslash": "x = \\\n2",
    "a docstring": "'''what it is'''",
    "a starred tuple": "x = [1]\n*x, 2",
    "an assignment expression": "(x := 3)",
    "a lambda": "f = lambda: 1\nf()",
    "a function": "def f():\n    return 5\nf()",
    "a decorator": "def d(f): return 7\n@d\ndef f(): pass\nf",
    "a future import": "from __future__ import annotations\ndef f(x: Unknown): return 3\nf(1)",
    "line ends of Windows": "x = 1\r\nx + 1\r\n",
    "a byte order mark": "\ufeffx = 4\nx",
    "a form feed": "x = 1\n\fx",
    "a semicolon at the end": "x = 1\nx;",
    "a semicolon in a text": "x = 1\n'a;b'",
    "fails": "def f():\n    return 1 / 0\nx = 1\nf()",
    "fails before": "x = 1\n1 / 0\nx",
    "an expression that is a name unknown": "x = 1\n\n\nunknown",
}
WRONG = (
    "x = (1\n2",
    "x =\n1",
    "if x:\n1",
    "1 +\n2 +",
    "yield 1",
    "x = 1\nreturn x",
    "def f(\n1",
    "x = 1\nx\u00a0",
)


def in_one_piece(text: str) -> tuple[object, str]:
    """As the interpreter would do it, from the syntax tree."""
    names: dict[str, Any] = {}
    tree: Any = compile(text.removeprefix("\ufeff"), "m.py", "exec", ast.PyCF_ONLY_AST)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        target = ast.Name(id="<value>", ctx=ast.Store())
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
        ast.fix_missing_locations(tree)
    try:
        exec(compile(tree, "m.py", "exec"), names)
    except Exception as error:
        return None, place_of(error)
    return names.get("<value>"), ""


def in_two(text: str) -> tuple[object, str]:
    names: dict[str, Any] = {}
    code, expression = compile_program(text, "m.py")
    try:
        exec(code, names)
        return None if expression is None else eval(expression, names), ""
    except Exception as error:
        return None, place_of(error)


def shown(outcome: tuple[object, str]) -> str:
    return re.sub(r" at 0x\w+", "", repr(outcome))


def place_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return repr([(f.name, f.lineno, f.end_lineno, f.colno, f.end_colno) for f in frames])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_value_and_the_place_of_a_failure_are_those_of_the_whole(text: str) -> None:
    assert shown(in_two(text)) == shown(in_one_piece(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_compiled_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(SyntaxError) as whole:
        compile(text, "m.py", "exec")
    with pytest.raises(SyntaxError) as cut:
        compile_program(text, "m.py")
    assert (cut.value.msg, cut.value.lineno) == (whole.value.msg, whole.value.lineno)


LINES = st.sampled_from(
    ["x = 1", "x", "(", ")", "'''", '"', "if x:", "else:", "    x", "x; x", "\\", "# x", "x = (",
     "x + \\", "def f(): x", "@f", "[x", "for x in []: x; x", "lambda: x", "\f", "", "*x, x", "\u00a0", "\x0b"]
)  # fmt: skip


@given(st.lists(LINES, min_size=1, max_size=6).map("\n".join))
def test_any_text_is_what_it_is_as_a_whole(text: str) -> None:
    try:
        expected = in_one_piece(text)
    except SyntaxError:
        with pytest.raises(SyntaxError):
            compile_program(text, "m.py")
    else:
        assert shown(in_two(text)) == shown(expected)
