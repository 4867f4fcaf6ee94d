"""ReAct agents that name no tool, invent what they saw, or never finish."""

from __future__ import annotations

import json

from bench.misbehaviours.agent_cases import (
    ANSWER,
    ANSWERED,
    BROKEN,
    BY_RULE,
    DONE,
    TASK,
    USE,
    case,
    labels,
    react,
)
from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import SUM, acts, answers, fenced, repairs, says, writes

_TWICE = says("act", "Let me see.", repeat=True)
_NO_REPAIR = {"max_retries": 0}

_NAMES = (
    "coder",
    "generate",
    "generate_code",
    "Python Interpreter",
    "python_codr",
    "use python_coder",
    "**python_coder**",
    "`python_coder`",
)
_TEXTS = {
    "a tool call as text": f'<tool_call>{{"name": "python_coder", "arguments": {{"task": "{TASK}"}}}}</tool_call>',
    "a function and its arguments as a text in JSON": json.dumps(
        {"function": {"name": "python_coder", "arguments": json.dumps({"task": TASK})}}
    ),
    "an action that is an object": json.dumps(
        {"thought": "So.", "action": {"name": "python_coder", "args": {"task": TASK}}}
    ),
    "JSON in a fence, with words around it": 'Right.\n```json\n{"action": "python_coder", '
    f'"action_input": "{TASK}"}}\n```\nThat will do.',
    "JSON without its last brace": f'{{"thought": "So.", "action": "python_coder", "action_input": "{TASK}"',
    "the call as it would be in Python": f'Action: python_coder("{TASK}")',
    "thoughts in tags before the JSON": f"<think>finish?</think>{USE.reply}",
    "two actions at once: the first is done": USE.reply + "\n" + acts("finish", "It is 41.").reply,
    "the program in place of an action": fenced(SUM),
}
_INVENTED = {
    "labels": f"Thought: So.\nAction: python_coder\nAction Input: {TASK}\nObservation: 41\n"
    "Action: finish\nAction Input: It is 41.",
    "JSON": f"{USE.reply}\nObservation: 41\n{acts('finish', 'It is 41.').reply}",
    "a final answer": f"Action: coder\nAction Input: {TASK}\nObservation: 41\nFinal Answer: It is 41.",
}


def _loop(does: str, *lines: str, calls: int, runs: int, **more: object) -> Misbehaviour:
    """Inputs of the tool, one after the other, whose programs fail; then the sum after all."""
    steps = [acts("python_coder", each) for each in lines]
    return case(
        "react",
        does,
        *steps,
        writes(BROKEN, repeat=True),
        answers("It cannot be computed: out of luck.", False, "the sum", repeat=True),
        settings=_NO_REPAIR,
        end=error("", "It cannot be computed: out of luck. ... the sum", calls=calls, runs=runs),
        **more,
    )


_MISREAD = (
    *(react(f"calls the tool {name} (in JSON)", acts(name, TASK)) for name in _NAMES),
    *(react(f"calls the tool {name} (in labels)", labels(name)) for name in _NAMES),
    *(react(f"writes {what}", says("act", text)) for what, text in _TEXTS.items()),
    *(
        react(f"invents the observation, in {how}", says("act", text))
        for how, text in _INVENTED.items()
    ),
    react(
        "gives a program of many lines as the input: it arrives whole",
        labels("python_coder", f"```python\n# Observation: none yet\ntotal = 19 + 23\n{SUM}\n```"),
        writes(when="Observation: none yet.*total = 19.*print"),
    ),
)

_UNREADABLE = "The model's reply could not be read as an action, twice: ... "
_CORRECTED = (
    react("names no action, once", says("act", "Let me see."), USE, calls=5, mended="re-ask"),
    react("says nothing, once", says("act", ""), USE, calls=5, mended="re-ask"),
    react(
        "says nothing but thoughts, once",
        says("act", thinking="Hm. The tool?"),
        USE,
        calls=5,
        mended="re-ask",
    ),
    react(
        "names a tool that there is not",
        acts("web_search", "19 + 23"),
        acts("python_coder", TASK, when="There is no tool 'web_search'"),
        calls=5,
    ),
    react(
        "names no tool",
        acts("none", "19 + 23"),
        acts("python_coder", TASK, when="No tool was named"),
        calls=5,
    ),
    react("finishes before any program ran", acts("finish", "It is 41."), mended="rule"),
    react(
        "finishes before any program ran, in words",
        says("act", "Final Answer: It is 41."),
        mended="rule",
    ),
    react(
        "finishes without an answer",
        acts("finish", ""),
        acts("python_coder", TASK, when="finish came without an answer"),
        calls=5,
    ),
    case(
        "react",
        "finishes with a number",
        USE,
        writes(),
        says("act", '{"action": "finish", "action_input": 42}'),
        end=right("42", calls=4),
    ),
    *(
        case(
            "react",
            f"{does}, each time",
            line,
            end=error("", f"{_UNREADABLE}{shown}", calls=2, mended="re-ask"),
        )
        for does, line, shown in (
            ("names no action", _TWICE, "It answered 'Let me see.'. Ask in other words"),
            ("says nothing", says("act", "", repeat=True), "Ask in other words"),
            ("says nothing but white space", says("act", " \n", repeat=True), "Ask in other words"),
            (
                "has a thought and no action",
                says("act", '{"thought": "Let me see."}', repeat=True),
                'It answered \'{"thought"',
            ),
        )
    ),
    case(
        "react",
        "never comes to the end of a reply",
        says("act", "so " * 400, done_reason="length", repeat=True),
        end=error(
            "",
            "The model's reply could not be read as an action, twice: ...",
            calls=2,
            mended="wider limit",
        ),
    ),
    case(
        "react",
        "names no action any more once it has a result",
        USE,
        writes(),
        _TWICE,
        ANSWERED,
        end=right(ANSWER, calls=6, mended="re-ask"),
    ),
)

