"""Our own files for the inside."""

from __future__ import annotations

import py_compile
import shutil
from pathlib import Path

from backend.sandbox import inside
from backend.sandbox.executors.local.fonts import lay_out_fonts
from backend.sandbox.workspace import Workspaces


def lay_out(workspaces: Workspaces) -> None:
    """Put our own files for the inside where they can be bound, compiled."""
    runtime = workspaces.runtime
    runner = runtime / "runner"
    lay_out_fonts(workspaces)
    ours = Path(inside.__file__).parent
    for source in sorted(ours.rglob("*.py")):
        place = source.relative_to(ours.parent)
        copy = runner / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        py_compile.compile(
            str(copy),
            dfile=str(place),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
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
