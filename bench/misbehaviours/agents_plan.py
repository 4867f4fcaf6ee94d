"""Plans that cannot be read, contradict themselves, or do not work out."""

from __future__ import annotations

import json
from typing import Any

from bench.misbehaviours.agent_cases import (
    ANSWER,
    ANSWERED,
    BROKEN,
    BY_RULE,
    REQUEST,
    STEP,
    TASK,
    case,
    plan_execute,
    plans,
    raw_plan,
)
from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import answers, fenced, says, writes
from tests.ollama_server import Line

_ANEW = {"task": "Print it anew"}
_NO_REPAIR = {"max_retries": 0}
_WHOLE: dict[str, Any] = {"calls": 5, "mended": "re-ask"}
"""What cannot be read, twice, is the request itself."""

_FORMS = {
    "in numbered lines": f"1. [python_coder] {TASK}",
    "in numbered lines, with bold names": f"Step 1: [**Coder**] {TASK}",
    "in a fence, with words around it": f"My plan:\n```json\n{plans(STEP).reply}\n```\nGood?",
    "behind thoughts in tags": f'<think>{{"steps": []}}</think>{plans(STEP).reply}',
    "under another key": json.dumps({"plan": [{"step": TASK, "tool": "code"}]}),
    "as a list of texts": json.dumps({"steps": [TASK]}),
    "with a tool by another name": plans(STEP | {"tool": "`generate_code`"}).reply,
    "without its last brackets": plans(STEP).reply[:-2],
}
_UNREADABLE = {
    "in prose": "First one would think, then add.",
    "nothing": "",
    "no step": '{"steps": []}',
    "steps without a task": '{"steps": [{"id": "s1", "tool": "python_coder"}]}',
    "a number": "42",
    "the program in place of steps": fenced("print('sum', 41)"),
}

_READ = (
    *(plan_execute(f"plans {how}", raw_plan(text)) for how, text in _FORMS.items()),
    *(
        plan_execute(f"plans {what}, each time: the request is the one step", raw_plan(text, repeat=True), **_WHOLE)
        for what, text in _UNREADABLE.items()
    ),
    plan_execute("plans in prose, once", raw_plan("One would add."), plans(STEP), **_WHOLE),
    plan_execute(
        "plans with a tool that there is not", plans({"task": "Look it up", "tool": "web"}, STEP)
    ),
    plan_execute("plans no program where one is needed", plans({"task": "Recall it", "tool": "none"})),
    plan_execute(
        "plans a step that forbids itself: no python_coder needed",
        plans({"task": "No python_coder needed, recall it", "tool": "none"}, STEP),
    ),
    plan_execute("plans thirty steps", plans(*({"task": f"Print the sum, part {number}"} for number in range(30))), calls=18, runs=8),
)  # fmt: skip


def _contradicts(does: str, *needs: list[str], calls: int = 6, runs: int = 2) -> Misbehaviour:
    """Two steps with what they say they wait for."""
    first, second = needs
    steps = (STEP | {"depends_on": first}, _ANEW | {"depends_on": second})
    return plan_execute(f"plans {does}", plans(*steps), calls=calls, runs=runs)


_CONTRADICTORY = (
    _contradicts("steps that wait for each other", ["s2"], ["s1"]),
    _contradicts("a step that waits for itself", ["s1"], []),
    _contradicts("steps that wait for what there is not", ["s7"], ["nothing"]),
    _contradicts("a step that waits for a later one", ["s2"], []),
    plan_execute("plans two steps of one name", plans(STEP, _ANEW | {"id": "s1"}), calls=6, runs=2),
    plan_execute("plans the same step thrice: it is done once", plans(STEP, STEP, STEP)),
    plan_execute(
        "plans and asks the user at the same time",
        raw_plan({"steps": [STEP | {"tool": "coder"}], "questions": ["Which numbers?"]}),
    ),
    case(
        "plan_execute",
        "asks the user first",
        raw_plan({"steps": [], "questions": ["Which of the two sums?", "In which unit?"]}),
        end=error("", "- Which of the two sums?\n- In which unit?", calls=1),
    ),
    case(
        "plan_execute",
        "asks the user under another key",
        raw_plan({"clarification": "Which of the two sums?"}),
        end=error("", "Which of the two sums?", calls=1),
    ),
    case(
        "plan_execute",
        "plans only tools that there are not, for talk",
        plans({"task": "Look it up", "tool": "web"}),
        answers("Paris.", when="There is no tool 'web'"),
        request="Name the capital of France.",
        end=right("Paris.", calls=2, runs=0),
    ),
    case(
        "plan_execute",
        "forbids every tool in words, for talk",
        plans({"task": "Recall it; no python_coder needed", "tool": "none"}),
        answers("Paris."),
        request="Name the capital of France.",
        end=right("Paris.", calls=2, runs=0),
    ),
)


