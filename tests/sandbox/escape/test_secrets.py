"""What the server knows and programs must not: its environment, wherever the kernel shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

SEARCH = """
import ctypes, glob, os
print(dict(os.environ), flush=True)
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
number = 0
while environ[number]:
    print(environ[number], flush=True)
    number += 1
seen = 0
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ") + [
    "/proc/1/environ", "/proc/1/cmdline", "/proc/self/environ", "/proc/self/cmdline"
]:
    try:
        print(path, open(path, "rb").read(), flush=True)
        seen += 1
    except OSError as error:
        print(path, error, flush=True)
print("seen", seen)
"""


def test_the_server_does_have_the_secret(person: Person, canaries: Canaries) -> None:
    environment = Path(f"/proc/{person.pid}/environ").read_bytes()
    assert f"SECRET_TOKEN={canaries.secret}".encode() in environment


def test_no_environment_that_can_be_seen_holds_it(
    person: Person, canaries: Canaries, check: bool
) -> None:
    answer = person.run(PRELUDE + SEARCH, check=check)
    kept(answer, canaries)
    assert "SECRET_TOKEN" not in answer.stdout
    if not (check and answer.issues):
        assert answer.success
        assert int(answer.stdout.split()[-1]) > 0


def test_a_shell_is_told_no_more(person: Person, canaries: Canaries) -> None:
    code = "echo it ran; env; set; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; export -p; true"
    answer = person.run(code, language="bash")
    assert answer.stdout.startswith(MARKER)
    assert "HOME=" in answer.stdout
    kept(answer, canaries)


def test_its_own_memory_holds_no_secret_either(person: Person, canaries: Canaries) -> None:
    """A warm process was forked from one that the server started."""
    code = """
import os, re
word = "secret" + "-"
found = set()
memory = open("/proc/self/mem", "rb")
for line in open("/proc/self/maps"):
    bounds, mode = line.split()[:2]
    start, end = (int(part, 16) for part in bounds.split("-"))
    if mode[0] != "r" or "[v" in line or end - start > 1 << 28:
        continue
    try:
        memory.seek(start)
        found |= set(re.findall(word.encode() + b"[0-9a-f]{16}", memory.read(end - start)))
    except OSError:
        continue
print("looked", memory.tell() > 0, [text[7:] for text in found])
"""
    answer = person.run(code, memory_mb=1024)
    assert answer.stdout == "looked True []\n", answer.stderr
    assert canaries.secret[7:] not in answer.stdout
