from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")

import matplotlib.pyplot as plt
import seaborn as sns

from backend.sandbox import inside
from backend.sandbox.inside.charts import describe

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}, index=["x", "y", "z"])
TIPS = pd.DataFrame(
    {
        "day": ["Th", "Fr", "Th", "Fr"] * 3,
        "sex": ["m", "m", "f", "f"] * 3,
        "bill": [float(n) for n in range(12)],
        "tip": [float(n % 5) for n in range(12)],
    }
)
Draw = Callable[[], Any]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def described() -> list[dict[str, Any]]:
    figure = plt.gcf()
    charts = describe(figure)
    # Plain JSON, without NaN: a browser can read it.
    assert json.loads(json.dumps(charts, allow_nan=False)) == charts
    return charts


def the_chart(draw: Draw) -> dict[str, Any]:
    draw()
    (chart,) = described()
    return chart


def without(series: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in series.items() if key not in names}


MARKS = [
    pytest.param(
        lambda: plt.plot([1, 2], [3, np.nan], label="a"),
        [{"type": "line", "label": "a", "x": [1, 2], "y": [3, None]}],
        id="line",
    ),
    pytest.param(
        lambda: plt.plot([1, 2], [np.inf, -np.inf]),
        [{"type": "line", "label": None, "x": [1, 2], "y": [None, None]}],
        id="infinite",
    ),
    pytest.param(
        lambda: plt.plot([1, 2], [3, 4], "o"),
        [{"type": "scatter", "label": None, "x": [1, 2], "y": [3, 4]}],
        id="markers",
    ),
    pytest.param(
        lambda: plt.step([1, 2], [3, 4]),
        [{"type": "line", "label": None, "steps": "steps-pre", "x": [1, 2], "y": [3, 4]}],
        id="steps",
    ),
    pytest.param(
        lambda: plt.axhline(2.5, label="mean"),
        [{"type": "reference_line", "label": "mean", "y": [2.5]}],
        id="reference",
    ),
    pytest.param(
        lambda: plt.vlines([1, 2], 0, [3, 4]),
        [{"type": "line", "label": None, "x": [1, 1, None, 2, 2], "y": [0, 3, None, 0, 4]}],
        id="separate lines",
    ),
    pytest.param(
        lambda: plt.scatter([1, 2], [3, 4], c=[5, 6], s=[10, 20], label="s"),
        [
            {
                "type": "scatter",
                "label": "s",
                "x": [1, 2],
                "y": [3, 4],
                "color": [5, 6],
                "size": [10, 20],
            }
        ],
        id="scatter",
    ),
    pytest.param(
        lambda: plt.bar(["a", "b"], [1, 2], label="n"),
        [{"type": "bar", "label": "n", "x": ["a", "b"], "y": [1, 2]}],
        id="bar",
    ),
    pytest.param(
        lambda: plt.bar(["a", "b"], [1, 2], yerr=[0.5, 1]),
        [
            {
                "type": "bar",
                "label": None,
                "x": ["a", "b"],
                "y": [1, 2],
                "y_low": [0.5, 1],
                "y_high": [1.5, 3],
            }
        ],
        id="bar with errors",
    ),
    pytest.param(
        lambda: plt.barh(["a", "b"], [1, 2], left=[0, 1]),
        [
            {
                "type": "bar",
                "label": None,
                "orientation": "horizontal",
                "x": [1, 2],
                "y": ["a", "b"],
                "base": [0, 1],
            }
        ],
        id="horizontal bar",
    ),
    pytest.param(
        lambda: plt.hist([1, 1, 2, 5], bins=[0, 2, 4, 6], label="h"),
        [{"type": "histogram", "label": "h", "edges": [0, 2, 4, 6], "counts": [2, 1, 1]}],
        id="histogram",
    ),
    pytest.param(
        lambda: plt.hist([1, 1, 2, 5], bins=[0, 2, 4, 6], histtype="step"),
        [{"type": "histogram", "label": None, "edges": [0, 2, 4, 6], "counts": [2, 1, 1]}],
        id="histogram as a line",
    ),
    pytest.param(
        lambda: plt.stairs([1, 2], [0, 1, 2]),
        [{"type": "histogram", "label": None, "edges": [0, 1, 2], "counts": [1, 2]}],
        id="stairs",
    ),
    pytest.param(
        lambda: plt.pie([1, 3], labels=["a", "b"]),
        [
            {
                "type": "pie",
                "label": None,
                "unit": "share of the whole",
                "labels": ["a", "b"],
                "values": [0.25, 0.75],
            }
        ],
        id="pie",
    ),
    pytest.param(
        lambda: plt.errorbar([1, 2], [3, 4], yerr=1, label="e"),
        [
            {
                "type": "error_bar",
                "label": "e",
                "x": [1, 2],
                "y": [3, 4],
                "y_low": [2, 3],
                "y_high": [4, 5],
            }
        ],
        id="error bars",
    ),
    pytest.param(
        lambda: plt.stem([1, 2], [3, 4]),
        [{"type": "stem", "label": None, "x": [1, 2], "y": [3, 4]}],
        id="stem",
    ),
    pytest.param(
        lambda: plt.fill_between([1, 2, 3], [0, 1, 0], [2, 2, 5], label="band"),
        [
            {
                "type": "area",
                "label": "band",
                "x": [1, 2, 3],
                "y_low": [0, 1, 0],
                "y_high": [2, 2, 5],
            }
        ],
        id="area",
    ),
    pytest.param(
        lambda: plt.imshow([[1, 2, np.nan], [4, 5, 6]]),
        [
            {
                "type": "image",
                "label": None,
                "shape": [2, 3],
                "min": 1,
                "max": 6,
                "extent": [-0.5, 2.5, 1.5, -0.5],
            }
        ],
        id="picture",
    ),
    pytest.param(
        lambda: plt.pcolormesh([[1, 2], [3, 4]]),
        [{"type": "heatmap", "label": None, "shape": [2, 2], "min": 1, "max": 4}],
        id="mesh",
    ),
    pytest.param(
        lambda: plt.quiver([1], [2], [3], [4]),
        [{"type": "quiver", "label": None, "x": [1], "y": [2], "u": [3], "v": [4]}],
        id="arrows",
    ),
]


