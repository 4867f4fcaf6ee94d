"""Replies in which the program is hard to find, or is not there."""

from __future__ import annotations

import json

from backend.tools.coder.task import Options
from bench.misbehaviours.case import End, Misbehaviour, error, right
from bench.misbehaviours.saying import SUM, fenced, says, writes

_SUM = right("sum 42", calls=3)
_ASKED_AGAIN = right("sum 42", calls=4, mended="re-ask")
_FENCE = f"```python\n{SUM}\n```"
_DRAFT = "```python\nprint('sum', input())\n```"
_TWO_LINES = "a = 19\nprint('sum', a + 23)"
_FUNCTION = "def add(a, b):\n    return a + b\n\n\nprint('sum', add(19, 23))"


def _case(does: str, reply: str, end: End = _SUM) -> Misbehaviour:
    return Misbehaviour(does=does, lines=(says("generate", reply),), end=end)


def _once(does: str, reply: str) -> Misbehaviour:
    return Misbehaviour(does=does, lines=(says("generate", reply), writes()), end=_ASKED_AGAIN)


def _always(does: str, reply: str, words: str) -> Misbehaviour:
    lines = (says("generate", reply, repeat=True),)
    return Misbehaviour(does=does, lines=lines, end=error("model", words, calls=2, mended="re-ask"))


_NO_PROGRAM = (
    "The model gave no usable program (generate): it holds no whole Python program in a ```python "
    "block. It answered ... Ask again in other words, or use a larger model."
)
_NOTHING = "The model gave no usable program (generate): The model ... answered nothing ..."

THOUGHTS = (
    _case("thinks aloud in <think> tags", f"<think>Add them.</think>\n{fenced(SUM)}"),
    _case("drafts a program in its thoughts", f"<think>Perhaps\n{_DRAFT}\n</think>\n{_FENCE}"),
    _case("ends a thought that has no beginning", f"First {_DRAFT}, no.\n</think>\n{_FENCE}"),
    _case(
        "thinks in the channels of a harmony template",
        f"<|channel|>analysis<|message|>Maybe {_DRAFT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{fenced(SUM)}<|return|>",
    ),
    _once("never ends its thought, a program in it", f"<think>Let me write it.\n{_DRAFT}"),
    _always(
        "never ends its thought, each time",
        f"<think>Let me write it.\n{_DRAFT}",
        "The model gave no usable program (generate): The model ... only thought ...",
    ),
    Misbehaviour(
        does="puts all it says into the field for thoughts",
        lines=(says("generate", thinking=f"Add them.\n{_FENCE}"), writes()),
        end=_ASKED_AGAIN,
    ),
)

WRAPPINGS = (
    _case("writes prose around the program", f"Sure! Here it is:\n\n{_FENCE}\n\nHope it helps."),
    _case("writes JSON with the code in it", json.dumps({"plan": "Add.", "code": _TWO_LINES})),
    _case(
        "writes JSON with raw line breaks in a text", f'{{"plan": "Add.", "code": "{_TWO_LINES}"}}'
    ),
    _case(
        "writes a tool call as text",
        '<tool_call>\n{"name": "python", "arguments": '
        f"{json.dumps({'code': _TWO_LINES})}}}\n</tool_call>",
    ),
    _case("calls a built-in interpreter by its tag", f"<|python_tag|>{_TWO_LINES}<|eom_id|>"),
    _case(
        "shows the template's own marks",
        f"<|im_start|>assistant\n{fenced(SUM)}<|im_end|>\n<|endoftext|>",
    ),
    _case(
        "writes several fences: an install, the program, its output",
        f"```bash\npip install numpy\n```\n\n{_FENCE}\n\nOutput:\n```\nsum 41\n```",
    ),
    _case(
        "cuts the program into two fences",
        "```python\na = 19\n```\nthen\n```python\nprint('sum', a + 23)\n```",
    ),
    _case(
        "gives two whole alternatives, the better one last",
        f"```python\nprint('about 40')\n```\nBetter:\n{_FENCE}",
    ),
    _case("nests the fence in a Markdown fence", f"````markdown\nPlan.\n\n{_FENCE}\n````"),
    _case(
        "writes a program that prints a fence",
        "```python\nprint('''\n```\nsum 42\n```\n'''.strip().strip('`').strip())\n```",
    ),
    _case("names the wrong language at the fence", f"```javascript\n{_FUNCTION}\n```"),
    _case("uses no fence", f"Add both numbers.\n\n{_FUNCTION}"),
    _once("puts the program between single backticks", f"Use `{SUM}` for that."),
    _once(
        "writes a whole notebook document",
        json.dumps({"cells": [{"cell_type": "code", "source": [SUM]}], "nbformat": 4}),
    ),
    _case(
        "indents the program as Markdown does",
        "Plan: add.\n\n    a = 19\n    print('sum', a + 23)\n",
    ),
    _case("does not close the fence", f"Add.\n\n```python\n{_TWO_LINES}"),
    _once("stops in the middle of a line", "Add.\n\n```python\na = 19\nprint('sum', a +"),
)

