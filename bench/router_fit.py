"""The weights of the router's steps, fitted to labelled requests.

Logistic regression, both labels weighing the same, with what the rest of the table says of each request
as a fixed part of the sum: so the weights are those that go with this table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.core.router import weigh
from backend.core.terms import STEPS, StepFeature
from backend.core.wording import read_wording
from backend.types import AgentName

_PENALTY = 1.0
"""On the squares of the weights: small beside thousands of requests."""
_ROUNDS = 30
_CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Weights as in ``backend/core/terms.py``."""

    weights: Mapping[StepFeature, float]
    base: float


def fit(requests: Sequence[tuple[str, bool]]) -> Fitted:
    """Fit to requests, each with whether it should be planned.

    Raises:
        ValueError: it does not settle; there are too few requests, or of one kind only.
    """
    rows, offsets = _matrix([text for text, _ in requests])
    planned = np.array([float(plan) for _, plan in requests])
    share = planned.mean()
    if not 0 < share < 1:
        raise ValueError("All requests have the same label.")
    importance = np.where(planned == 1, 0.5 / share, 0.5 / (1 - share))
    weights = np.zeros(rows.shape[1])
    penalty = _PENALTY * np.eye(len(weights))
    for _ in range(_ROUNDS):  # Newton's method
        likely = 1 / (1 + np.exp(-(rows @ weights + offsets)))
        slope = rows.T @ ((likely - planned) * importance) + penalty @ weights
        curve = (rows * (likely * (1 - likely) * importance)[:, None]).T @ rows + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < _CLOSE:
            return Fitted(
                weights=dict(zip(STEPS, weights[:-1].tolist(), strict=True)),
                base=float(weights[-1]),
            )
    raise ValueError("The weights do not settle.")


def agent_with(fitted: Fitted, request: str) -> AgentName:
    """What the router would choose with these weights, for a request without files."""
    wording = read_wording(request)
    weighed = weigh(wording)
    steps = fitted.base + sum(fitted.weights[name] * n for name, n in wording.steps.items())
    plan = weighed.plan + max(steps, 0.0)
    talk = 0.0 if weighed.needs_code or wording.files else weighed.by_class["talk"]
    if talk > max(plan, weighed.react):
        return "chat"
    return "plan_execute" if plan > weighed.react else "react"


def _matrix(requests: Sequence[str]) -> tuple[Any, Any]:
    """A row of step features for each request, and how far the plan is ahead without them."""
    rows, offsets = [], []
    for request in requests:
        wording = read_wording(request)
        weighed = weigh(wording)
        rows.append([*(wording.steps[name] for name in STEPS), 1.0])
        offsets.append(weighed.plan - weighed.react)
    return np.array(rows, dtype=float), np.array(offsets)
