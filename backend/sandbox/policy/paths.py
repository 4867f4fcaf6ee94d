"""Files that a program reads by name and that are not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Final

from backend.sandbox.policy import tables
from backend.sandbox.policy.bans import words
from backend.sandbox.policy.findings import Edit, Finding, Surroundings, finding, listed, replace
from backend.sandbox.policy.literals import folded
from backend.sandbox.policy.nearest import folded_name, nearest
from backend.sandbox.policy.shapes import mode_of
from backend.sandbox.policy.walk import Program

MAX_LOST: Final = 40
_FILE_NAME: Final = re.compile(r"[^<>|*?\n{}\[\]\"]{0,300}[^<>|*?\n{}\[\]\"/\\ .]\.\w{1,8}")
_WITHIN_REACH: Final = re.compile(r"/+(?:tmp|proc|dev|etc|usr|var|sys|opt|lib)(?:/|$)|~")
"""Absolute places where there may be something all the same."""
_HERE: Final = re.compile(r"^(?:\./|/mnt/data/|/workspace/)")
"""What leads to the working directory; see the executor's walls."""
_UNPACKING = words("extractall extract unpack_archive urlretrieve copytree")
_MOVING = words("rename replace move copy copyfile copy2")
_LOOKING = words("exists isfile is_file access stat getsize glob listdir iterdir scandir rglob")
_TELLING = words("Path PurePath print len str repr format append info warning debug error join")
_KINDS: Final = (words("csv tsv txt dat tab"), words("xlsx xls xlsm"), words("json jsonl ndjson"),
                 words("png jpg jpeg"), words("yaml yml"))  # fmt: skip
"""Extensions that one call reads alike."""


def missing_files(program: Program, around: Surroundings) -> Iterator[Finding]:
    """Literal names of files that are read, are not there, and are not written by the program."""
    if around.files is None:
        return
    files = frozenset(around.files)
    lost = [found for call, name in program.calls if (found := _lost(program, call, name, files))]
    if not lost:
        return
    usage = _Usage(program)
    for call, literal, text in lost[:MAX_LOST]:
        if usage.is_own(text):
            continue
        meant = name_meant(text, files)
        certain = around.foresee and id(call) in program.certain and usage.is_known(text)
        yield finding(
            "missing_file",
            f"There is no file {text!r}.{_help(text, meant, files)}",
            call.lineno,
            severity="error" if certain else "advice",
            mending=None if meant is None else renamed_file(literal, text, meant),
        )


def is_there(path: str, files: Collection[str]) -> bool:
    """Whether a path leads to one of the files in the working directory as it is."""
    return _HERE.sub("", path) in files


def name_meant(path: str, files: Collection[str]) -> str | None:
    """The one file that a wrong path surely means: another folder, case, spacing or extension."""
    names = {name: PurePosixPath(name) for name in files}
    wanted = PurePosixPath(path.replace("\\", "/"))
    for same in (_same_name, _same_folded, _same_stem):
        found = [name for name, known in names.items() if same(wanted, known)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _same_name(wanted: PurePosixPath, known: PurePosixPath) -> bool:
    return wanted.name == known.name


def _same_folded(wanted: PurePosixPath, known: PurePosixPath) -> bool:
    return folded_name(wanted.name) == folded_name(known.name)


def _same_stem(wanted: PurePosixPath, known: PurePosixPath) -> bool:
    ends = wanted.suffix.lower()[1:], known.suffix.lower()[1:]
    alike = any(ends[0] in kind and ends[1] in kind for kind in _KINDS)
    return alike and folded_name(wanted.stem) == folded_name(known.stem)


def renamed_file(literal: ast.expr, old: str, new: str) -> Edit:
    """The literal with another name in it."""
    return replace(literal, repr(new), f"read {new!r} instead of {old!r}")


def _help(text: str, meant: str | None, files: Collection[str]) -> str:
    if meant is not None:
        return f" Read {meant!r}, which lies in the working directory."
    if not files:
        return " There are no input files; make the data in the program, or say what is missing."
    near = nearest(PurePosixPath(text).name, list(files))
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{hint} The files in the working directory are {listed(files)}."


def _lost(
    program: Program, call: ast.Call, name: str, files: Collection[str]
) -> tuple[ast.Call, ast.expr, str] | None:
    """The call, the literal and the path, if it reads a file that is not among `files`."""
    if name not in tables.READING_CALLS or not call.args or not _is_reader(program, call, name):
        return None
    if name == "open" and not _opens_to_read(call):
        return None
    given = call.args[0]
    if isinstance(given, ast.Name) and program.bound.get(given.id) != 1:
        return None
    literal = program.literal(given)
    text = None if literal is None else folded(literal)
    if literal is None or text is None or not _FILE_NAME.fullmatch(text) or "://" in text:
        return None
    if is_there(text, files) or _WITHIN_REACH.match(text):
        return None
    return call, literal, text


def _is_reader(program: Program, call: ast.Call, name: str) -> bool:
    """Whether the call is a known package's, not one of the program's own."""
    path = program.path(call.func)
    if name == "open" and path == "open":
        return "open" not in program.bound
    return path != name and path.partition(".")[0] in tables.READERS


def _opens_to_read(call: ast.Call) -> bool:
    mode = mode_of(call)
    return mode is not None and not any(letter in mode for letter in "wax")


class _Usage:
    """Where else a program speaks of files: what it may have written, or looks for."""

    def __init__(self, program: Program) -> None:
        self._spoken: set[str] = set()
        """Texts that calls other than readers are given."""
        self._endings: set[str] = set()
        """Ends of computed names that are written; an empty one may be anything."""
        self._unpacks = False
        for node in ast.walk(program.tree):
            if isinstance(node, ast.Call):
                self._look(program, node)

    def is_own(self, path: str) -> bool:
        """The program writes it, hands it to something, or asks whether it is there."""
        names = {path, path.removeprefix("./"), PurePosixPath(path).name, PurePosixPath(path).stem}
        return not self._spoken.isdisjoint(names)

    def is_known(self, path: str) -> bool:
        """Nothing that the program writes under a computed name can be this file."""
        return not self._unpacks and not any(path.endswith(end) for end in self._endings)

    def _look(self, program: Program, call: ast.Call) -> None:
        called = call.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        if name in _UNPACKING or (name in _MOVING and call.args):
            self._unpacks = True
        if name in _TELLING:
            return
        is_open = name == "open" and not _opens_to_read(call)
        if name in tables.READING_CALLS and not is_open and _is_reader(program, call, name):
            return
        if isinstance(called, ast.Attribute) and name in (*tables.CHANGING_CALLS, *_LOOKING):
            self._note(program, called.value, writes=False)
        writes = is_open or name in tables.CHANGING_CALLS
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            self._note(program, argument, writes=False)
        if writes and call.args:
            self._note(program, call.args[0], writes=True)

    def _note(self, program: Program, node: ast.expr, *, writes: bool) -> None:
        text = program.text(node)
        if text is not None:
            self._spoken.add(text)
        elif writes:
            self._endings.add(_ending(node))


def _ending(node: ast.expr) -> str:
    """How a computed name ends, where that is plain."""
    last: ast.expr = node
    if isinstance(node, ast.JoinedStr) and node.values:
        last = node.values[-1]
    elif isinstance(node, ast.BinOp):
        last = node.right
    return last.value if isinstance(last, ast.Constant) and isinstance(last.value, str) else ""
