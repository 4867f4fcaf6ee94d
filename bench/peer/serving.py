"""How a peer is talked to: a line ``[count, pause]`` in, a line of milliseconds out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Opener = Callable[[], AbstractContextManager[Callable[[str], str]]]
"""Opens a peer: gives what runs a program and returns what it printed."""


def serve(open_peer: Opener, program: str, says: str) -> None:
    """Say whether the peer works, then take samples as they are asked for.

    A peer that does not print what it should is told of, not measured.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        with open_peer() as run:
            printed = run(program).strip()
            if printed != says:
                raise RuntimeError(f"it printed {printed[:200]!r}")
            print(json.dumps({"ready": True}), file=answers, flush=True)
            for taken in _samples(run, program):
                print(json.dumps(taken), file=answers, flush=True)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(json.dumps({"missing": reason[:300]}), file=answers, flush=True)


def _samples(run: Callable[[str], str], program: str) -> Iterator[list[float]]:
    for line in sys.stdin:
        count, pause_s = json.loads(line)
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            run(program)
            taken.append((time.perf_counter() - started) * 1000)
            time.sleep(pause_s)
        yield taken
