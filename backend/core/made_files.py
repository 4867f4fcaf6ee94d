"""Names of the files that the steps of a request made, so that none hides another."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.core.findings import StepFinding

_FIGURE = re.compile(r"figure_\d+\.\w+")
"""What a figure is called that a program did not name."""
_NUMBERED = re.compile(r"(?P<stem>.*?)(?:_(?P<number>\d+))?(?P<ending>\.[^./]*)?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class _Made:
    step: str
    wave: int
    sha256: str


class MadeFiles:
    """Which step made what, in one request.

    A step that writes a name anew means it. Steps that are done side by side do not know of each
    other, and figures that only have a number are numbered by each program from 1.
    """

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}

    def note(self, findings: Sequence[StepFinding]) -> None:
        """Know what was made before; the newest of a name counts."""
        for finding in reversed(findings):
            for entry in finding["artifacts"]:
                made = _Made(step=finding["step"], wave=0, sha256=entry["sha256"])
                self._made.setdefault(entry["name"], made)

    def keep_apart(self, result: Mapping[str, Any], *, step: str, wave: int) -> dict[str, Any]:
        """A result whose files have names of their own where they need them.

        Args:
            result: of the coder or of a tool; the text of a tool's says it when a name changes.
            step: the step's id.
            wave: the same for steps that are done side by side.
        """
        kept: dict[str, dict[str, Any]] = {}
        changed = []
        for entry in result["artifacts"]:
            made = _Made(step=step, wave=wave, sha256=entry["sha256"])
            name = entry["name"]
            if name in kept or self._hides(name, made):
                name = self._free(name, kept)
                changed.append(f"({entry['name']} is kept as {name})")
            kept[name] = {**entry, "name": name}
            self._made[name] = made
        whole = {**result, "artifacts": list(kept.values())}
        if changed and "text" in result:
            whole["text"] = "\n".join([result["text"], *changed])
        return whole

    def _hides(self, name: str, made: _Made) -> bool:
        before = self._made.get(name)
        if before is None or before.step == made.step or before.sha256 == made.sha256:
            return False
        return before.wave == made.wave or _FIGURE.fullmatch(name) is not None

    def _free(self, name: str, kept: Collection[str]) -> str:
        parts = _NUMBERED.fullmatch(name)
        assert parts is not None
        number = int(parts["number"] or 1)
        while name in kept or name in self._made:
            number += 1
            name = f"{parts['stem']}_{number}{parts['ending'] or ''}"
        return name