@pytest.mark.parametrize(("draw", "series"), MARKS)
def test_what_is_drawn_is_told(draw: Draw, series: list[dict[str, Any]]) -> None:
    chart = the_chart(draw)
    assert chart["series"] == series
    assert chart["type"] == series[0]["type"]


@pytest.mark.parametrize("way", ["vertical", "horizontal"])
@pytest.mark.parametrize(
    "style", [{}, {"patch_artist": True}, {"notch": True}, {"showcaps": False}]
)
def test_boxes_are_told_by_their_numbers(way: str, style: dict[str, Any]) -> None:
    plt.boxplot([[1, 2, 3, 4, 100], [2, 3, 4]], tick_labels=["A", "B"], orientation=way, **style)
    (chart,) = described()
    assert chart["type"] == "box"
    assert [without(box, "position", "orientation") for box in chart["series"]] == [
        {
            "type": "box",
            "label": "A",
            "median": 3,
            "q1": 2,
            "q3": 4,
            "whisker_low": 1,
            "whisker_high": 4,
            "fliers": [100],
        },
        {
            "type": "box",
            "label": "B",
            "median": 3,
            "q1": 2.5,
            "q3": 3.5,
            "whisker_low": 2,
            "whisker_high": 4,
            "fliers": [],
        },
    ]
    assert all(("orientation" in box) == (way == "horizontal") for box in chart["series"])


def test_means_of_boxes_are_told() -> None:
    for style in ({}, {"meanline": True}):
        plt.clf()
        plt.boxplot([[1, 2, 3, 10]], showmeans=True, **style)
        (chart,) = described()
        assert [box["mean"] for box in chart["series"]] == [4]


def test_lines_are_not_boxes() -> None:
    for _ in range(9):
        plt.plot([1, 1], [0, 1])
    assert [series["type"] for series in the_chart(lambda: None)["series"]] == ["line"] * 9


