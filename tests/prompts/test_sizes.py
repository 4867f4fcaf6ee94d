from __future__ import annotations

from typing import get_args

import pytest

from backend.prompts import CEILINGS
from backend.types import Stage
from bench.prompts import longest_values, measure, usual_values
from tests.prompts.test_render import PACKAGED

STAGES = sorted(CEILINGS)


def test_every_stage_with_a_prompt_has_its_ceilings() -> None:
    assert set(STAGES) == {path.stem for path in PACKAGED} & set(get_args(Stage))


@pytest.mark.parametrize("stage", STAGES)
def test_a_prompt_stays_under_its_ceilings_with_the_longest_values(stage: Stage) -> None:
    sizes = measure(stage)
    assert 0 < sizes.rules <= sizes.ceiling.rules
    assert sizes.usual <= sizes.sent <= sizes.ceiling.whole
    assert bool(sizes.shortened) == (sizes.longest > sizes.ceiling.whole)


def test_a_usual_prompt_leaves_the_most_of_the_context_free() -> None:
    assert all(measure(stage).usual < 2048 for stage in CEILINGS)


@pytest.mark.parametrize("stage", STAGES)
def test_the_longest_values_are_longer_than_the_usual_ones(stage: str) -> None:
    longest, usual = longest_values(stage), usual_values()
    assert longest.keys() == usual.keys()
    assert all(len(longest[name]) >= len(usual[name]) for name in usual)
