from __future__ import annotations

import json

import pytest

from backend.sandbox import ExecutionResult
from tests.sandbox.conftest import Run

pytestmark = pytest.mark.sandbox

PNG = b"\x89PNG"
PLT = "import matplotlib.pyplot as plt\n"


def names(result: ExecutionResult) -> list[str]:
    assert all(
        a.content.startswith(PNG) and a.media_type == "image/png"
        for a in result.artifacts
        if a.name.endswith(".png")
    )
    return [artifact.name for artifact in result.artifacts]


@pytest.mark.parametrize(
    ("code", "figures"),
    [
        pytest.param("plt.plot([1])\nplt.show()", ["figure_1.png"], id="shown"),
        pytest.param("plt.plot([1])", ["figure_1.png"], id="left open"),
        pytest.param("plt.plot([1])\nplt.savefig('mine.png')", ["mine.png"], id="saved"),
        pytest.param(
            "plt.plot([1])\nplt.savefig('mine.png')\nplt.show()", ["mine.png"], id="saved and shown"
        ),
        pytest.param(
            "plt.plot([1])\nplt.show()\nplt.savefig('mine.png')",
            ["figure_1.png", "mine.png"],
            id="shown, then saved",
        ),
        pytest.param(
            "plt.plot([1])\nplt.savefig('mine.png')\nplt.title('more')",
            ["figure_1.png", "mine.png"],
            id="saved, then changed",
        ),
        pytest.param(
            "plt.plot([1])\nplt.show()\nplt.plot([2])\nplt.show()",
            ["figure_1.png", "figure_2.png"],
            id="one after the other",
        ),
        pytest.param(
            "for n in range(3): plt.figure(); plt.plot([n])",
            ["figure_1.png", "figure_2.png", "figure_3.png"],
            id="several open",
        ),
        pytest.param("plt.plot([1])\nplt.close()", [], id="closed"),
        pytest.param(
            "f, a = plt.subplots()\na.plot([1])\nf.show()\nf.show()",
            ["figure_1.png"],
            id="fig.show",
        ),
        pytest.param(
            "import io\nplt.plot([1])\nplt.savefig(io.BytesIO())", ["figure_1.png"], id="in memory"
        ),
        pytest.param(
            "plt.plot([1])\nplt.savefig('/tmp/x.png')", ["figure_1.png"], id="saved elsewhere"
        ),
        pytest.param(
            "open('figure_1.png', 'wb').write(b'\\x89PNG')\nplt.plot([1])",
            ["figure_1.png", "figure_2.png"],
            id="name taken",
        ),
        pytest.param(
            "import os\nos.chdir('/tmp')\nplt.plot([1])", ["figure_1.png"], id="moved away"
        ),
        pytest.param(
            "import os\nplt.plot([1])\npid = os.fork()\nif pid: os.wait()",
            ["figure_1.png"],
            id="fork",
        ),
        pytest.param(
            "import pandas as pd\npd.Series([1, 2]).plot()\nplt.show()",
            ["figure_1.png"],
            id="pandas",
        ),
    ],
)
async def test_each_figure_comes_out_once(run: Run, code: str, figures: list[str]) -> None:
    result = await run(PLT + code)
    assert result.success, result.stderr
    assert names(result) == figures
    assert result.stderr == ""


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param("import matplotlib\nmatplotlib.use('Agg')\n" + PLT, id="Agg"),
        pytest.param("import matplotlib\nmatplotlib.use('TkAgg')\n" + PLT, id="TkAgg"),
        pytest.param(PLT + "plt.switch_backend('QtAgg')\n", id="switched"),
        pytest.param("from pylab import *\nimport pylab as plt\n", id="pylab"),
        pytest.param("from matplotlib import pyplot as plt\n", id="from import"),
        pytest.param("import seaborn\n" + PLT, id="seaborn"),
    ],
)
async def test_however_pyplot_is_imported(run: Run, opening: str) -> None:
    result = await run(opening + "plt.plot([1, 2])\nplt.show()")
    assert result.success, result.stderr
    assert names(result) == ["figure_1.png"]


@pytest.mark.parametrize("ending", ["1/0", "raise SystemExit(3)", "import sys; sys.exit('no')"])
async def test_a_figure_survives_how_the_program_ends(run: Run, ending: str) -> None:
    result = await run(PLT + "plt.plot([1])\n" + ending)
    assert not result.success
    assert names(result) == ["figure_1.png"]


async def test_a_figure_that_cannot_be_drawn_does_not_fail_the_program(run: Run) -> None:
    result = await run(PLT + "plt.title('$\\\\undefinedmacro$')\nprint('done')")
    assert (result.success, result.stdout) == (True, "done\n")
    assert "could not be saved" in result.stderr


async def test_a_second_plot_draws_on_an_empty_figure(run: Run) -> None:
    code = PLT + "plt.plot([1]); plt.show(); plt.plot([2]); print(len(plt.gca().lines))"
    assert (await run(code)).stdout == "1\n"


async def test_fonts_are_looked_for_once_and_not_by_programs(run: Run) -> None:
    code = """
import os
import matplotlib.pyplot
import matplotlib.font_manager as fonts
print([name for name in os.listdir(os.environ["MPLCONFIGDIR"]) if name.startswith("fontlist")] != [])
print("_load_fontmanager" in dir(fonts), fonts.findfont("DejaVu Sans").endswith(".ttf"))
"""
    result = await run(code)
    assert result.stdout == "True\nTrue True\n", result.stderr


