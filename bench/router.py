"""How often the router is right, and how long it takes.

Two kinds of requests: hand-written ones (``tests/data/requests.jsonl``; how they are labelled stands
beside them), and those of two corpora that nobody on this project wrote. In the corpora, a request
for a single tool counts as ReAct's, a chain or a graph of tools as plan-and-execute's.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Final, Literal

from backend.core.router import route
from backend.core.terms import STEPS, STEPS_BASE
from bench.router_fit import Fitted, agent_with, fit

Label = Literal["react", "plan_execute", "chat"]
LABELS: Final[tuple[Label, ...]] = ("react", "plan_execute", "chat")
CORPORA: Final = ("taskbench_huggingface", "taskbench_multimedia")
WRITTEN: Final = Path(__file__).parents[1] / "tests" / "data" / "requests.jsonl"
_METHOD = """\
Balanced accuracy: the mean of the shares of each label that are right. Weights of steps are fitted on one corpus and
tested on the other, each way. The rest of the table is as it is shipped: what is counted as a step, and which terms are
too frequent to weigh much, was decided with both corpora in view; no weight of it is fitted to either. A corpus has no
talk, so a request of it that goes to chat is wrong. "As shipped" is fitted on both, and so says nothing new about them."""
_WRITTEN_METHOD = """\
Hand-written, before the table was set. Lines with odd numbers were looked at while it was set, even ones were not: these
are the held-out half. One author wrote the requests and the table."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A request and the agent that should get it."""

    request: str
    label: Label
    files: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What became of a set of requests: (label, agent) -> how many."""

    counts: Mapping[tuple[str, str], int]

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return sum(self.counts.get((name, name), 0) for name in LABELS) / sum(self.counts.values())

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the shares of each label that are right."""
        totals = {label: self._total(label) for label in LABELS}
        return mean(self.counts.get((name, name), 0) / n for name, n in totals.items() if n)

    def _total(self, label: str) -> int:
        return sum(n for (given, _), n in self.counts.items() if given == label)

    def lines(self) -> list[str]:
        """The confusion matrix."""
        head = f"  {'should be':<14}" + "".join(f"{name:>14}" for name in LABELS)
        return [
            head,
            *(
                f"  {label:<14}" + "".join(f"{self.counts.get((label, a), 0):>14}" for a in LABELS)
                for label in LABELS
                if self._total(label)
            ),
        ]


def judge(requests: Iterable[Labelled], choose: Callable[[Labelled], str]) -> Verdicts:
    """Let `choose` route the requests."""
    return Verdicts(counts=Counter((each.label, choose(each)) for each in requests))


def shipped(each: Labelled) -> str:
    """What the router does."""
    return route(each.request, each.files).agent


def read_written() -> list[Labelled]:
    """The hand-written requests."""
    rows = map(json.loads, WRITTEN.read_text(encoding="utf-8").splitlines())
    return [Labelled(request=r["request"], label=r["label"], files=r["files"]) for r in rows]


def read_corpus(folder: Path, name: str) -> list[Labelled]:
    """The requests of a corpus."""
    rows = map(json.loads, (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    return [
        Labelled(request=r["request"], label="react" if r["graph"] == "single" else "plan_execute")
        for r in rows
    ]


def fit_to(requests: Sequence[Labelled]) -> Fitted:
    """The weights of steps that fit these requests best."""
    return fit([(each.request, each.label == "plan_execute") for each in requests])


def across(train: Sequence[Labelled], test: Sequence[Labelled]) -> Verdicts:
    """Fit on some requests, and test on others."""
    fitted = fit_to(train)
    return judge(test, lambda each: agent_with(fitted, each.request))


_KEYWORDS = re.compile(
    r"\b(?:first|then|next|after|afterwards|finally|once|if|and|also|both|all|as well as|compare"
    r"|additionally|in addition|multiple|several|comprehensive)\b",
    re.IGNORECASE,
)


def _rule(plans: Callable[[str], bool]) -> Callable[[Labelled], str]:
    return lambda each: "plan_execute" if plans(each.request) else "react"


PLAIN: Final[Mapping[str, Callable[[Labelled], str]]] = {
    '"and" twice or more': _rule(lambda text: len(re.findall(r"\band\b", text, re.I)) >= 2),
    "two keywords or more": _rule(lambda text: len(_KEYWORDS.findall(text)) >= 2),
    "more than 30 words": _rule(lambda text: len(text.split()) > 30),
}
"""What does without a table, to compare with."""


def main(folder: Path | None) -> None:
    """Print the hand-written set's figures, those of the corpora where there are any, and the time."""
    written = read_written()
    print(_WRITTEN_METHOD)
    for name, part in (("odd", written[0::2]), ("even, held out", written[1::2]), ("all", written)):
        verdicts = judge(part, shipped)
        print(
            f"\n{name}: {len(part)} requests, accuracy {verdicts.accuracy:.3f}, "
            f"balanced {verdicts.balanced_accuracy:.3f}"
        )
        print("\n".join(verdicts.lines()))
    timed = [each.request for each in written]
    if folder is None:
        print("\nSet PYTHON_CODER_CORPORA to a folder of corpora to measure on them as well.")
    else:
        one, other = (read_corpus(folder, name) for name in CORPORA)
        _print_corpora(one, other)
        timed = [each.request for each in (one + other)[::5]]
    _print_time(timed)


def _print_corpora(one: Sequence[Labelled], other: Sequence[Labelled]) -> None:
    print(f"\n{_METHOD}\n\n{'balanced accuracy':<34}" + "".join(f"{name:>24}" for name in CORPORA))
    for name, rule in PLAIN.items():
        _print_row(name, judge(one, rule), judge(other, rule))
    verdicts = across(other, one), across(one, other)
    _print_row("the table, fitted on the other", *verdicts)
    _print_row("the table as shipped", judge(one, shipped), judge(other, shipped))
    for name, each in zip(CORPORA, verdicts, strict=True):
        print(f"\n{name}, fitted on the other:")
        print("\n".join(each.lines()))


def _print_row(name: str, *verdicts: Verdicts) -> None:
    print(f"{name:<34}" + "".join(f"{each.balanced_accuracy:>24.3f}" for each in verdicts))


def _print_time(requests: Sequence[str]) -> None:
    took = []
    for request in requests:
        started = time.perf_counter()
        route(request)
        took.append(time.perf_counter() - started)
    words = median(len(request.split()) for request in requests)
    print(
        f"\n{1000 * median(took):.3f} ms a request (median of {len(took)}, each once; half of them have "
        f"{words:g} words or fewer), {1000 * sorted(took)[int(0.99 * len(took))]:.3f} ms at the 99th percentile"
    )


def print_fit(folder: Path) -> None:
    """Print the weights of ``backend/core/terms.py`` as both corpora together give them."""
    fitted = fit_to([each for name in CORPORA for each in read_corpus(folder, name)])
    print("Logistic regression over both corpora, the rest of the table held as it is.\n")
    for name, weight in fitted.weights.items():
        print(f'    "{name}": {weight:.2f},  # shipped: {STEPS[name]:.2f}')
    print(f"STEPS_BASE = {fitted.base:.2f}  # shipped: {STEPS_BASE:.2f}")