def _fails(does: str, *lines: Line, calls: int, runs: int, mended: str) -> Misbehaviour:
    return case(
        "plan_execute",
        does,
        *lines,
        writes(),
        ANSWERED,
        settings=_NO_REPAIR,
        end=right(ANSWER, calls=calls, runs=runs, mended=mended),
    )


_BROKEN: Any = writes(BROKEN)
_SETBACKS = (
    _fails(
        "writes a step that fails once: it is tried again with the reason",
        plans(STEP),
        _BROKEN,
        writes(when="tried before.*out of luck"),
        calls=6,
        runs=2,
        mended="retry",
    ),
    _fails(
        "writes a step that fails twice: a new plan with the reason",
        plans(STEP),
        _BROKEN,
        _BROKEN,
        plans({"task": "Use sum()"}, when="failed 2 times.*out of luck"),
        calls=9,
        runs=3,
        mended="retry, new plan",
    ),
    case(
        "plan_execute",
        "writes steps that fail three times: the end, with what was found before",
        plans({"task": "Print 19"}, STEP | {"depends_on": ["s1"]}),
        writes("print('first 19')", when="Print 19"),
        writes(BROKEN, repeat=True),
        plans({"task": "Use sum()"}, when="failed 2 times"),
        answers("19 is known; out of luck.", False, "the sum", when="first 19.*out of luck"),
        settings=_NO_REPAIR,
        end=error(
            "",
            "19 is known; out of luck. ... the sum",
            calls=11,
            runs=4,
            mended="retry, new plan",
        ),
    ),
    case(
        "plan_execute",
        "writes two steps side by side, of which one fails: only that is tried again",
        plans(STEP, {"task": "Print the difference"}),
        writes("raise ValueError('lost')", when="Print the difference"),
        writes("print('difference 4')", when="tried before.*lost"),
        writes(),
        answers(ANSWER, when="sum 42.*difference 4"),
        settings=_NO_REPAIR,
        end=right(ANSWER, calls=8, runs=3, mended="retry"),
    ),
    case(
        "plan_execute",
        "waits with a step for one that fails: it is left out and planned anew",
        plans({"task": "Load it"}, _ANEW | {"depends_on": ["s1"]}),
        writes(BROKEN, when="Load it"),
        writes(BROKEN, when="Load it"),
        plans(STEP, when="Load it.*failed 2 times"),
        writes(),
        ANSWERED,
        settings=_NO_REPAIR,
        end=right(ANSWER, calls=9, runs=3, mended="retry, new plan"),
    ),
    case(
        "plan_execute",
        "finds that something is missing, and plans it",
        plans({"task": "Print 19"}),
        writes("print(19)"),
        answers("It is 19.", False, "the sum is missing"),
        plans(STEP, when="the sum is missing"),
        writes(),
        ANSWERED,
        end=right(ANSWER, calls=8, runs=2, mended="new plan"),
    ),
    case(
        "plan_execute",
        "plans what is done once more beside what is missing: only that is done",
        plans({"task": "Print 19"}),
        writes("print(19)", when="Print 19"),
        answers("It is 19.", False, "the sum is missing"),
        plans({"task": "Print 19"}, STEP | {"depends_on": ["s1"]}, when="the sum is missing"),
        writes(),
        ANSWERED,
        end=right(ANSWER, calls=8, runs=2, mended="new plan"),
    ),
    case(
        "plan_execute",
        "only asks where something is missing: the request is the one step",
        plans({"task": "Print 19"}),
        writes("print(19)"),
        answers("It is 19.", False, "the sum is missing"),
        raw_plan({"questions": ["Which sum?"]}),
        writes(when=REQUEST),
        ANSWERED,
        end=right(ANSWER, calls=8, runs=2, mended="new plan"),
    ),
    case(
        "plan_execute",
        "is never content with the answer",
        plans(STEP, repeat=True),
        writes(repeat=True),
        answers("Not known.", False, "the proof of it", repeat=True),
        end=error(
            "",
            "Not known.\n\nThis does not answer the whole request: the proof of it",
            calls=12,
            runs=3,
            mended="2 x new plan",
        ),
    ),
)

_ANSWERS = (
    case(
        "plan_execute",
        "answers in no JSON after a plan: the answer is made by rule",
        plans(STEP),
        writes(),
        says("answer", json.dumps([42]), repeat=True),
        end=right(BY_RULE, calls=5, mended="re-ask"),
    ),
    case(
        "plan_execute",
        "answers in no JSON, once",
        plans(STEP),
        writes(),
        says("answer", "It is 42."),
        ANSWERED,
        end=right(ANSWER, calls=5, mended="re-ask"),
    ),
    case(
        "plan_execute",
        "answers with nothing after a plan: the answer is made by rule",
        plans(STEP),
        writes(),
        answers(""),
        end=right(
            "The model gave no answer of its own. This is what the program printed:\n\nsum 42",
            calls=4,
        ),
    ),
)

CASES = (*_READ, *_CONTRADICTORY, *_SETBACKS, *_ANSWERS)