def test_the_words_of_an_axes() -> None:
    figure, axes = plt.subplots()
    axes.plot([1, 10], [1, 100], label="growth")
    axes.set(title="T", xlabel="X", ylabel="Y", yscale="log")
    axes.set_title("left", loc="left")
    axes.legend(title="which")
    figure.suptitle("S")
    (chart,) = described()
    assert without(chart, "series") == {
        "type": "line",
        "title": "left T",
        "x_label": "X",
        "y_label": "Y",
        "x_scale": "linear",
        "y_scale": "log",
        "legend": ["growth"],
        "legend_title": "which",
        "figure_title": "S",
    }


def test_ticks_are_told_where_they_are_words() -> None:
    plt.plot([0, 1, 2], [5, 6, 7])
    plt.xticks([0, 2], ["low", "high"])
    (chart,) = described()
    assert (chart["x_ticks"], chart["x_tick_labels"]) == ([0, 2], ["low", "high"])
    assert chart["series"][0]["x"] == [0, 1, 2]
    assert "y_ticks" not in chart


def test_bars_beside_one_another_belong_to_one_word() -> None:
    places = np.arange(2)
    plt.bar(places - 0.2, [1, 2], 0.4, label="p")
    plt.bar(places + 0.2, [3, 4], 0.4, label="q")
    plt.xticks(places, ["a", "b"])
    (chart,) = described()
    assert [(s["label"], s["x"], s["y"]) for s in chart["series"]] == [
        ("p", ["a", "b"], [1, 2]),
        ("q", ["a", "b"], [3, 4]),
    ]


DAYS = pd.date_range("2024-01-30", periods=3)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        pytest.param(
            lambda: plt.plot([dt.date(2024, 1, 31), dt.date(2024, 2, 1)], [1, 2]),
            ["2024-01-31", "2024-02-01"],
            id="days",
        ),
        pytest.param(
            lambda: plt.plot(pd.to_datetime(["2024-01-31 12:00", "2024-02-01 00:00"]), [1, 2]),
            ["2024-01-31T12:00:00", "2024-02-01T00:00:00"],
            id="times",
        ),
        pytest.param(
            lambda: plt.plot(DAYS.to_numpy(), [1, 2, 3]),
            ["2024-01-30", "2024-01-31", "2024-02-01"],
            id="numpy",
        ),
        pytest.param(
            lambda: pd.Series([1, 2, 3], index=DAYS).plot(),
            ["2024-01-30", "2024-01-31", "2024-02-01"],
            id="pandas by day",
        ),
        pytest.param(
            lambda: pd.Series([1, 2], index=pd.period_range("2024-01", periods=2, freq="M")).plot(),
            ["2024-01-01", "2024-02-01"],
            id="pandas by month",
        ),
        pytest.param(
            lambda: pd.Series([1, 2], index=DAYS[[0, 2]]).plot(),
            ["2024-01-30", "2024-02-01"],
            id="pandas now and then",
        ),
        pytest.param(
            lambda: plt.bar(DAYS, [1, 2, 3], width=0.5),
            ["2024-01-30", "2024-01-31", "2024-02-01"],
            id="bars",
        ),
    ],
)
def test_dates_are_told_as_dates(draw: Draw, told: list[str]) -> None:
    assert the_chart(draw)["series"][0]["x"] == told


@pytest.mark.parametrize(
    ("kind", "type_", "series"),
    [
        ("line", "line", [("a", ["x", "y", "z"], [1, 2, 3]), ("b", ["x", "y", "z"], [3, 2, 1])]),
        ("bar", "bar", [("a", ["x", "y", "z"], [1, 2, 3]), ("b", ["x", "y", "z"], [3, 2, 1])]),
        ("barh", "bar", [("a", [1, 2, 3], ["x", "y", "z"]), ("b", [3, 2, 1], ["x", "y", "z"])]),
    ],
)
def test_pandas_plots(kind: str, type_: str, series: list[Any]) -> None:
    chart = the_chart(lambda: FRAME.plot(kind=kind))
    assert chart["type"] == type_
    assert [(s["label"], s["x"], s["y"]) for s in chart["series"]] == series


