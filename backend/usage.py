"""What requests used up of models: sums of their calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from backend.types import ModelCall


class UsageTotals(TypedDict):
    """The sum of a request's model calls."""

    input_tokens: int
    output_tokens: int
    calls: int
    by_stage: dict[str, dict[str, int]]


def total_usage(calls: Sequence[ModelCall]) -> UsageTotals:
    """Sum the calls of one request, also by stage."""
    by_stage: dict[str, dict[str, int]] = {}
    for call in calls:
        row = by_stage.setdefault(
            call["stage"], {"input_tokens": 0, "output_tokens": 0, "calls": 0}
        )
        row["input_tokens"] += call["input_tokens"]
        row["output_tokens"] += call["output_tokens"]
        row["calls"] += 1
    return {
        "input_tokens": sum(call["input_tokens"] for call in calls),
        "output_tokens": sum(call["output_tokens"] for call in calls),
        "calls": len(calls),
        "by_stage": by_stage,
    }


def usage_since(total: UsageTotals, before: UsageTotals | None) -> UsageTotals:
    """What a sum has more than a former one of the same request."""
    if before is None:
        return total
    by_stage: dict[str, dict[str, int]] = {}
    for stage, row in total["by_stage"].items():
        former = before["by_stage"].get(stage, {})
        more = {key: count - former.get(key, 0) for key, count in row.items()}
        if any(more.values()):
            by_stage[stage] = more
    return {
        "input_tokens": total["input_tokens"] - before["input_tokens"],
        "output_tokens": total["output_tokens"] - before["output_tokens"],
        "calls": total["calls"] - before["calls"],
        "by_stage": by_stage,
    }


def usage_sum(one: UsageTotals, other: UsageTotals) -> UsageTotals:
    """What two parts of a request used up together."""
    by_stage = {stage: dict(row) for stage, row in one["by_stage"].items()}
    for stage, row in other["by_stage"].items():
        known = by_stage.setdefault(stage, {})
        for key, count in row.items():
            known[key] = known.get(key, 0) + count
    return {
        "input_tokens": one["input_tokens"] + other["input_tokens"],
        "output_tokens": one["output_tokens"] + other["output_tokens"],
        "calls": one["calls"] + other["calls"],
        "by_stage": by_stage,
    }
