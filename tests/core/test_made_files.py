"""Files of one name that several steps made: none hides another that is still wanted."""

from __future__ import annotations

import pytest

from backend.config.settings import load_settings
from backend.core.made_files import MadeFiles
from backend.core.requests import Answer
from backend.store.blobs import BlobStore
from tests.core.agents import HandTool, put
from tests.core.conftest import Play
from tests.core.test_side_by_side import all_of, waiting
from tests.scripts import APPROVE, act, answer, generate

DRAW = "import matplotlib.pyplot as plt\nplt.plot([{n}, 2])\nplt.show()\nprint('drawn {n}')"


def contents(given: Answer) -> dict[str, str]:
    blobs = BlobStore.of(load_settings())
    return {
        each["name"]: blobs.path(each["sha256"]).read_bytes().decode(errors="replace")
        for each in given.artifacts
    }


def write(name: str, content: str) -> str:
    return f"open({name!r}, 'w').write({content!r})\nprint('wrote {content}')"


async def test_two_steps_side_by_side_that_write_one_name_lose_neither(play: Play) -> None:
    play(
        waiting(a=[], b=[]),
        generate(write("plot.txt", "of a"), when="task a"),
        generate(write("plot.txt", "of b"), when="task b"),
        APPROVE,
        answer("Both.", when=all_of("Files: plot.txt", "Files: plot_2.txt")),
    )
    given = await put("Do it", agent_type="plan_execute")
    kept = contents(given)
    assert sorted(kept) == ["plot.txt", "plot_2.txt"]
    by_step = {
        result["step"]: [kept[each["name"]] for each in result["artifacts"]]
        for result in given.python_coder_results
    }
    assert by_step == {"a": ["of a"], "b": ["of b"]}


async def test_a_later_step_writes_a_file_anew(play: Play) -> None:
    play(
        waiting(a=[], b=["a"]),
        generate(write("plot.txt", "draft"), when="task a"),
        generate(write("plot.txt", "better"), when="task b"),
        APPROVE,
        answer("Better."),
    )
    assert contents(await put("Do it", agent_type="plan_execute")) == {"plot.txt": "better"}


async def test_figures_that_only_have_a_number_are_kept_apart(play: Play) -> None:
    play(
        act("python_coder", "draw one"),
        generate(DRAW.format(n=1)),
        act("python_coder", "draw another", when="Files: figure_1.png"),
        generate(DRAW.format(n=3)),
        APPROVE,
        act("finish", "Two.", when="(?s)Files: figure_1.png.*Files: figure_2.png"),
    )
    given = await put("Draw it", agent_type="react")
    assert [each["name"] for each in given.artifacts] == ["figure_1.png", "figure_2.png"]
    assert len({each["sha256"] for each in given.artifacts}) == 2


async def test_the_same_file_twice_is_one(play: Play) -> None:
    play(
        waiting(a=[], b=[]),
        {**generate(write("same.txt", "same")), "repeat": True},
        APPROVE,
        answer("One."),
    )
    assert contents(await put("Do it", agent_type="plan_execute")) == {"same.txt": "same"}


async def test_a_tool_is_told_under_which_name_its_file_is_kept(play: Play) -> None:
    made = [
        {"name": "figure_1.png", "media_type": "image/png", "size": 3, "sha256": mark * 64}
        for mark in "ab"
    ]

    def draw(_: object) -> dict[str, object]:
        return {"success": True, "text": "Files: figure_1.png", "artifacts": [made.pop(0)]}

    play(
        act("lookup", "one"),
        act("lookup", "two"),
        act("finish", "Two.", when=r"\(figure_1.png is kept as figure_2.png\)"),
    )
    given = await put("Look it up", tools=[HandTool(does=draw)], agent_type="react")
    assert [each["name"] for each in given.artifacts] == ["figure_1.png", "figure_2.png"]


@pytest.mark.parametrize(
    ("taken", "made", "kept"),
    [
        ([], ["figure_1.png"], ["figure_1.png"]),
        (["figure_1.png"], ["figure_1.png", "figure_2.png"], ["figure_2.png", "figure_3.png"]),
        (["figure_1.png", "figure_2.png"], ["figure_1.png"], ["figure_3.png"]),
        (["plot.tar.gz"], ["plot.tar.gz"], ["plot.tar_2.gz"]),
        (["out/plot"], ["out/plot", "out/plot_2"], ["out/plot_2", "out/plot_3"]),
        ([".x"], [".x"], ["_2.x"]),
    ],
)
def test_names_that_are_taken_are_numbered(
    taken: list[str], made: list[str], kept: list[str]
) -> None:
    files = MadeFiles()
    results = [
        files.keep_apart(
            {"artifacts": [{"name": name, "sha256": f"{step} {name}"} for name in names]},
            step=step,
            wave=1,
        )
        for step, names in (("a", taken), ("b", made))
    ]
    assert [entry["name"] for entry in results[1]["artifacts"]] == kept


def test_what_was_made_before_a_restart_is_known() -> None:
    files = MadeFiles()
    files.note([{"step": "a", "artifacts": [{"name": "figure_1.png", "sha256": "a"}]}])
    entry = {"name": "figure_1.png", "sha256": "b"}
    result = files.keep_apart({"artifacts": [entry]}, step="b", wave=2)
    assert [each["name"] for each in result["artifacts"]] == ["figure_2.png"]
