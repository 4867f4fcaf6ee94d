"""Whether a text is a program at all, Python beyond doubt, or only a part of a program."""

from __future__ import annotations

import ast
import re
from typing import Final

from backend.llm.code.names import names_of

_STRONG: Final = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While,
    ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.If, ast.Match,
)  # fmt: skip
_DOES: Final = (
    *_STRONG, ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.Delete, ast.Assert,
    ast.Raise,
)  # fmt: skip
_DISPLAYS: Final = (
    ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant, ast.Name, ast.UnaryOp, ast.JoinedStr,
)  # fmt: skip
_CODE_ARGUMENTS: Final = ("code", "python_code", "script", "source_code", "program")
_CODE_TOOL: Final = re.compile(
    r"^(?:python(?:_\w+)?|(?:run|execute|exec)_(?:python|code)\w*|code_interpreter)$"
)
_FOREIGN_ROOTS: Final = frozenset(
    {"console", "document", "window", "System", "fmt", "std", "puts", "echo", "library", "alert"}
)


def does_something(tree: ast.Module, *, tagged: bool) -> bool:
    """Whether a parsed text is a program: not a word, a value, a comment or a printed result.

    `tagged`: the reply itself says that it is Python, so an expression is enough.
    """
    for node in tree.body:
        if isinstance(node, _DOES) or (isinstance(node, ast.AnnAssign) and node.value is not None):
            return True
        if isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Call | ast.Await):
                if _root(node.value) not in _FOREIGN_ROOTS:
                    return True
            elif tagged and not isinstance(node.value, _DISPLAYS):
                return True
    return False


def argument_that_is_code(tree: ast.Module) -> str | None:
    """The program in ``python(code="...")``: a tool's call written as Python, and nothing else."""
    call: ast.AST | None = tree.body[0] if len(tree.body) == 1 else None
    while isinstance(call, ast.Expr | ast.Await):
        call = call.value
    if isinstance(call, ast.Call) and _root(call) == "print" and len(call.args) == 1:
        call = call.args[0]
    if not isinstance(call, ast.Call):
        return None
    given = {one.arg: one.value for one in call.keywords}
    named = next((given[name] for name in _CODE_ARGUMENTS if name in given), None)
    if named is None and _CODE_TOOL.search(_last_name(call.func)) and len(call.args) == 1:
        named = call.args[0]
    return named.value if isinstance(named, ast.Constant) and isinstance(named.value, str) else None


def _last_name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def is_unmistakable(tree: ast.Module) -> bool:
    """Whether it is Python without anybody saying so: a definition, a block, or import and use."""
    imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    return any(isinstance(node, _STRONG) for node in tree.body) or (imports and len(tree.body) > 1)


def is_calculation(tree: ast.Module) -> bool:
    """Whether it is two assignments or more that lack nothing, and a later one uses an earlier one."""
    if len(tree.body) < 2 or not all(isinstance(node, ast.Assign) for node in tree.body):
        return False
    values = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    used = {n.id for one in values for n in ast.walk(one) if isinstance(n, ast.Name)}
    names = names_of(tree)
    return not names.needs and not used.isdisjoint(names.binds)


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Call | ast.Attribute | ast.Await | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


# --- is it only a part of one? ---------------------------------------------------------------

_DIFF_LINES: Final = re.compile(r"^(?:@@ .*@@|diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_COMMENT: Final = re.compile(
    r"^[ \t]*+(?:#|//|<!--|(?:pass|\.{3})[ \t]*#|(?=\.{3} ?\S))[ \t]*([^\n]{1,200})", re.MULTILINE
)
_LEAD = r"[.\u2026\[(<{*\s-]*(?:(?:keep|insert|include|put|add|all|of|the|your|my) ){0,4}"
_LEFT_OUT = r"(?:rest|remainder|remaining|existing|previous|original)\b"
_PARTS = r"(?:code|program|script|functions?|methods?|class|imports|implementation|logic)\b"
_REST: Final = re.compile(
    rf"{_LEAD}(?:{_LEFT_OUT}|other\b).*"
    r"\b(?:unchanged|omitted|as (?:is|before|above|it was)"
    r"|(?:remains?|stays?|is|are) (?:the )?(?:same|unchanged)(?! \w))\b"
    rf"|{_LEAD}{_LEFT_OUT}.*\b{_PARTS}.*(?:\bhere\b|\bcontinues\b|\.{{3}}|\u2026)"
    rf"|(?:\.{{3}}|\u2026).*\b(?:{_LEFT_OUT}|unchanged\b|same\b|omitted\b|other \w+)"
    rf"|[\[(<{{* ]*(?:the )?(?:rest|remainder) of (?:the |your |my )?(?:\w+ )?(?:file\b|{_PARTS})"
    rf"|(?:[\[(<{{]|--+ ?)(?:your |the )?(?:{_LEFT_OUT}|same\b) (?:\w+ ){{0,2}}{_PARTS}"
    r"|\w+ (?:unchanged|omitted)\s*(?:\.{3}|\u2026)?\s*$"
    r"|everything else (?:is|stays|remains) (?:the same|unchanged|as)\b"
    r"|(?:(?:code|everything|all) )?same as (?:before|above)"
    r"|(?:code|everything|all) as (?:before|above)",
    re.IGNORECASE,
)
_FOREIGN_LINE: Final = re.compile(
    r"^[ \t]*+(?:(?:public|private|protected|static|local|func|function|extends|export|namespace|package"
    r"|fn|let|const|var|val|struct|interface|enum|puts|elsif)[ \t]+[\w\"':]|end[ \t]*$|#include\b|<\?php"
    r"|</?\w+>|.*(?:;|\)[ \t]*\{)[ \t]*$)",
    re.MULTILINE,
)
_HEAD: Final = re.compile(
    r"^[ \t]*+(?:async )?(?:def \w+\(.*\).*|class \w+.*):[ \t]*(?:#.*)?$", re.MULTILINE
)
_OWN_LINE: Final = re.compile(
    r"^[ \t]*+(?:(?:def|class|for|while|if|elif|with|except)\b.*:[ \t]*(?:#.*)?$"
    r"|(?:import|from)[ \t]+[\w.]+|(?:else|try|finally):|print\(.*\)[ \t]*$|@\w)",
    re.MULTILINE,
)


def is_foreign(text: str) -> bool:
    """Whether a text that does not parse is written in another language than Python."""
    if _HEAD.search(text):
        return False
    return len(_FOREIGN_LINE.findall(text)) > len(_OWN_LINE.findall(text))


def looks_like_python(text: str) -> bool:
    """Whether a text that does not parse has lines that only Python has."""
    return _OWN_LINE.search(text) is not None and not is_foreign(text)


def is_fragment(text: str, tree: ast.Module | None) -> bool:
    """Whether it is a diff, or leaves something out ("rest unchanged", a lone ``...``)."""
    if _DIFF_LINES.search(text) or _signed_lines(text):
        return True
    if any(_REST.match(comment[1]) for comment in _COMMENT.finditer(text)):
        return True
    body = tree.body if tree is not None else []
    return len(body) > 1 and any(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is Ellipsis
        for node in body
    )


def _signed_lines(text: str) -> bool:
    """Lines that begin with + and lines that begin with -, and hardly any others."""
    lines = [line for line in text.split("\n") if line.strip()]
    plus = sum(line[0] == "+" for line in lines)
    minus = sum(line[0] == "-" for line in lines)
    return bool(plus and minus) and (plus + minus) * 2 >= len(lines)
