"""Goes through the motions of a run before there is one, so that the real one finds its memory.

A forked process copies a page the first time it writes to it, which a mere reference count does:
a run would spend more time on that than on itself. Done while nobody waits, it costs no program any
time; it costs each parked process the copies.
"""

from __future__ import annotations

import marshal
import os
import random
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from . import artifacts, kernel, line, places, run, script, wire

_SHORT = {
    "pandas": """
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]})
print(df.a.sum(), df["a"].mean(), len(df[df.a > 1]))
print(df.groupby("b")["a"].sum().to_dict())
print(pd.DataFrame({"a": [1, 2, 3]}).a.sum())
1
"""
}
"""What is gone through in each process: by the library that it needs, or else the plain one."""
_PLAIN = "import math\nprint(math.pi)\nprint([x * x for x in range(9)])\n1"
_TIMES = 2
"""What was touched first gave back memory, which is touched when it is taken again."""
_LONG = {
    "pandas": """
import io, math, random
import pandas as pd
df = pd.read_csv(io.StringIO("a,b,c\\n1,x,2026-01-01\\n2,y,2026-02-01\\n"), parse_dates=["c"])
print(df.groupby("b")["a"].agg(["sum", "mean"]), df.describe(), df.merge(df, on="b").sort_values("a_x"))
print(df.pivot_table(index="b", values="a"), df["c"].dt.month.value_counts(), df.to_csv())
df
""",
    "matplotlib.pyplot": """
import io
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
axes.plot([1, 2, 3], [1, 4, 9], label="a")
axes.set_title("t")
axes.legend()
figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
plt.close(figure)
""",
}
"""What is gone through once, in the process that all others come from."""
_LIMITS = {
    "memory_bytes": 1 << 40,
    "disk_bytes": 1 << 40,
    "inodes": 1 << 40,
    "processes": 1 << 20,
    "cpu_s": 0,
    "artifact_seconds": 1,
}


def keep() -> None:
    """What a keeper does with a program that ends at once."""
    ours, theirs = socket.socketpair()
    line_here, line_there = socket.socketpair()
    wire.send(ours.fileno(), wire.RUN, marshal.dumps({"limits": _LIMITS, "inputs": []}))
    header = wire.receive_values(theirs.fileno(), wire.RUN)
    subject = run.Subject(os.getpid(), line_here)
    subject.tell(wire.RUN, b"program")
    wire.send(line_there.fileno(), wire.VALUE, b"1")
    wire.send(line_there.fileno(), wire.FINISHED, b"\0\0")
    watch = run.Watch(
        theirs.fileno(), {"allow_network": True, "has_namespaces": True}, header["limits"]
    )
    watch.until_over(subject)
    artifacts.may_be_there(places.workspace())
    wire.send_bytes(theirs.fileno(), run.report(watch, f"{0} - 0") + wire.frame(wire.DONE))
    os.close(subject.ended)
    for end in (ours, theirs, line_here, line_there):
        end.close()


def play_long() -> None:
    """What programs do with the libraries: what these import at their first use, all will have."""
    for library, code in _LONG.items():
        if library in sys.modules:
            _play(code, hands_out=True)
    script.forget_idle_exit_functions()


def play() -> None:
    """What a program's process does with a program; nothing of it remains but the memory."""
    for _ in range(_TIMES):
        _play(_short_code(), hands_out=True)


def play_on() -> None:
    """The same in a session that goes on: its figures are not looked at, its numbers not drawn."""
    # The session may have put something else in the place of anything.
    with suppress(BaseException):
        _play(_short_code(), hands_out=False)


def _short_code() -> str:
    return next((code for library, code in _SHORT.items() if library in sys.modules), _PLAIN)


def _play(code: str, *, hands_out: bool) -> None:
    ours, theirs = socket.socketpair()
    program = {
        "code": code,
        "inputs": [],
        "argv": [],
        "variables": {},
        "figure_formats": ["png"],
        "value_bytes": 1000,
        "html_bytes": 10_000,
        "charts_bytes": 1000,
    }
    wire.send(ours.fileno(), wire.RUN, marshal.dumps(program))
    to_keeper = line.Line(theirs.fileno())
    header = to_keeper.hear(wire.RUN)
    limits = ("RLIMIT_CPU", "RLIMIT_DATA")
    kernel.set_rlimits({name: _hard_limit(name) for name in limits})
    with _silent(1), _silent(2), script.left_as_it_was():
        main = script.Main(header, to_keeper)
        main.execute(header)
        if hands_out:
            main.hand_out()
        script.flush(0)
    script.finish(to_keeper, 0)
    ours.close()
    theirs.close()


def _hard_limit(name: str) -> int:
    return resource.getrlimit(getattr(resource, name))[1]


@contextmanager
def _silent(descriptor: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def reseed() -> None:
    """All children of one process would draw the same numbers."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
