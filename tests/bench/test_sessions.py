"""A long conversation keeps little: steps are forgotten, prompts stop growing, files are apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sessions import converse
from tests.commands import needs_sandbox

TURNS = 30


@pytest.mark.sandbox
@needs_sandbox
async def test_a_conversation_of_many_turns_stays_lean(tmp_path: Path) -> None:
    growth = await converse(TURNS, tmp_path)
    assert growth.outputs == [f"turn {number}\n" for number in range(1, TURNS + 1)]
    assert growth.sizes["checkpoints"] < 2_000_000
    log_bytes = 4_500_000
    assert growth.sizes["database"] < log_bytes + 30_000 * TURNS
    later, last = growth.prompt_tokens[14:20], growth.prompt_tokens[-6:]
    assert max(last) < 1.1 * max(later)