SLIPS = (
    _case("writes typographic quotes", "```python\nprint(“sum”, 19 + 23)\n```"),
    _case(
        "writes interpreter prompts", "```python\n>>> a = 19\n>>> print('sum', a + 23)\nsum 41\n```"
    ),
    _case("numbers the lines", "```python\n1. a = 19\n2. print('sum', a + 23)\n```"),
    _case(
        "escapes for HTML", "```python\nif 23 &gt; 19:\n    print(&quot;sum&quot;, 19 + 23)\n```"
    ),
    _case(
        "writes notebook magic",
        "```python\n!pip install -q numpy\n%matplotlib inline\nprint('sum', 19 + 23)\n```",
    ),
    _case(
        "scatters invisible characters",
        "\ufeff```python\na\u00a0= 19\u200b\nprint('sum', a + 23)\x0c\n```\x00",
    ),
    _case("writes full-width punctuation", "```python\nprint\uff08'sum'\uff0c19 + 23\uff09\n```"),
)

EVASIONS = (
    _once(
        "answers with a diff, then whole",
        "```diff\n--- a.py\n+++ a.py\n@@ -1 +1 @@\n-print(41)\n+print('sum', 19 + 23)\n```",
    ),
    _once("leaves out the rest, then whole", "```python\na = 19\n# ... rest unchanged ...\n```"),
    _always(
        "answers with a diff, each time",
        "```diff\n--- a.py\n+++ a.py\n@@ -1 +1 @@\n-print(41)\n+print(42)\n```",
        _NO_PROGRAM,
    ),
    _once("explains and writes no program", "You can add them with the plus operator."),
    _always("asks back, each time", "Which numbers do you mean, and in which file?", _NO_PROGRAM),
    _once(
        "writes JavaScript, then Python", "```javascript\nconst a = 19;\nconsole.log(a + 23);\n```"
    ),
    _always(
        "writes JavaScript, each time",
        "```javascript\nconst a = 19;\nconsole.log(a + 23);\n```",
        _NO_PROGRAM,
    ),
    Misbehaviour(
        does="writes Bash where Python was agreed",
        lines=(says("generate", fenced("echo sum $((19 + 23))", "bash")), writes()),
        options=Options(language="python"),
        end=_ASKED_AGAIN,
    ),
    _once("answers nothing, once", ""),
    _always("answers nothing, each time", "", _NOTHING),
    _always("answers white space, each time", "  \n\n\t ", _NOTHING),
    _case(
        "writes 200 KB around the program",
        f"{'so-and-so-' * 40} " * 500 + f"\n{_FENCE}\nDone.",
    ),
)

CASES = (*THOUGHTS, *WRAPPINGS, *SLIPS, *EVASIONS)
