"""What should be known of a program before it runs: the rule behind approval mode ``risky``.

Risky is what deletes, moves or overwrites files, writes outside its folder, starts other programs
(Bash always does), makes code it then runs, or uses the network where programs have one. It is
advice to a person, by names and literal paths; what a program may do at all, the kernel decides.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator
from typing import Final

from backend.foreign_code import parse
from backend.sandbox.policy.bans import words
from backend.sandbox.policy.paths import is_there
from backend.sandbox.policy.walk import Program
from backend.types import Language

_MOST: Final = 8
"""Reasons that are told of one program."""

_DELETING = words("os.remove os.unlink os.rmdir os.removedirs shutil.rmtree send2trash.send2trash")
_DELETING_METHODS = words("unlink rmdir")
_MOVING = words("os.rename os.renames os.replace os.truncate shutil.move")
_STARTING = re.compile(
    r"(?:subprocess|pty|pexpect|sh)\..+|multiprocessing\.(?:\w+\.)*(?:Process|Pool)"
    r"|os\.(?:system|popen|fork\w*|exec\w+|spawn\w+|posix_spawn\w*)"
    r"|asyncio\.(?:subprocess\.)?create_subprocess_\w+"
    r"|concurrent\.futures\.(?:\w+\.)?ProcessPoolExecutor|joblib\.Parallel"
)
_MAKING_CODE = re.compile(
    r"(?:builtins\.)?(?:eval|exec|compile|__import__)|importlib\.import_module|runpy\..+"
    r"|ctypes\..+|cffi\..+|(?:pickle|marshal|dill|joblib|cloudpickle)\.loads?"
)
_CONNECTING = words(
    "socket ssl http urllib ftplib smtplib poplib imaplib telnetlib xmlrpc requests httpx httpx2 "
    "aiohttp urllib3 websockets websocket paramiko boto3 botocore selenium playwright pycurl grpc"
)
_CONNECTING_MODULES = re.compile(r"urllib\.request\..+|http\.(?:client|server)\..+")
_ADDRESS = re.compile(r"(?:https?|ftps?|s3|gs)://", re.IGNORECASE)
_WRITING = re.compile(
    r"to_(?:csv|json|excel|parquet|feather|pickle|hdf|html|xml|latex|markdown|stata|sql)"
    r"|savefig|write_(?:text|bytes|csv|json|parquet|image|html)|save\w*|imsave|imwrite|dump"
    r"|copy|copy2|copyfile|copytree|symlink_to|hardlink_to|makedirs|mkdir|touch|extractall"
)
_ELSEWHERE = re.compile(r"[/~\\]|\.\.(?:[/\\]|$)|[A-Za-z]:[/\\]")
_HERE = re.compile(r"(?:/mnt/data|/workspace|/tmp|/dev/(?:null|stdout|stderr|shm))(?:/|$)")

_BASH: Final = (
    (r"\b(?:rm|rmdir|shred|unlink)\b|\s-delete\b", "deletes files"),
    (r"\b(?:mv|truncate)\b", "moves or cuts files"),
    (r"\bsed\s+(?:-\w+\s+)*-\w*i", "changes files in place"),
    (r"(?<![<>&\d])>(?![>&])\s*[\"']?(?:/(?!dev/null|tmp/)|~|\.\./)", "writes outside its folder"),
    (r"\b(?:eval|source)\s", "runs commands that it puts together"),
)
_BASH_NETWORK: Final = (
    r"\b(?:curl|wget|ssh|scp|rsync|ftp|nc|git\s+(?:clone|pull|push|fetch)|pip3?\s+install|npm)\b",
    "uses the network",
)

_Rule = Callable[[ast.Call, str], str]


def risks_of(
    code: str,
    language: Language,
    *,
    files: Collection[str] = (),
    allow_network: bool = False,
) -> tuple[str, ...]:
    """What is risky in a program, a sentence each with its line; () where nothing is.

    Args:
        code: the program; nothing of it is run.
        language: what it is written in.
        files: names of its input files.
        allow_network: programs have a network.
    """
    if language == "bash":
        found = _in_bash(code, allow_network)
    else:
        found = _in_python(code, files, allow_network)
    reasons = list(dict.fromkeys(found))
    left = len(reasons) - _MOST
    return tuple(reasons[:_MOST] + ([f"There are {left} more like these."] if left > 0 else []))


def _in_bash(code: str, allow_network: bool) -> Iterator[str]:
    yield "It is a Bash script: each of its commands starts another program."
    rules = (*_BASH, _BASH_NETWORK) if allow_network else _BASH
    for number, line in enumerate(code.split("\n"), start=1):
        if line.lstrip().startswith("#"):
            continue
        for pattern, what in rules:
            if re.search(pattern, line[:20_000]):
                yield f"Line {number} {what}."


def _in_python(code: str, files: Collection[str], allow_network: bool) -> Iterator[str]:
    tree = parse(code)
    if tree is None:
        yield "It cannot be read, so nobody knows what it does."
        return
    program = Program(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: call.lineno):
        path = program.path(call.func)
        what = (
            _does(call, path)
            or _writes(program, call, path, files)
            or (_connects(program, call, path) if allow_network else "")
        )
        if what:
            yield f"Line {call.lineno} {what}."
    if allow_network:
        for imported in program.imports:
            if imported.module.partition(".")[0] in _CONNECTING - {"http", "urllib"}:
                yield f"Line {imported.line} imports {imported.module}, which uses the network."


def _does(call: ast.Call, path: str) -> str:
    """What a call does by its name alone; '' for nothing of note."""
    shown = path or ast.unparse(call.func)[:60]
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if path in _DELETING or method in _DELETING_METHODS:
        return f"deletes files ({shown})"
    if path in _MOVING or (method in {"rename", "replace"} and _is_path(call.func)):
        return f"moves or cuts files ({shown})"
    if _STARTING.fullmatch(path):
        return f"starts other programs ({shown})"
    if _MAKING_CODE.fullmatch(path):
        return f"runs code that cannot be seen here ({shown})"
    return ""


def _is_path(called: ast.expr) -> bool:
    """A method of ``Path(...)`` itself; texts and tables have methods of the same name."""
    inner = called.value if isinstance(called, ast.Attribute) else called
    return isinstance(inner, ast.Call) and getattr(inner.func, "id", "") in {"Path", "PurePath"}


def _writes(program: Program, call: ast.Call, path: str, files: Collection[str]) -> str:
    name = path.rpartition(".")[2] or getattr(call.func, "attr", "")
    if name == "open":
        if not _opens_to_write(call):
            return ""
    elif not _WRITING.fullmatch(name):
        return ""
    for argument in _targets(call):
        target = program.text(argument)
        if target is None:
            continue
        if is_there(target, files):
            return f"overwrites the input file {target!r}"
        if _ELSEWHERE.match(target) and not _HERE.match(target):
            return f"writes outside its folder ({target[:80]!r})"
    return ""


def _targets(call: ast.Call) -> Iterator[ast.expr]:
    """What may be the path that is written to: of ``Path("a").write_text``, the ``Path``."""
    if isinstance(call.func, ast.Attribute) and _is_path(call.func):
        yield call.func.value
    yield from call.args[:2]
    yield from (each.value for each in call.keywords)


def _opens_to_write(call: ast.Call) -> bool:
    at = 0 if isinstance(call.func, ast.Attribute) and _is_path(call.func) else 1
    named = [each.value for each in call.keywords if each.arg == "mode"]
    mode = next(iter([*named, *call.args[at : at + 1]]), None)
    if mode is None:
        return False
    return not isinstance(mode, ast.Constant) or bool(set("wax+") & set(str(mode.value)))


def _connects(program: Program, call: ast.Call, path: str) -> str:
    if _CONNECTING_MODULES.fullmatch(path):
        return f"uses the network ({path})"
    address = next(
        (text for each in call.args[:1] if (text := program.text(each)) and _ADDRESS.match(text)),
        "",
    )
    return f"uses the network ({address[:80]!r})" if address else ""
