"""The matrix as a table, and what ``make matrix`` does with it."""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.misbehaviours.agents import SECTIONS as AGENTS
from bench.misbehaviours.case import End, Face, Misbehaviour
from bench.misbehaviours.data import CASES as DATA
from bench.misbehaviours.judging import CASES as JUDGING
from bench.misbehaviours.playing import open_shared, play
from bench.misbehaviours.programs import CASES as PROGRAMS
from bench.misbehaviours.replies import CASES as REPLIES
from bench.misbehaviours.serving import CASES as SERVING

PAGE = Path(__file__).parents[2] / "docs/misbehaviours.md"
SECTIONS = {
    "Replies": REPLIES,
    "The server": SERVING,
    "Data": DATA,
    "Programs": PROGRAMS,
    "Judging and diagnosing": JUDGING,
}
AGENT_CASES: tuple[Misbehaviour, ...] = tuple(case for cases in AGENTS.values() for case in cases)
CASES: tuple[Misbehaviour, ...] = (
    *(case for cases in SECTIONS.values() for case in cases),
    *AGENT_CASES,
)
_HEAD = """\
| the model | through | ends in | calls | runs | mended by |
| --- | --- | --- | --- | --- | --- |"""
_SHOWN = 110


def differences(expected: End, seen: End) -> list[str]:
    """What was seen that was not expected, each in words; [] where all is as it should be."""
    found = [
        f"{name}: expected {getattr(expected, name)!r}, saw {getattr(seen, name)!r}"
        for name in ("outcome", "kind", "calls", "runs", "mended")
        if getattr(expected, name) != getattr(seen, name)
    ]
    if not _says(expected.words, seen.words, whole=expected.outcome == "right result"):
        found.append(f"words: expected {expected.words!r}, saw {seen.words!r}")
    return found


def _says(expected: str, seen: str, *, whole: bool) -> bool:
    pattern = ".*?".join(re.escape(part.strip()) for part in expected.split("..."))
    match = re.fullmatch if whole else re.match
    return match(pattern, seen, re.DOTALL) is not None


def page() -> str:
    """``docs/misbehaviours.md``: what is expected of every case, which the tests hold it to."""
    rights = sum(case.end.outcome == "right result" for case in CASES)
    parts = [
        "# Misbehaviours of local models, and how each ends",
        f"{len(CASES)} scripted misbehaviours of models and of their servers: {rights} end in the "
        f"right result, {len(CASES) - rights} in a clear error. Each is played through the real "
        "client against a scripted Ollama server on a real socket; sandbox, files and store are "
        "real too, and at the end no process, mount, control group or file of a run is left. "
        "*Calls* are questions that reached the server, of those that were allowed "
        "(`PYTHON_CODER_MAX_CALLS`); a plain task takes three (`generate`, `review`, `assess`). "
        "*Runs* are runs of programs in the sandbox. *Mended by*: a **rule** needs no model; a "
        "**re-ask** tells the reason; a **second attempt** asks the same; a **rewrite** comes before "
        "a run, a **repair** after one.",
        "`make matrix` plays them and writes this page; `tests/core/test_misbehaviours.py` holds "
        "every cell to what happens.",
    ]
    parts += [f"## {title}\n\n{_table(cases)}" for title, cases in SECTIONS.items()]
    parts.append(
        f"## Agents\n\n{len(AGENT_CASES)} of them are of agents: {_count(AGENT_CASES, 'react')} of "
        f"ReAct, {_count(AGENT_CASES, 'plan_execute')} of plan-and-execute. None may make one call "
        "more than it is said to make, save where there is a limit to run into: that number is its "
        "budget. A **retry** does a step of a plan once more with the reason, a **new plan** is made "
        "with it."
    )
    parts += [f"### {title} ({len(cases)})\n\n{_table(cases)}" for title, cases in AGENTS.items()]
    return "\n\n".join(parts) + "\n"


def _count(cases: Sequence[Misbehaviour], face: Face) -> int:
    return sum(case.face == face for case in cases)


def _table(cases: Sequence[Misbehaviour]) -> str:
    return "\n".join([_HEAD, *map(_row, cases)])


def _row(case: Misbehaviour) -> str:
    end = case.end
    words = " ".join(end.words.split())
    if len(words) > _SHOWN:
        words = words[:_SHOWN].rpartition(" ")[0].removesuffix(" ...") + " ..."
    shown = words.replace("```", r"\`\`\`").replace("|", "\\|").replace("<", "&lt;")
    kind = f" (`{end.kind}`)" if end.kind else ""
    does = case.does.replace("<", "&lt;")
    return (
        f"| {does} | `{case.face}` | {end.outcome}{kind}: {shown} | {end.calls} of {case.allowed} "
        f"| {end.runs} | {end.mended or '-'} |"
    )


async def main(only: str = "") -> bool:
    """Play all cases, print the table, and write the page if all ended as they should.

    Args:
        only: play those in whose description this stands, and write nothing.

    Returns:
        Whether all ended as they should.
    """
    logging.getLogger("langchain_ollama").setLevel(logging.ERROR)  # the table tells it
    well, played = True, 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        async with open_shared(Path(folder)) as shared:
            agents = {f"Agents: {title}": cases for title, cases in AGENTS.items()}
            for title, cases in (SECTIONS | agents).items():
                print(f"\n{title}\n\n{_HEAD}", flush=True)
                for case in cases:
                    if only not in case.does:
                        continue
                    played += 1
                    wrong = differences(case.end, await play(case, shared))
                    print(_row(case), flush=True)
                    for each in wrong:
                        print(f"    WRONG: {each}", flush=True)
                    well &= not wrong
    print(f"\n{played} misbehaviours in {time.perf_counter() - started:.0f} s")
    if well and not only:
        PAGE.write_text(page(), encoding="utf-8")
    return well
