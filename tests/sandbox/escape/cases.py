"""An attack as data, and what it means that one is contained."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.sandbox.conftest import MARK, MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.people import Answer, Person

REACHED = "REACHED.*"
"""What an attempt says that succeeded: the pattern of a positive control."""

PRELUDE = (
    MARK
    + """
import errno
def attempt(what, do):
    try:
        said = f"REACHED {do()!r}"
    except OSError as error:
        said = errno.errorcode.get(error.errno) or type(error).__name__
    except Exception as error:
        said = type(error).__name__
    os.write(1, f"# {what}: {said[:300]}\\n".encode("utf-8", "backslashreplace"))
"""
)
"""Before every attack: it says that it runs, and of each attempt what became of it."""

CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(x86, arm, *args):
    number = x86 if os.uname().machine == "x86_64" else arm
    plain = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    got = libc.syscall(ctypes.c_long(number), *plain)
    if got == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return got
"""
"""System calls by their numbers on x86_64 and aarch64, without a library in between."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A hostile program and what each of its attempts has to say.

    The program holds tokens such as ``@FILE@`` for the canaries (see ``Canaries.fill``).
    """

    id: str
    code: str
    inside: Mapping[str, str]
    """Attempt -> pattern of its words inside. Some are allowed: they show that the probe works."""
    outside: Mapping[str, str] | None = None
    """The same on the host, where the walls are not; None where it would do harm or say nothing."""
    timeout_s: float = 20

    def __str__(self) -> str:
        return self.id


def contained(person: Person, attack: Attack, canaries: Canaries, *, check: bool) -> Answer:
    """Run an attack: refused by the check if it is asked, else by the kernel, and said so."""
    code = PRELUDE + canaries.fill(attack.code)
    answer = person.run(code, check=check, timeout_s=attack.timeout_s)
    kept(answer, canaries)
    if check and answer.issues:
        assert (answer.returncode, answer.stdout) == (None, "")
        return answer
    assert answer.stdout.startswith(MARKER), answer
    as_expected(answer.attempts, attack.inside, answer)
    return answer


def reaches(attack: Attack, canaries: Canaries) -> None:
    """Run an attack that does no harm on the host: there it succeeds."""
    assert attack.outside is not None
    finished = subprocess.run(
        [sys.executable, "-c", PRELUDE + canaries.fill(attack.code)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        cwd="/",
    )
    answer = Answer(stdout=finished.stdout, stderr=finished.stderr, artifacts={})
    as_expected(answer.attempts, attack.outside, answer)


def kept(answer: Answer, canaries: Canaries) -> None:
    """Nothing that came out holds the secret."""
    contents = [content.decode("latin-1") for _, content in answer.artifacts.values()]
    out = "".join(
        [
            answer.stdout,
            answer.stderr,
            answer.value or "",
            *answer.notes,
            *contents,
            str(answer.failure),
        ]
    )
    assert canaries.secret not in out


def as_expected(said: Mapping[str, str], expected: Mapping[str, str], answer: Answer) -> None:
    wrong = {
        what: (said.get(what, "nothing"), pattern)
        for what, pattern in expected.items()
        if not re.fullmatch(pattern, said.get(what, "nothing"))
    }
    assert not wrong, f"{wrong}\n{answer}"
    assert set(said) == set(expected), answer
