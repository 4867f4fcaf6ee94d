"""Programs that cannot work, or do not do what was asked."""

from __future__ import annotations

from backend.tools.coder.task import Options
from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import fenced, judges, repairs, says, writes

_REPAIRED = right("sum 42", calls=4, runs=2, mended="repair")
_JUDGED_AND_REPAIRED = right("sum 42", calls=5, runs=2, mended="repair")
_REWRITTEN = right("sum 42", calls=4, runs=1, mended="rewrite")
_LOST = "raise ValueError('lost')"

OF_THE_SANDBOX = (
    Misbehaviour(
        does="misspells a package",
        lines=(writes("import nunpy as np\nprint('sum', int(np.add(19, 23)))"),),
        end=right("sum 42", calls=3, runs=1, mended="rule"),
    ),
    Misbehaviour(
        does="imports what is not installed",
        lines=(
            writes("import sumlib\nprint('sum', sumlib.add(19, 23))"),
            repairs(when="sumlib"),
        ),
        end=_REWRITTEN,
    ),
    Misbehaviour(
        does="imports what is not installed, each time",
        lines=(
            writes("import sumlib\nprint(sumlib.add(19, 23))"),
            repairs("import sumlib\nprint('sum', sumlib.add(19, 23))", repeat=True),
        ),
        end=error(
            "policy",
            "The program was not run: after 3 rewrites it still has findings. ... sumlib ...",
            calls=4,
            mended="3 x rewrite",
        ),
    ),
    Misbehaviour(
        does="waits for the keyboard",
        lines=(writes("print('sum', int(input('First: ')) + 23)"), repairs(when="input")),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="wants the network",
        lines=(
            writes(
                "import urllib.request\n"
                "print(urllib.request.urlopen('http://example.com/19+23').read())"
            ),
            repairs(when="network"),
        ),
        end=_REWRITTEN,
    ),
    Misbehaviour(
        does="starts other programs (forbidden import)",
        lines=(
            writes("import subprocess\nprint(subprocess.check_output(['expr', '19', '+', '23']))"),
            repairs(when="subprocess"),
        ),
        end=_REWRITTEN,
    ),
    Misbehaviour(
        does="uses what is forbidden, each time",
        lines=(
            writes("import subprocess\nsubprocess.run('echo 42')"),
            repairs("import os\nos.system('echo 42')", repeat=True),
        ),
        end=error(
            "policy",
            "The program was not run: after 3 rewrites it still has findings. ...",
            calls=4,
            mended="3 x rewrite",
        ),
    ),
    Misbehaviour(
        does="changes nothing when it rewrites, and is told so",
        lines=(
            writes("import subprocess\nsubprocess.run('echo 42')"),
            repairs("import subprocess  # needed\nsubprocess.run('echo 42')"),
            repairs(when="Your last rewrite changed nothing"),
        ),
        end=right("sum 42", calls=5, runs=1, mended="2 x rewrite"),
    ),
    Misbehaviour(
        does="runs without end",
        lines=(
            writes("n = 0\nwhile n >= 0:\n    n += 1\nprint('sum', n)"),
            repairs(when="time|second|end"),
        ),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="takes all memory",
        lines=(
            writes("held = []\nwhile True:\n    held.append(bytearray(20_000_000))"),
            repairs(when="memory"),
        ),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="floods the output",
        lines=(
            writes("for n in range(60_000):\n    print('line', n)\nprint('sum', 19 + 23)"),
            judges(
                False, "the sum is lost in thousands of lines", when=r"omitted|bytes|cut|\.\.\."
            ),
            repairs(when="thousands of lines"),
        ),
        end=_JUDGED_AND_REPAIRED,
    ),
    Misbehaviour(
        does="leaves a process behind (Bash)",
        request="Add 19 and 23 with a Bash script and print the sum.",
        options=Options(language="bash"),
        lines=(says("generate", fenced("sleep 60 &\necho sum $((19 + 23))", "bash")),),
        end=right("sum 42", calls=3),
    ),
    Misbehaviour(
        does="leaves a thread behind",
        lines=(
            writes(
                "import threading, time\n"
                "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
                "print('sum', 19 + 23)"
            ),
        ),
        end=right("sum 42", calls=3),
    ),
)

