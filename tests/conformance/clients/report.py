"""What a client's checks are made of; it runs in the client's own environment, so only Python's
library is there.

Each check is one column of the table. It prints a line of JSON: ok, failed, or n.a. with the reason.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable

PLAIN = "Please say hello"
PLAIN_ANSWER = "Hello from the model."
PLAIN_USAGE = (5, 4)
COMPUTE = "Compute 6 * 7"
COMPUTE_ANSWER = "It is 42."
COMPUTE_USAGE = (100, 10)
"""Of all four calls to the model together."""
CSV = b"name,kg\na,60.0\nb,63.0\n"
FILES = "What is the mean of column kg in weights.csv? Plot it as well."
FILES_ANSWER = "The mean is 61.5 kg."
BREAKS = "Please break off"
"""Its answer breaks off after a few words."""
BREAKS_WITH = "boom"
CANCEL = "Compute cancel-{name}"
"""Its program sleeps. The check ends when it has left; the server's record is looked at then."""


class NotApplicable(Exception):
    """The client has no such thing; the message says so."""


def report(name: str, version: str, *checks: Callable[[], None]) -> None:
    """Run the checks, each named as its column is, and print what became of them."""
    _print({"client": name, "version": version})
    for check in checks:
        column = check.__name__
        try:
            check()
        except NotApplicable as error:
            _print({"column": column, "state": "n.a.", "why": str(error)})
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            why = f"{type(error).__name__}: {error}"
            _print({"column": column, "state": "failed", "why": " ".join(why.split())[:300]})
        else:
            _print({"column": column, "state": "ok", "why": ""})


def same(found: object, expected: object) -> None:
    """Fail unless they are the same; says both."""
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


def holds(is_so: object, what: str) -> None:
    """Fail unless it is so."""
    if not is_so:
        raise AssertionError(what)


def _print(value: dict[str, str]) -> None:
    print(json.dumps(value), flush=True)
