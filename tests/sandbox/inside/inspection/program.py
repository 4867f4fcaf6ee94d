"""Runs the inspection as a plain process, the way the sandbox starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from backend.sandbox import inside

PROGRAM = "from inside.inspection import main; main({room})"
Facts = dict[str, Any]


def look(folder: Path, *names: str, room: int | str = "") -> list[Facts]:
    """The facts of the files in `folder`, within `room` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(room=room), *names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(inside.__file__).parent.parent)},
        capture_output=True,
        check=True,
    )
    entries = json.loads(done.stdout)
    assert len(entries) == len(names)
    return entries  # type: ignore[no-any-return]


def look_at(folder: Path, name: str, content: str | bytes) -> Facts:
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    facts = look(folder, name)[0]
    assert facts["name"] == name
    return facts


def column(facts: Facts, name: object) -> Facts:
    return next(c for c in facts["columns"] if c["name"] == name)  # type: ignore[no-any-return]
