"""How often the static check stops programs that are benign, and programs that are harmful.

Method: every program of a corpus is checked once. A program counts as stopped when it has an
issue of severity ``error`` or ``security``. Programs that are no Python 3 are counted apart.
A stopped benign program whose imports are not installed here could not have run anyway; they
are counted apart too, because for those the check is right.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.sandbox.policy import blocking, check

BENIGN = ("humaneval", "mbpp", "pandas_numpy_eval", "pot_llm_programs")
GALLERY = "matplotlib_gallery"
HARMFUL = ("redcode_exec_py", "restrictedpython_labelled")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One corpus, or the sum of several."""

    programs: int
    """Programs that are Python 3."""
    no_python: int
    stopped: tuple[str, ...]
    """Ids of the programs that were stopped."""
    could_run: tuple[str, ...]
    """Those of them whose imports are all installed here."""

    @property
    def rate(self) -> float:
        """Stopped programs per program."""
        return len(self.stopped) / max(1, self.programs)


def measure(path: Path) -> Counts:
    """Check every program of one corpus file."""
    no_python, programs = 0, 0
    stopped: list[str] = []
    could_run: list[str] = []
    for name, code in _programs(path):
        against = blocking(check(code))
        if any(issue.kind == "syntax" for issue in against):
            no_python += 1
            continue
        programs += 1
        if against:
            stopped.append(name)
            if _imports_are_installed(code):
                could_run.append(name)
    return Counts(
        programs=programs,
        no_python=no_python,
        stopped=tuple(stopped),
        could_run=tuple(could_run),
    )


def _programs(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["id"], row["code"]


def _imports_are_installed(code: str) -> bool:
    tops = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            tops.add(node.module.partition(".")[0])
    return all(importlib.util.find_spec(top) is not None for top in tops)


def milliseconds_per_100_lines(path: Path) -> float:
    """Median over programs of 80 to 120 lines, best of five each, scaled to 100 lines."""
    taken = []
    for _, code in _programs(path):
        lines = code.count("\n") + 1
        if 80 <= lines <= 120:
            best = min(_seconds(code) for _ in range(5))
            taken.append(best * 1000 * 100 / lines)
    return statistics.median(taken)


def _seconds(code: str) -> float:
    start = time.perf_counter()
    check(code)
    return time.perf_counter() - start


def main(corpora: Path) -> None:
    """Print the counts."""
    print("static check: programs stopped (issue of severity error or security)")
    for name in (*BENIGN, GALLERY, *HARMFUL):
        counts = measure(corpora / f"{name}.jsonl")
        aside = f", {counts.no_python} are no Python 3" if counts.no_python else ""
        line = f"  {name}: {len(counts.stopped)} of {counts.programs} ({counts.rate:.2%}){aside}"
        if name not in HARMFUL:
            line += f"; {len(counts.could_run)} of the stopped ones could run here"
        print(line)
    speed = milliseconds_per_100_lines(corpora / f"{GALLERY}.jsonl")
    print(f"  {speed:.2f} ms per 100 lines (median over the gallery's programs of that size)")