_LOOPS = (
    case(
        "react",
        "asks for the same thing again",
        USE,
        writes(),
        USE,
        ANSWERED,
        end=right(ANSWER, calls=5),
    ),
    case(
        "react",
        "asks for two things in turn: A, B, A",
        USE,
        acts("python_coder", "Print the sum anew."),
        acts("python_coder", TASK),
        writes(repeat=True),
        ANSWERED,
        end=right(ANSWER, calls=8, runs=2),
    ),
    _loop("asks for the same thing again that has failed, for ever", *[TASK] * 6, calls=6, runs=1),
    _loop(
        "asks for two things in turn that fail: A, B, A, B",
        *["Add them.", "Sum them."] * 3,
        calls=10,
        runs=2,
    ),
    _loop(
        "comes to the same failure in other words, for ever",
        *(f"Add them, way {number}." for number in range(9)),
        calls=10,
        runs=3,
    ),
    case(
        "react",
        "asks again for what has failed, is told so, and goes about it differently",
        USE,
        writes(BROKEN),
        acts("python_coder", TASK),
        acts("python_coder", "Add them with sum().", when="was not done again"),
        writes(),
        DONE,
        settings=_NO_REPAIR,
        end=right(ANSWER, calls=8, runs=2),
    ),
    case(
        "react",
        "is told that a failure is the same, and goes about it differently",
        USE,
        writes(BROKEN),
        acts("python_coder", "Add them."),
        writes(BROKEN),
        acts("python_coder", "Add them with sum().", when="same failure as in step 1"),
        writes(),
        DONE,
        settings=_NO_REPAIR,
        end=right(ANSWER, calls=10, runs=3),
    ),
    case(
        "react",
        "names a tool that there is not, for ever",
        acts("web_search", "19 + 23", repeat=True),
        answers("It is not known.", False, "the sum"),
        end=error("", "It is not known. ... the sum", calls=6),
    ),
    case(
        "react",
        "thinks and names no tool, for ever",
        acts("none", "", repeat=True),
        answers("It is not known.", False, "the sum"),
        end=error("", "It is not known. ... the sum", calls=6),
    ),
    case(
        "react",
        "finishes without an answer, for ever",
        acts("finish", " ", repeat=True),
        answers("It is not known.", False, "the sum"),
        end=error("", "It is not known. ... the sum", calls=6),
    ),
    case(
        "react",
        "never finishes",
        *(acts("python_coder", f"Print the sum of 19 and 23, way {n}.") for n in range(9)),
        writes(repeat=True),
        ANSWERED,
        end=right(ANSWER, calls=16, runs=5),
    ),
    case(
        "react",
        "writes programs that fail, whatever it is told",
        USE,
        writes(BROKEN),
        repairs(BROKEN, repeat=True),
        acts(
            "finish",
            "It cannot be computed.",
            when="It failed: .*out of luck",
        ),
        end=error(
            "", "It cannot be computed.", calls=9, runs=4, mended="3 x repair, 2 x diagnosis"
        ),
    ),
)

_ANSWERS = (
    case(
        "react",
        "answers in no JSON: the answer is made by rule",
        USE,
        writes(),
        USE,
        says("answer", "The answer is known.", repeat=True),
        end=right(BY_RULE, calls=6, mended="re-ask"),
    ),
    case(
        "react",
        "answers with nothing: the answer is made by rule",
        USE,
        writes(),
        USE,
        answers(""),
        end=right(
            "The model asked for the same thing again. This is what the program printed:\n\nsum 42",
            calls=5,
        ),
    ),
)

CASES = (*_MISREAD, *_CORRECTED, *_LOOPS, *_ANSWERS)