@pytest.mark.parametrize(
    ("draw", "type_", "labels"),
    [
        pytest.param(lambda: FRAME.plot.hist(), "histogram", ["a", "b"], id="pandas hist"),
        pytest.param(lambda: FRAME.plot.box(), "box", ["a", "b"], id="pandas box"),
        pytest.param(lambda: FRAME.plot.kde(), "line", ["a", "b"], id="pandas kde"),
        pytest.param(lambda: FRAME.plot.area(), "area", ["a", "b"] * 2, id="pandas area"),
        pytest.param(lambda: FRAME.plot.scatter("a", "b"), "scatter", [None], id="pandas scatter"),
        pytest.param(lambda: FRAME["a"].plot.pie(), "pie", [None], id="pandas pie"),
        pytest.param(
            lambda: FRAME.plot.hexbin("a", "b", gridsize=3), "hexbin", [None], id="pandas hexbin"
        ),
        pytest.param(
            lambda: sns.barplot(TIPS, x="day", y="tip", hue="sex"), "bar", ["m", "f"], id="barplot"
        ),
        pytest.param(lambda: sns.countplot(TIPS, x="day"), "bar", [None], id="countplot"),
        pytest.param(
            lambda: sns.boxplot(TIPS, x="day", y="tip"), "box", ["Th", "Fr"], id="boxplot"
        ),
        pytest.param(
            lambda: sns.boxplot(TIPS, y="day", x="tip"), "box", ["Th", "Fr"], id="boxplot lying"
        ),
        pytest.param(
            lambda: sns.violinplot(TIPS, x="day", y="tip", inner=None),
            "violin",
            ["Th", "Fr"],
            id="violinplot",
        ),
        pytest.param(
            lambda: sns.scatterplot(TIPS, x="bill", y="tip", hue="sex"),
            "scatter",
            ["m", "f"],
            id="scatterplot",
        ),
        pytest.param(
            lambda: sns.lineplot(TIPS, x="bill", y="tip", hue="sex"),
            "line",
            ["m", "f"] * 2,
            id="lineplot",
        ),
        pytest.param(
            lambda: sns.histplot(TIPS, x="bill", hue="sex"), "histogram", ["f", "m"], id="histplot"
        ),
        pytest.param(lambda: sns.kdeplot(TIPS, x="bill", fill=True), "area", [None], id="kdeplot"),
        pytest.param(lambda: plt.contour([[1, 2], [3, 4]]), "contour", [None], id="contour"),
        pytest.param(lambda: plt.table([["a"]]), "other", [], id="table"),
    ],
)
def test_plots_of_other_libraries_are_known_for_what_they_are(
    draw: Draw, type_: str, labels: list[str | None]
) -> None:
    chart = the_chart(draw)
    assert chart["type"] == type_
    assert [series["label"] for series in chart["series"]] == labels


def test_bars_of_seaborn_keep_their_errors() -> None:
    chart = the_chart(lambda: sns.barplot(TIPS, x="day", y="tip", errorbar=("sd", 1)))
    (bars,) = chart["series"]
    for day, mean, low, high in zip(
        bars["x"], bars["y"], bars["y_low"], bars["y_high"], strict=True
    ):
        tips = TIPS[TIPS.day == day].tip
        assert (mean, high - low) == pytest.approx((tips.mean(), 2 * tips.std()))


def test_boxes_of_a_group_name_it() -> None:
    chart = the_chart(lambda: sns.boxplot(TIPS, x="day", y="tip", hue="sex"))
    found = {(box["label"], box["group"]): box["median"] for box in chart["series"]}
    assert found == {
        key: pytest.approx(value)
        for key, value in TIPS.groupby(["day", "sex"]).tip.median().items()
    }


