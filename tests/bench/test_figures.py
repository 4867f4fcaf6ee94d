from __future__ import annotations

from pathlib import Path

import pytest

from bench.readme import replace_table
from bench.soak_runs import MAX_GROWTH_MIB, SAMPLES, Runs, growth_mib, report
from bench.timing import HEAD, Case, Timing, Unmeasurable, as_markdown, measure, repeated, rows


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)], ids=str
)
def test_percentiles_are_nearest_ranks(share: float, value: float) -> None:
    timing = Timing(case="any", samples_ms=tuple(float(each) for each in range(100, 0, -1)))
    assert timing.percentile(share) == value


async def test_what_stops_working_is_a_row_that_says_why() -> None:
    async def broken() -> None:
        raise Unmeasurable("it broke")

    async def fine() -> None:
        pass

    cases = [
        Case(name="fine", runs=20, sample=repeated(fine, 0)),
        Case(name="broken", runs=20, sample=repeated(broken, 0)),
        Case(name="absent", missing="is not there"),
    ]
    timings = await measure(cases)
    body = rows(timings, cold_ms=1.0)
    assert [len(timing.samples_ms) for timing in timings] == [20, 0, 0]
    assert [row[-1] for row in body[1:]] == ["stopped working: it broke", "is not there"]
    assert as_markdown(HEAD, body).count("\n") == 1 + len(cases)


def test_the_readme_changes_between_the_marks_only(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n", encoding="utf-8")
    replace_table("new", readme)
    replace_table("newer", readme)
    text = readme.read_text(encoding="utf-8")
    assert text == "before\n<!-- bench -->\nnewer\n<!-- /bench -->\nafter\n"


def test_a_readme_without_marks_is_refused(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no part between"):
        replace_table("new", readme)


def test_growth_is_that_of_the_second_half() -> None:
    filling = [float(each) for each in range(SAMPLES)]
    assert growth_mib(filling + [50.0] * SAMPLES) == pytest.approx(0)
    assert growth_mib([50.0] * SAMPLES + filling) == pytest.approx(SAMPLES - 1)
    assert growth_mib([1.0, 2.0]) is None


def test_memory_that_grows_is_a_fault() -> None:
    samples = [MAX_GROWTH_MIB * each for each in range(SAMPLES)]
    _, faults = report(Runs(server_mib=samples, zygote_mib=[1.0] * SAMPLES))
    assert faults == ["the memory of the server grows"]
