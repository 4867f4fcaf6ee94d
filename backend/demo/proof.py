"""Seeing that the demo did what it says: nothing in it may be true only on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.demo.scenes import Scene

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


def find_problems(
    scene: Scene,
    *,
    text: str,
    success: bool,
    agent: str,
    results: Sequence[Mapping[str, Any]],
    recorded: bool,
) -> Iterator[str]:
    """What did not come out as it must, in sentences.

    Args:
        scene: what was asked.
        text: the answer.
        success: whether it counts as one.
        agent: who answered.
        results: the dicts of the coder's uses.
        recorded: whether the answers are recorded. A live model goes its own way to an answer:
            then only the answer itself is looked at.
    """
    if not success:
        yield f"the question was not answered: {' '.join(text.split())[:200]}"
        return
    if not any(result["success"] for result in results):
        yield "no program ran to its end"
    if not recorded:
        return
    if agent != scene.answered_by:
        yield f"{agent} answered, not {scene.answered_by}"
    yield from _unlike_the_plan(scene, results)
    printed = "\n".join(str(result["output"]) for result in results)
    if unknown := numbers_not_in(text, printed):
        yield f"the answer has numbers that no program printed: {', '.join(unknown)}"


def _unlike_the_plan(scene: Scene, results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    attempts = [attempt for result in results for attempt in result["attempts"]]
    if len(attempts) != scene.programs:
        yield f"{len(attempts)} programs were run, not {scene.programs}"
    first: Mapping[str, Any] = attempts[0] if attempts else {}
    if scene.fails_with and scene.fails_with not in str(first.get("error")):
        yield f"the first program did not fail with {scene.fails_with}: {first.get('error')}"
    if first.get("stopped_by") != scene.stopped_by:
        yield f"the first program was stopped by {first.get('stopped_by')}, not {scene.stopped_by}"
    refused = {
        issue.get("kind")
        for result in results
        for check in result["verification_history"]
        if check["action"] == "needs_modification"
        for issue in check["issues"]
    }
    if not scene.refused_for <= refused:
        missing = ", ".join(sorted(scene.refused_for - refused))
        yield f"the static check did not find: {missing}"
    made = {artifact["name"] for result in results for artifact in result["artifacts"]}
    if not scene.files <= made:
        yield f"these files were not made: {', '.join(sorted(scene.files - made))}"


def numbers_not_in(text: str, printed: str) -> list[str]:
    """The numbers of a text that do not stand in what was printed, digit for digit."""
    known = set(_NUMBER.findall(printed))
    return [number for number in dict.fromkeys(_NUMBER.findall(text)) if number not in known]
