"""How often the static check stops programs that are benign, and programs that are harmful.

Method: every program of a corpus is checked once, strictly (`foresee`), with the packages that are
installed here and with no file and no variable beside it. It counts as stopped when it has an issue
of severity ``error`` or ``security``. Programs that are no Python 3 are counted apart. A stopped
benign program is then run in plain CPython, as nobody and in an empty folder: only if it ends with
exit status 0 was the alarm false. What the models of a corpus had been told that there is (sympy's
names) stands before those of their programs that use it, as when they are run.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.sandbox.policy import blocking, check, installed_in, third_party_imports
from backend.types import Issue
from bench.corpora import complete
from bench.plain import run_plain

BENIGN = ("humaneval", "mbpp", "pandas_numpy_eval", "pot_llm_programs")
GALLERY = "matplotlib_gallery"
HARMFUL = ("redcode_exec_py", "restrictedpython_labelled")
_SECONDS = 30
_AT_A_TIME = 2
_SHOWN = 12
INSTALLED = installed_in(path for path in sys.path if path.endswith("site-packages"))


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One corpus, or the sum of several."""

    programs: int
    """Programs that are Python 3."""
    no_python: int
    stopped: Mapping[str, tuple[str, ...]]
    """Ids of the programs that were stopped -> the kinds of issues that did it."""
    could_run: tuple[str, ...]
    """Those of them whose imports are all installed here."""
    false_alarms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Those of them that run in plain CPython."""

    @property
    def rate(self) -> float:
        """Stopped programs per program."""
        return len(self.stopped) / max(1, self.programs)


def strictly(code: str) -> list[Issue]:
    """What the check has to say where it says most."""
    return check(code, files=(), columns={}, installed=INSTALLED, names=(), foresee=True)


def measure(path: Path, *, run: bool = False) -> Counts:
    """Check every program of one corpus file; ``run`` those that were stopped."""
    no_python, programs = 0, 0
    stopped: dict[str, tuple[str, ...]] = {}
    codes: dict[str, str] = {}
    for name, code in _programs(path):
        against = blocking(strictly(code))
        if any(issue.kind == "syntax" for issue in against):
            no_python += 1
            continue
        programs += 1
        if against:
            codes[name] = code
            stopped[name] = tuple(sorted({issue.kind for issue in against}))
    running = asyncio.run(_running(codes)) if run else ()
    return Counts(
        programs=programs,
        no_python=no_python,
        stopped=stopped,
        could_run=tuple(name for name, code in codes.items() if _imports_are_installed(code)),
        false_alarms={name: stopped[name] for name in running},
    )


def _programs(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["id"], complete(row["code"], path.stem)


async def _running(codes: Mapping[str, str]) -> list[str]:
    """Ids of the programs that plain CPython runs to exit status 0."""
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def runs(code: str) -> bool:
        async with slots:
            return await run_plain(code, _SECONDS) is None

    outcomes = await asyncio.gather(*map(runs, codes.values()))
    return [name for name, passed in zip(codes, outcomes, strict=True) if passed]


def _imports_are_installed(code: str) -> bool:
    return all(name in INSTALLED for name in third_party_imports(code))


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
    strictly(code)
    return time.perf_counter() - start


def _line(name: str, counts: Counts, *, benign: bool) -> str:
    aside = f", {counts.no_python} are no Python 3" if counts.no_python else ""
    line = (
        f"  {name}: {len(counts.stopped)} of {counts.programs} stopped ({counts.rate:.2%}){aside}"
    )
    if benign:
        rate = len(counts.false_alarms) / max(1, counts.programs)
        line += f"; {len(counts.could_run)} of them have all their imports"
        line += f"; {len(counts.false_alarms)} run all the same: false alarms {rate:.2%}"
    return line


def _alarms(counts: Counts) -> Iterator[str]:
    kinds = Counter(kind for found in counts.stopped.values() for kind in found)
    wrong = Counter(kind for found in counts.false_alarms.values() for kind in found)
    for kind, number in kinds.most_common():
        yield f"      {kind}: {number}, of them {wrong[kind]} false"
    for name in list(counts.false_alarms)[:_SHOWN]:
        yield f"      false: {name}: {', '.join(counts.false_alarms[name])}"


def main(corpora: Path) -> None:
    """Print the counts."""
    print("static check: programs stopped (issue of severity error or security)")
    false, programs = 0, 0
    for name in (*BENIGN, GALLERY, *HARMFUL):
        benign = name not in HARMFUL
        counts = measure(corpora / f"{name}.jsonl", run=benign)
        print(_line(name, counts, benign=benign))
        if benign:
            print("\n".join(_alarms(counts)))
        if name in BENIGN:
            false += len(counts.false_alarms)
            programs += counts.programs
        if name == BENIGN[-1]:
            print(f"  these together: {false} false alarms in {programs} ({false / programs:.2%})")
    speed = milliseconds_per_100_lines(corpora / f"{GALLERY}.jsonl")
    print(f"  {speed:.2f} ms per 100 lines (median over the gallery's programs of that size)")
