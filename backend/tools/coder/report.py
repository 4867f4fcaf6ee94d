"""What a result has to tell, section by section, before it is written in some format.

A result is the dict of ``execute_code_task``, or the document of an agent's answer: its words under
``answer`` or ``text``, its uses of the coder under ``python_coder_results``. Keys that are missing
are passed over.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

from backend.tools.coder.blocks import Block, FileLink, Line, Prose, Table, Title, Verbatim

Section = Literal[
    "answer",  # the words or the output, and what went wrong
    "code",  # the programs
    "files",  # what they made
    "steps",  # what the agent did
    "history",  # rewrites, and runs with their diagnoses
    "verification",  # what the check and the review said
    "timings",
    "usage",
    "isolation",
]
Result = Mapping[str, Any]
_FIRST_ROWS = 3
_CELL_CHARS = 300


def report(result: Result, sections: Collection[Section]) -> Iterator[Block]:
    """The blocks of the sections that are wanted, in the order of ``Section``."""
    for section, tell in _TELLERS.items():
        if section in sections:
            yield from tell(result)


def uses_of(result: Result) -> list[Result]:
    """The uses of the coder: of an answer those it made, of a task itself."""
    uses = result.get("python_coder_results")
    return [result] if uses is None else list(uses)


def words_of_answer(result: Result) -> str | None:
    """An agent's own words; None of a task, which has an output instead."""
    words = result.get("answer", result.get("text"))
    return None if words is None else str(words)


def _answer(result: Result) -> Iterator[Block]:
    words = words_of_answer(result)
    if words is not None:
        yield Prose(text=words)
        return
    yield from _printed(result)
    if result.get("error"):
        yield Title(text="Error")
        yield Verbatim(text=str(result["error"]))
    for note in result.get("notes") or ():
        yield Line(text=str(note))


def _printed(result: Result) -> Iterator[Block]:
    output, value = result.get("output"), result.get("value")
    if output:
        yield Title(text="Output")
        yield Verbatim(text=str(output))
    if value is not None:
        yield Title(text="Value")
        yield Verbatim(text=str(value))
    if outputs := result.get("outputs"):
        yield Title(text="Outputs")
        yield Table(rows=[["name", "value"], *([name, _shown(outputs[name])] for name in outputs)])


def _shown(output: Any) -> str:
    """A declared output in a line: JSON; of a table, how large it is and how it begins."""
    if isinstance(output, Mapping) and {"columns", "index", "data"} <= output.keys():
        rows = len(output["data"])
        return f"{rows} row{'' if rows == 1 else 's'} of {_json(output['columns'])}: " + _json(
            output["data"][:_FIRST_ROWS], more=rows > _FIRST_ROWS
        )
    return _json(output)


def _json(value: Any, *, more: bool = False) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"{text[:_CELL_CHARS]}…" if len(text) > _CELL_CHARS or more else text


def _code(result: Result) -> Iterator[Block]:
    uses = [use for use in uses_of(result) if use.get("code")]
    for number, use in enumerate(uses, 1):
        yield Title(text=f"Program {number}" if len(uses) > 1 else "Program")
        yield Verbatim(text=str(use["code"]), language=str(use.get("language") or "python"))
        if words_of_answer(result) is not None:
            yield from _printed(use)


def _files(result: Result) -> Iterator[Block]:
    made = {entry["name"]: entry for entry in result.get("artifacts") or ()}
    if made:
        yield Title(text="Files")
    kept = {
        entry.get("sha256"): entry.get("path")
        for use in uses_of(result)
        for entry in use.get("artifacts") or ()
    }
    for name, entry in made.items():
        target = entry.get("url") or entry.get("path") or kept.get(entry.get("sha256")) or name
        is_picture = str(entry.get("media_type", "")).startswith("image/")
        yield FileLink(name=str(name), target=str(target), is_picture=is_picture)


def _steps(result: Result) -> Iterator[Block]:
    steps = result.get("steps") or ()
    if steps:
        yield Title(text="Steps")
    for number, step in enumerate(steps, 1):
        said = {key: value for key, value in step.items() if value not in (None, "", [])}
        seen = said.pop("observation", "")
        yield Line(text=f"Step {number}: " + "; ".join(f"{key} {said[key]}" for key in said))
        if seen:
            yield Verbatim(text=str(seen))


def _history(result: Result) -> Iterator[Block]:
    for number, use in enumerate(uses_of(result), 1):
        changes, attempts = use.get("modifications") or (), use.get("attempts") or ()
        if changes or attempts:
            yield Title(
                text=f"History of program {number}"
                if words_of_answer(result) is not None
                else "History"
            )
        for change in changes:
            issues = "; ".join(map(str, change.get("issues", ())))
            yield Line(
                text=f"Rewrite to version {change.get('iteration')} by {change.get('by')}: "
                f"{change.get('change')} (because of: {issues})"
            )
        former = ""
        for place, attempt in enumerate(attempts, 1):
            yield Line(text=f"Run {place}: {_outcome(attempt)}")
            yield from _diagnosis(attempt.get("diagnosis"))
            if former and (difference := _difference(former, attempt["code"])):
                yield Verbatim(text=difference, language="diff")
            former = attempt["code"]
        if made := use.get("improvement"):
            yield Line(text=improvement_line(made))