async def test_nothing_is_imported_for_a_program_that_does_not_plot(run: Run) -> None:
    result = await run("import sys; print('matplotlib' in sys.modules, 'json' in sys.modules)")
    assert result.stdout == "False False\n"


FIGURES = (
    "import sys, json\n"
    "figures = next(module for name, module in sys.modules.items() if name.endswith('inside.figures'))\n"
    + PLT
)
"""The program looks at what its own process has kept, which is its to see."""


@pytest.mark.parametrize(
    ("code", "charts"),
    [
        pytest.param("plt.plot([1])\nplt.show()", ["figure_1.png"], id="shown"),
        pytest.param("plt.plot([1])\nplt.savefig('my.png')", ["my.png"], id="saved"),
        pytest.param(
            "plt.plot([1])\nplt.savefig('my.png')\nplt.savefig('my.pdf')",
            ["my.pdf"],
            id="saved twice as it was",
        ),
        pytest.param(
            "plt.plot([1])\nplt.savefig('a.png')\nplt.title('b')\nplt.savefig('b.png')",
            ["a.png", "b.png"],
            id="saved, changed, saved",
        ),
        pytest.param(
            "plt.plot([1])\nplt.savefig('a.png')\nplt.title('b')\nplt.savefig('a.png')",
            ["a.png"],
            id="saved over",
        ),
        pytest.param("plt.plot([1])\nplt.savefig('/tmp/my.png')", [], id="saved elsewhere"),
        pytest.param("plt.plot([1])\nplt.savefig('my')", ["my.png"], id="no ending"),
        pytest.param(
            "plt.plot([1])\nplt.savefig('my', format='svg')", ["my"], id="a format and no ending"
        ),
        pytest.param(
            "import os\nos.makedirs('sub/a')\nos.chdir('sub')\n"
            "plt.plot([1])\nplt.savefig('a/my.png')",
            ["sub/a/my.png"],
            id="in a folder",
        ),
        pytest.param(
            "import os\nplt.plot([1])\nplt.savefig('my.png')\nos.remove('my.png')",
            [],
            id="saved and removed",
        ),
        pytest.param(
            "for n in 'ab':\n    plt.plot([1])\n    plt.savefig(n + '.png')\n    plt.close()",
            ["a.png", "b.png"],
            id="one after the other",
        ),
    ],
)
async def test_a_chart_names_the_file_that_shows_it(run: Run, code: str, charts: list[str]) -> None:
    result = await run(f"{FIGURES}{code}\nprint([c['artifact'] for c in figures.charts()])")
    assert result.stdout == f"{charts}\n", result.stderr


async def test_a_chart_is_what_was_saved_and_not_what_came_after(run: Run) -> None:
    code = "plt.plot([1, 2])\nplt.savefig('a.png')\nplt.plot([3])\n"
    result = await run(FIGURES + code + "print(json.dumps(figures.charts()))")
    (chart,) = json.loads(result.stdout)
    assert chart["series"] == [{"type": "line", "label": None, "x": [0, 1], "y": [1, 2]}]


async def test_charts_are_told_once(run: Run) -> None:
    code = """
plt.plot([1]); plt.show()
print(len(figures.charts()), len(figures.charts()))
plt.plot([2])
figures.save_open()
figures.save_open()
print([chart["artifact"] for chart in figures.charts()])
figures.save_open()
print(figures.charts())
"""
    result = await run(FIGURES + code)
    assert result.stdout == "1 0\n['figure_2.png']\n[]\n", result.stderr
    assert names(result) == ["figure_1.png", "figure_2.png"]


async def test_figures_come_in_the_formats_that_were_asked_for(run: Run) -> None:
    code = """
open("figure_1.svg", "w").write("taken")
figures.configure(("png", "svg"))
plt.plot([1]); plt.title("Title"); plt.show()
figures.configure(("svg",))
plt.plot([2])
figures.save_open()
print([chart["artifact"] for chart in figures.charts()])
figures.reset()
plt.title("changed")
"""
    result = await run(FIGURES + code)
    assert result.stdout == "['figure_2.png', 'figure_3.svg']\n", result.stderr
    found = {artifact.name: artifact for artifact in result.artifacts}
    assert sorted(found) == [
        "figure_1.png",
        "figure_1.svg",
        "figure_2.png",
        "figure_2.svg",
        "figure_3.svg",
    ]
    assert b"<svg" in found["figure_2.svg"].content
    assert found["figure_2.svg"].media_type == "image/svg+xml"


async def test_more_charts_than_are_taken_are_left_out(run: Run) -> None:
    code = """
for n in range(60):
    plt.plot([n]); plt.savefig(f"{n}.png", dpi=10); plt.close()
charts = figures.charts(3000)
print(len(charts) < 60, len(json.dumps(charts)) <= 3000, charts[0]["artifact"])
"""
    result = await run(FIGURES + code)
    assert result.stdout == "True True 0.png\n", result.stderr


async def test_a_figure_shown_without_waiting_stays_open_and_can_be_drawn_on(run: Run) -> None:
    code = """
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2])
plt.show(block=False)
fig.canvas.copy_from_bbox(fig.bbox)
print(plt.get_fignums())
"""
    result = await run(code)
    assert result.stdout == "[1]\n", result.stderr
    assert "figure_1.png" in {made.name for made in result.artifacts}