def test_a_heatmap_names_its_rows_columns_and_colors() -> None:
    table = pd.DataFrame([[1, 2]], index=["r"], columns=["c", "d"])
    chart = the_chart(lambda: sns.heatmap(table, annot=True, cbar_kws={"label": "L"}))
    assert (chart["x_tick_labels"], chart["y_tick_labels"]) == (["c", "d"], ["r"])
    assert chart["color_label"] == "L"
    assert chart["series"] == [
        {"type": "heatmap", "label": None, "shape": [1, 2], "min": 1, "max": 2}
    ]


def test_every_axes_is_a_chart_of_its_own() -> None:
    _, axes = plt.subplots(2, 2)
    axes[0, 0].plot([1])
    axes[1, 1].bar(["a"], [1])
    axes[0, 1].set_visible(False)
    assert [chart["type"] for chart in described()] == ["line", "bar"]


def test_twins_know_one_another() -> None:
    _, axes = plt.subplots()
    axes.plot([1, 2])
    axes.twinx().bar([0, 1], [3, 4], width=0.5)
    first, second = described()
    assert ("twin_of" in first, second["twin_of"]) == (False, 0)


def test_axes_of_other_shapes() -> None:
    plt.figure().add_subplot(projection="polar").plot([0, 1], [1, 2])
    (chart,) = described()
    assert chart["projection"] == "polar"
    solid = plt.figure().add_subplot(projection="3d")
    solid.scatter([1], [2], [3])
    solid.plot([1, 2], [3, 4], [5, 6])
    (chart,) = described()
    assert chart["projection"] == "3d"
    assert [series["z"] for series in chart["series"]] == [[3], [5, 6]]


def test_an_empty_figure_is_no_chart() -> None:
    plt.figure()
    assert described() == []
    plt.subplots()
    assert described() == []


def test_many_points_are_thinned_evenly_to_their_ends() -> None:
    plt.plot(range(5001))
    (series,) = the_chart(lambda: None)["series"]
    assert (series["points"], series["thinned"], len(series["x"])) == (5001, True, 1000)
    assert (series["x"][0], series["x"][-1]) == (0, 5000)
    assert series["x"] == series["y"]
    assert {b - a for a, b in zip(series["x"], series["x"][1:], strict=False)} <= {5, 6}


@pytest.mark.parametrize(
    ("axes", "lines", "points"), [(1, 60, 3000), (30, 1, 2000), (20, 50, 50), (1, 50, 3)]
)
def test_no_figure_is_too_large(axes: int, lines: int, points: int) -> None:
    _, grid = plt.subplots(1, axes, squeeze=False)
    for one in grid[0]:
        one.set_title("t" * 1000)
        for number in range(lines):
            one.plot(np.linspace(0, 1, points) / 3, label=f"{number}" * 1000)
    charts = described()
    assert 0 < len(charts) <= 20
    assert len(json.dumps(charts)) <= 64 * 1024
    assert all(len(chart["series"]) <= 50 and len(chart["title"]) <= 500 for chart in charts)
    left_out = charts[0].get("series_left_out", 0)
    assert len(charts[0]["series"]) + left_out == lines


def test_describing_changes_nothing() -> None:
    for draw in [mark.values[0] for mark in MARKS]:
        plt.clf()
        draw()
        figure = plt.gcf()
        figure.canvas.draw()
        limits = [(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes]
        figure.stale = False
        describe(figure)
        assert not figure.stale
        assert [(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes] == limits


class Broken:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_what_cannot_be_read_costs_only_itself() -> None:
    assert describe(Broken()) == []
    assert describe(None) == []
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2])
    left.set_title("left")
    left.get_legend = None
    left.containers.append(Broken())
    right.plot([3, 4])
    right.get_xlabel = None
    first, second = describe(figure)
    assert (first["title"], first["series"][0]["y"]) == ("left", [1, 2])
    assert (second["x_label"], second["series"][0]["y"]) == ("", [3, 4])


def test_describing_is_free_where_nothing_is_plotted() -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import inside.charts, inside.figures, inside.display, inside.variables
inside.figures.configure(("png",))
assert inside.figures.charts() == []
inside.figures.save_open()
print({"matplotlib", "numpy", "json", "pandas"} & set(sys.modules))
"""
    folder = str(Path(inside.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