def improvement_line(made: Result) -> str:
    """What the new program is, held against the given one."""
    after = made.get("after_s")
    same = {True: "it prints the same", False: "it prints something else"}.get(made["same_output"])
    told = [
        f"before {made['before_s']:.3g} s",
        "now it fails" if after is None else f"now {after:.3g} s",
        *([same] if same else []),
    ]
    return f"Improvement ({made['focus']}): {', '.join(told)}"


def _outcome(attempt: Result) -> str:
    seconds = f"{attempt.get('duration_s') or 0.0:.2f} s"
    if attempt.get("stopped_by"):
        return f"stopped by the {attempt['stopped_by']} limit after {seconds}"
    if attempt.get("error"):
        return f"failed after {seconds}: {attempt['error']}"
    return f"ran in {seconds}"


def _diagnosis(diagnosis: Any) -> Iterator[Block]:
    if isinstance(diagnosis, Mapping):
        for key in ("kind", "root_cause", "strategy"):
            if diagnosis.get(key):
                yield Line(text=f"{key.replace('_', ' ').capitalize()}: {diagnosis[key]}")
    elif diagnosis:
        yield Verbatim(text=str(diagnosis))


def _difference(former: str, code: str) -> str:
    lines = difflib.unified_diff(
        former.splitlines(), code.splitlines(), "former", "this", lineterm="", n=1
    )
    return "\n".join(lines)


def _verification(result: Result) -> Iterator[Block]:
    for number, use in enumerate(uses_of(result), 1):
        which = f" of program {number}" if words_of_answer(result) is not None else ""
        yield from _checks(use, which)
        yield from _tests(use.get("test_report"), which)


def _checks(use: Result, which: str) -> Iterator[Block]:
    checks = use.get("verification_history") or ()
    if checks:
        yield Title(text=f"Checks{which}")
        rows = [["version", "verdict", "findings"]]
        for entry in checks:
            found = "; ".join(str(issue.get("message", issue)) for issue in entry["issues"])
            rows.append(
                [str(entry["iteration"]), str(entry["action"]), found or entry.get("note") or "-"]
            )
        yield Table(rows=rows)
        judged = use.get("assessment") or {}
        if judged.get("reason"):
            yield Line(text=f"Judgement of the output: {judged['reason']}")


def _tests(told: Result | None, which: str) -> Iterator[Block]:
    if not told:
        return
    yield Title(text=f"Tests{which}")
    rows = [
        [str(case["name"] or "-"), str(case["by"]), str(case["outcome"]), str(case["message"])]
        for case in told["cases"]
    ]
    if rows:
        yield Table(rows=[["test", "by", "outcome", "message"], *rows])
    stopped = f"They were stopped by the {told['stopped_by']} limit." if told["stopped_by"] else ""
    for said in (told["program_error"], stopped, told["trouble"]):
        if said:
            yield Line(text=said)


_PARTS = ("generation_s", "verification_s", "execution_s", "improvement_s")


def _timings(result: Result) -> Iterator[Block]:
    timings = dict(result.get("timings") or {})
    if not timings:
        return
    total = timings.pop("total_s", 0.0)
    ordered = {key: timings.pop(key, 0.0) for key in _PARTS} | timings
    rows = [[key.removesuffix("_s").replace("_", " "), f"{ordered[key]:.3f}"] for key in ordered]
    yield Title(text="Timings")
    yield Table(rows=[["part", "seconds"], *rows, ["total", f"{total:.3f}"]])


def _usage(result: Result) -> Iterator[Block]:
    usage = result.get("usage") or {}
    if not usage:
        return
    kinds = ("calls", "input_tokens", "output_tokens")
    stages = {**usage.get("by_stage", {}), "total": usage}
    rows = [[stage, *(str(row.get(kind, 0)) for kind in kinds)] for stage, row in stages.items()]
    yield Title(text="Model calls")
    yield Table(rows=[["stage", "calls", "input tokens", "output tokens"], *rows])


def _isolation(result: Result) -> Iterator[Block]:
    walls = result.get("isolation")
    yield Title(text="Isolation")
    if walls:
        named = ", ".join(map(str, walls["walls"]))
        yield Line(text=f"Sandbox {walls['executor']}, tier {walls['tier']}: {named}")
    else:
        yield Line(text="Nothing was run.")


_TELLERS: Mapping[Section, Callable[[Result], Iterator[Block]]] = {
    "answer": _answer,
    "code": _code,
    "files": _files,
    "steps": _steps,
    "history": _history,
    "verification": _verification,
    "timings": _timings,
    "usage": _usage,
    "isolation": _isolation,
}
