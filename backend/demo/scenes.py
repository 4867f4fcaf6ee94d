"""What the demo asks, and what must be seen when its recorded conversation answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from backend.types import AgentName, AgentType

WINE: Final = "wine.csv"

WINE_PROGRAM: Final = f"""\
import csv

from sklearn.datasets import load_wine

wine = load_wine()
names = [name.replace("/", "_over_") for name in wine.feature_names]
with open({WINE!r}, "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\\n")
    writer.writerow(["cultivar", *names])
    for number, row in zip(wine.target, wine.data.tolist()):
        writer.writerow([wine.target_names[number], *row])
print(len(wine.data), "wines,", len(names) + 1, "columns")
"""
"""Writes the data: UCI's wine recognition data, which scikit-learn brings along."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One request of the demo."""

    title: str
    question: str
    agent: AgentType
    has_file: bool = True
    timeout_s: float | None = None
    """Seconds for each program, where it is not the usual limit."""

    # What the recorded conversation leads to, if all that comes after the model works.
    answered_by: AgentName
    programs: int
    """Programs that are run, over all uses of the coder."""
    fails_with: str | None = None
    """What the first run's error holds."""
    stopped_by: str | None = None
    refused_for: frozenset[str] = frozenset()
    """Kinds of the findings for which the first program is not run."""
    files: frozenset[str] = frozenset()
    """Names of what is made."""


SCENES: Final = (
    Scene(
        title="A question about a real CSV; the first program names a column that is not there",
        question=f"Which cultivar in {WINE} has the highest mean alcohol? "
        "Show a table of all three and a bar chart.",
        agent="auto",
        answered_by="react",
        programs=2,
        fails_with="KeyError",
        files=frozenset({"mean_alcohol.png", "mean_alcohol.csv"}),
    ),
    Scene(
        title="A program that would start another one and read /etc/shadow: refused, rewritten",
        question=f"How many lines and how many bytes does {WINE} have?",
        agent="react",
        answered_by="react",
        programs=1,
        refused_for=frozenset({"blocked_import", "path"}),
    ),
    Scene(
        title="A loop that never ends: stopped by the time limit, repaired",
        question="Find by bisection the color_intensity that splits the wines of "
        f"{WINE} into two equal halves.",
        agent="react",
        timeout_s=2,
        answered_by="react",
        programs=2,
        stopped_by="timeout",
    ),
    Scene(
        title="A plan of two steps, with a plot",
        question="First find which measurements separate the three cultivars best (analysis of "
        "variance), then plot the best two against each other.",
        agent="plan_execute",
        answered_by="plan_execute",
        programs=2,
        files=frozenset({"anova.csv", "best_separation.png"}),
    ),
    Scene(
        title="A request for code is a request to run it",
        question="Write Python code to calculate prime numbers up to 100",
        agent="auto",
        has_file=False,
        answered_by="react",
        programs=1,
    ),
)

HTTP_SCENE: Final = Scene(
    title="The same over HTTP: POST /v1/chat/completions to the real server",
    question=f"How strongly do flavanoids and total_phenols correlate in {WINE}?",
    agent="react",
    answered_by="react",
    programs=1,
)
