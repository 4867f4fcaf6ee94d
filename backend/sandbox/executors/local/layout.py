"""Our own files for the inside."""

from __future__ import annotations

import marshal
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from types import CodeType

from backend.sandbox import inside
from backend.sandbox.executors.local.fonts import lay_out_fonts
from backend.sandbox.workspace import Workspaces


def lay_out(workspaces: Workspaces) -> None:
    """Put our own files for the inside where they can be bound, compiled."""
    runtime = workspaces.runtime
    runner = runtime / "runner"
    lay_out_fonts(workspaces)
    for place, source, compiled in _our_files():
        copy = runner / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source)
        beside = Path(cache_from_source(copy))
        beside.parent.mkdir(exist_ok=True)
        beside.write_bytes(compiled)
    etc = runtime / "etc"
    etc.mkdir()
    for name, text in {
        "passwd": "nobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
        "group": "nogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }.items():
        (etc / name).write_text(text, encoding="ascii")
    for path in runtime.rglob("*"):
        # Whoever reads them inside is nobody, also where our umask lets nobody read.
        path.chmod(0o755 if path.is_dir() else 0o644)


_UNCHECKED = (0b01).to_bytes(4, "little")
"""Flags of a compiled file that is taken without a look at its source (PEP 552)."""


@cache
def _our_files() -> tuple[tuple[Path, bytes, bytes], ...]:
    """Each file's place, its text, and its code as a ``.pyc``; kept, for compiling takes a while."""
    root = Path(inside.__file__).parents[1]
    found = []
    for path in sorted((root / "inside").rglob("*.py")):
        place, source = path.relative_to(root), path.read_bytes()
        found.append((place, source, _compiled(path, place, source)))
    return tuple(found)


def _compiled(path: Path, place: Path, source: bytes) -> bytes:
    # The loader takes what Python keeps beside the source, where that is good.
    code = SourceFileLoader(path.stem, str(path)).get_code(path.stem)
    assert code is not None, "a module of ours has source"
    head = MAGIC_NUMBER + _UNCHECKED + source_hash(source)
    return head + marshal.dumps(_renamed(code, str(place)))


def _renamed(code: CodeType, name: str) -> CodeType:
    """The code as if it were from a file of this name: where ours are is nothing for programs."""
    consts = (
        _renamed(each, name) if isinstance(each, CodeType) else each for each in code.co_consts
    )
    return code.replace(co_filename=name, co_consts=tuple(consts))
