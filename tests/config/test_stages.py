from __future__ import annotations

import pytest

from backend.config.settings import load_settings
from backend.config.stages import StageOptions, parse_stages
from backend.errors import SettingsError


def test_each_stage_has_its_options() -> None:
    text = " review  model=ollama:qwen3:4b temperature=0;\n repair temperature=0.4 seed=7 ;"
    assert parse_stages(text) == {
        "review": StageOptions(model="ollama:qwen3:4b", temperature=0),
        "repair": StageOptions(temperature=0.4, seed=7),
    }
    assert parse_stages("chat top_p=0.9 max_tokens=512") == {
        "chat": StageOptions(top_p=0.9, max_tokens=512)
    }
    assert parse_stages(" ") == {}


WRONG = {
    "a stage that is not there": ("reviev temperature=0", "'reviev'; 'review' is meant"),
    "an option that is not there": ("review temprature=0", "'temprature'; 'temperature' is meant"),
    "no option": ("review", "'review' has no option"),
    "no value": ("review model=", "'model=' of the stage 'review'"),
    "no equals": ("review cold", "'cold' of the stage 'review'"),
    "too hot": ("review temperature=3", "is '3': write a number from 0 to 2"),
    "not a number": ("review temperature=nan", "a number from 0 to 2"),
    "half a token": ("review max_tokens=99.5", "a whole number from 64 to 200000"),
    "twice": ("review seed=1; review seed=2", "'review' stands there twice"),
    "an option twice": ("review seed=1 seed=2", "seed of the stage 'review' stands there twice"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_wrong_stops_the_start_and_is_named(
    case: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, said = case
    monkeypatch.setenv("PYTHON_CODER_STAGES", text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert said in caught.value.what
    assert "PYTHON_CODER_STAGES is" in caught.value.what
