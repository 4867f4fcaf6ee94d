"""How many tokens a conversation has, and what replies tell of how wrong the estimate is.

``prompts.tokens`` errs upwards; what a server counts of a prompt corrects it, for each model by
itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from backend.prompts.tokens import estimate_tokens
from backend.types import Message, ToolSpec

TURN_TOKENS = 8
"""What a chat template puts around each message."""
CALL_TOKENS = 80
"""What a chat template puts in front of everything: some models' own first words."""


TOOLS_TOKENS = 150
"""What a chat template says of how tools are called, where any are offered."""


def estimate_messages(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """``estimate_tokens`` of a conversation and the tools offered, with what its template adds."""
    turns = sum(TURN_TOKENS + estimate_tokens(message.content) for message in messages)
    return CALL_TOKENS + turns + estimate_tools(tools)


def estimate_tools(tools: Sequence[ToolSpec]) -> int:
    """What offering tools adds to a prompt: most templates write their schemas down as JSON."""
    if not tools:
        return 0
    return TOOLS_TOKENS + sum(TURN_TOKENS + estimate_tokens(json.dumps(tool)) for tool in tools)


_JUDGED_TOKENS = 500
"""A shorter prompt says more of the template around it than of the model's vocabulary."""
_MARGIN = 1.05
_LEAST_FACTOR, _MOST_FACTOR = 0.5, 3.0
_MEMORY = 0.7
"""Share of the former factor that is kept when a prompt had fewer tokens than it said."""


class Calibration:
    """By what each model's estimates have to be multiplied, learned from what its server tells.

    It rises at once and falls slowly: a prompt may be an easy one, and a server that leaves the
    cached beginning of a prompt out of its count tells too little, never too much.
    """

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def factor(self, model: str) -> float:
        """1 for a model that was not heard of yet; from 0.5 to 3."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, told: int) -> None:
        """Compare an estimate, without its factor, with the count that the server told."""
        if estimated < _JUDGED_TOKENS or told < estimated * _LEAST_FACTOR / 2:
            return
        seen = told / estimated * _MARGIN
        former = self.factor(model)
        if seen < former:
            seen = _MEMORY * former + (1 - _MEMORY) * seen
        self._factors[model] = min(max(seen, _LEAST_FACTOR), _MOST_FACTOR)