OF_LOGIC = (
    Misbehaviour(
        does="writes what is no Python, in a whole block",
        lines=(writes("for n in range(3)\n    print n"), repairs(when="syntax|expected")),
        end=_REWRITTEN,
    ),
    Misbehaviour(
        does="defines a function and never calls it",
        lines=(writes("def add(a, b):\n    return a + b"), repairs(when="never called|add")),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="prints nothing",
        lines=(writes("total = 19 + 23"), repairs(when="printed nothing|nothing was printed")),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="leaves with sys.exit(0) before it printed",
        lines=(
            writes(
                "import sys\nif __name__ == '__main__':\n    sys.exit(0)\nprint('sum', 19 + 23)"
            ),
            repairs(when="nothing|exit"),
        ),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="prints that it succeeded, and fails",
        lines=(
            writes('print(\'{"success": true, "returncode": 0}\\nsum 42\')\nraise SystemExit(3)'),
            repairs(when="exit"),
        ),
        end=_REPAIRED,
    ),
    Misbehaviour(
        does="swallows the exception and prints what is wrong",
        lines=(
            writes(
                "try:\n    total = nineteen + 23\nexcept Exception:\n    total = 0\n"
                "print('sum', total)"
            ),
            judges(False, "the sum is 0, though both numbers are positive", when="sum 0"),
            repairs(when="the sum is 0"),
        ),
        end=_JUDGED_AND_REPAIRED,
    ),
    Misbehaviour(
        does="prints another thing than was asked, each time",
        lines=(
            writes("print('hello')"),
            repairs("print('hello')", repeat=True),
            judges(False, "the sum is missing", repeat=True),
        ),
        allowed=15,
        end=error(
            "program",
            "It ran, but its output does not answer the request: the sum is missing...",
            calls=9,
            runs=4,
            mended="3 x repair",
        ),
    ),
    Misbehaviour(
        does="goes to and fro between two programs",
        lines=(
            writes(_LOST),
            repairs("raise KeyError('gone')", when="lost"),
            repairs(_LOST, when="gone"),
            repairs(when="was attempt 1 again"),
        ),
        end=right("sum 42", calls=7, runs=4, mended="3 x repair, diagnosis"),
    ),
    Misbehaviour(
        does="makes the same mistake three times, and begins anew",
        lines=(
            writes(_LOST),
            repairs(f"a = 19\n{_LOST}", when="Mend the cause"),
            repairs(f"b = 23\n{_LOST}", when="The same failure came twice"),
            repairs(when="The same failure came 3 times.*Begin anew"),
        ),
        end=right("sum 42", calls=8, runs=4, mended="3 x repair, 2 x diagnosis"),
    ),
    Misbehaviour(
        does="answers a failed run with the same program",
        lines=(
            writes(_LOST),
            repairs(f"{_LOST}  # should work now"),
            repairs(when="Your last repair changed nothing"),
        ),
        end=right("sum 42", calls=6, runs=3, mended="2 x repair, diagnosis"),
    ),
    Misbehaviour(
        does="fails each time",
        lines=(writes(_LOST), repairs(_LOST, repeat=True)),
        end=error(
            "program", "ValueError: lost...", calls=7, runs=4, mended="3 x repair, 2 x diagnosis"
        ),
    ),
    Misbehaviour(
        does="repairs with words and no program",
        lines=(
            writes(_LOST),
            says("repair", "You should catch the exception."),
            repairs(when="Your last reply could not be used"),
        ),
        end=right("sum 42", calls=5, runs=2, mended="re-ask, repair"),
    ),
)

CASES = (*OF_THE_SANDBOX, *OF_LOGIC)
