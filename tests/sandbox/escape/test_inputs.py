"""A program's inputs: to be read, never changed, and no way to where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, as_expected, kept
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

READ_ONLY = "EROFS|EPERM|EACCES|ENOENT|EXDEV|EBUSY|EINVAL"

INPUT_ATTEMPTS = {
    "write": "open('in.txt', 'w')",
    "append": "open('in.txt', 'a')",
    "truncate": "os.truncate('in.txt', 0)",
    "remove": "os.remove('in.txt')",
    "mode": "os.chmod('in.txt', 0o777)",
    "owner": "os.chown('in.txt', 65534, 65534)",
    "time": "os.utime('in.txt')",
    "rename": "os.rename('in.txt', 'out.txt')",
    "replace": "os.rename('new', 'in.txt')",
    "link": "os.link('in.txt', 'linked')",
    "its folder": "os.rename('.', '../elsewhere')",
    "again through its descriptor": "os.open(f'/proc/self/fd/{open(\"in.txt\").fileno()}', os.O_RDWR)",
}


def test_an_input_can_be_read_but_not_changed(
    person: Person, canaries: Canaries, source: Path, check: bool
) -> None:
    code = "open('new', 'w').close()\nattempt('read', lambda: open('in.txt').read())\n" + "".join(
        f"attempt({what!r}, lambda: {do})\n" for what, do in INPUT_ATTEMPTS.items()
    )
    expected = {"read": "REACHED 'original'", **dict.fromkeys(INPUT_ATTEMPTS, READ_ONLY)}
    answer = person.run(PRELUDE + code, check=check, files={"in.txt": source})
    kept(answer, canaries)
    if not (check and answer.issues):
        as_expected(answer.attempts, expected, answer)
    assert (source.read_text(encoding="utf-8"), source.stat().st_mode & 0o777) == (
        "original",
        0o644,
    )


def test_neither_the_execution_folder_nor_its_name_leads_to_other_runs(
    person: Person, source: Path
) -> None:
    # The kernel names the place from which a file is bound; it must not be a way there.
    code = """
import json, os
lines = [line.split() for line in open("/proc/self/mountinfo")]
places = sorted({line[3] for line in lines if line[3].startswith("/")} - {"/"})
opened = []
for place in places:
    for path in (os.path.dirname(place), os.path.dirname(os.path.dirname(place)), place + "/.."):
        for start in ("", "/proc/self/root"):
            try:
                opened += [name for name in os.listdir(start + path) if name.startswith("run-")]
            except OSError:
                pass
print(json.dumps([len(lines), opened]))
"""
    lines, opened = json.loads(person.run(code, files={"in.txt": source}).stdout)
    assert lines > 3
    assert opened == []
