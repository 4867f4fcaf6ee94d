"""Mendings that follow from how a program failed, where the failure names the very thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from backend.sandbox.fixes import reading
from backend.sandbox.policy.columns import asked_literals
from backend.sandbox.policy.findings import Finding, Mending, replace
from backend.sandbox.policy.known import KnownFiles
from backend.sandbox.policy.nearest import slip_of
from backend.sandbox.policy.paths import name_meant, renamed_file
from backend.sandbox.policy.walk import Program
from backend.sandbox.policy.wellknown import OF_DATETIME
from backend.types import Failure

_QUOTED = re.compile(r"'((?:[^'\\\n]|\\.){1,300})'|`([^`\n]{1,300})`|\"([^\"\n]{1,300})\"")
_NO_SUCH_FILE = re.compile(r"No such file or directory: ['\"](.{1,500}?)['\"]")
_NO_FOLDER = re.compile(r"non-existent directory: ['\"](.{1,300}?)['\"]")
_MODULE_ATTRIBUTE = re.compile(r"module '(\w+)' has no attribute '(\w+)'")
_NUMPY_GONE: Final = {
    "float": "float", "int": "int", "bool": "bool", "object": "object", "str": "str",
    "complex": "complex", "float_": "np.float64", "NaN": "np.nan", "Inf": "np.inf",
    "product": "np.prod", "cumproduct": "np.cumprod", "alltrue": "np.all", "sometrue": "np.any",
}  # fmt: skip
"""What numpy had once, and what it was another name for."""


class Failed:
    """A failed program with what is known around it."""

    def __init__(
        self, program: Program, failure: Failure, known: KnownFiles, findings: list[Finding]
    ) -> None:
        self.program = program
        self.failure = failure
        self.known = known
        self.findings = findings
        self.lines = {frame.line for frame in failure.frames}
        self.nodes = list(ast.walk(program.tree))

    def found(self, *kinds: str) -> Iterator[Finding]:
        """What the static check finds of these kinds and can mend."""
        return (each for each in self.findings if each.issue.kind in kinds and each.mending)

    def is_failing(self, node: ast.expr) -> bool:
        """Whether a node stands in a line in which the program failed."""
        end = node.end_lineno or node.lineno
        return any(node.lineno <= line <= end for line in self.lines)


def mendings_of(failed: Failed) -> list[Mending]:
    """What mends the failure; nothing where it is not certain."""
    kind = failed.failure.type.rpartition(".")[2]
    look = _BY_TYPE.get(kind)
    return [] if look is None else list(look(failed))


def _undefined(failed: Failed) -> Iterator[Mending]:
    quoted = _first_quoted(failed.failure.message)
    for each in failed.found("undefined_name"):
        if quoted is not None and each.issue.message.startswith(f"{quoted!r} ") and each.mending:
            yield each.mending


def _import(failed: Failed) -> Iterator[Mending]:
    names = _all_quoted(failed.failure.message)
    if failed.failure.message.startswith("Cannot load backend"):
        yield from (each.mending for each in failed.found("display") if each.mending)
    for each in failed.found("unknown_import", "missing_package"):
        if each.mending and any(name in each.issue.message for name in names):
            yield each.mending


def _file(failed: Failed) -> Iterator[Mending]:
    message = failed.failure.message
    if (folder := _NO_FOLDER.search(message)) is not None:
        yield from reading.new_folder(failed.program, folder[1])
        return
    lost = _NO_SUCH_FILE.search(message)
    if lost is None:
        return
    path = lost[1].encode().decode("unicode_escape") if "\\" in lost[1] else lost[1]
    if (meant := name_meant(path, failed.known.files)) is None:
        if reading.writes_at(failed.program, failed.lines) and "/" in path:
            yield from reading.new_folder(failed.program, path.rpartition("/")[0])
        return
    others = reading.not_read(failed.nodes)
    for node in failed.nodes:
        if not isinstance(node, ast.expr) or id(node) in others:
            continue
        if reading.literal_path(node, failed.program) == path:
            yield renamed_file(node, path, meant)


def _column(failed: Failed) -> Iterator[Mending]:
    program, known = failed.program, failed.known
    wrong = _all_quoted(failed.failure.message)
    read = reading.files_read(program, known)
    columns = {name for file in read for name in known.columns.get(file, ())}
    if any(name in columns for name in wrong):
        yield from reading.given_delimiter(program, known)
        return
    literals = {
        id(literal): literal for node in failed.nodes for _, literal in asked_literals(node)
    }
    for node in failed.nodes:
        if isinstance(node, ast.Constant) and failed.is_failing(node):
            literals.setdefault(id(node), node)
    for name in wrong:
        slip = slip_of(name, columns)
        if slip is None or _is_made(failed, name):
            continue
        for literal in literals.values():
            if literal.value == name:
                yield replace(literal, repr(slip), f"used the column {slip!r} instead of {name!r}")


def _is_made(failed: Failed, column: str) -> bool:
    """The program itself gives something that name."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and any(
            isinstance(part, ast.Constant) and part.value == column for part in ast.walk(node.slice)
        )
        for node in failed.nodes
    )


def _encoding(failed: Failed) -> Iterator[Mending]:
    yield from reading.given_encoding(failed.program, failed.known)


def _tokens(failed: Failed) -> Iterator[Mending]:
    yield from reading.given_delimiter(failed.program, failed.known)


def _attribute(failed: Failed) -> Iterator[Mending]:
    message = failed.failure.message
    found = _MODULE_ATTRIBUTE.search(message)
    attributes = [node for node in failed.nodes if isinstance(node, ast.Attribute)]
    if found is not None and found[1] == "numpy" and found[2] in _NUMPY_GONE:
        yield from _numpy_gone(failed, found[2])
    elif found is not None and found[1] == "datetime":
        for node in attributes:
            if failed.program.path(node) == f"datetime.{found[2]}" and found[2] in OF_DATETIME:
                text = f"{ast.unparse(node.value)}.datetime.{node.attr}"
                yield replace(node, text, f"used `{text}` instead of `{ast.unparse(node)}`")
    elif "'datetime.datetime' has no attribute 'datetime'" in message:
        for node in attributes:
            if (
                node.attr == "datetime"
                and failed.program.path(node) == "datetime.datetime.datetime"
            ):
                yield replace(
                    node, ast.unparse(node.value), "used `datetime`, which is the class already"
                )


def _numpy_gone(failed: Failed, name: str) -> Iterator[Mending]:
    new = _NUMPY_GONE[name]
    if new in failed.program.bound:
        return  # the program means something else by it
    for node in failed.nodes:
        if isinstance(node, ast.Attribute) and failed.program.path(node) == f"numpy.{name}":
            root = ast.unparse(node.value)
            text = new.replace("np.", f"{root}.")
            yield replace(node, text, f"used `{text}` instead of `{root}.{name}`")


def _first_quoted(text: str) -> str | None:
    return next(iter(_all_quoted(text)), None)


def _all_quoted(text: str) -> list[str]:
    return [a or b or c for a, b, c in _QUOTED.findall(text[:2000])]


_BY_TYPE: Final[dict[str, Callable[[Failed], Iterator[Mending]]]] = {
    "NameError": _undefined,
    "ImportError": _import,
    "ModuleNotFoundError": _import,
    "FileNotFoundError": _file,
    "OSError": _file,
    "KeyError": _column,
    "ValueError": _column,
    "UnicodeDecodeError": _encoding,
    "ParserError": _tokens,
    "AttributeError": _attribute,
}
