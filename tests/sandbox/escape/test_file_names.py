"""Names of inputs: each is refused at once, or the file is there under exactly that name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.people import Person

pytestmark = pytest.mark.sandbox

HOSTILE = (
    "../up.txt",
    "/etc/passwd",
    "a/../../up",
    "..",
    ".",
    "",
    "a//b",
    "a/",
    "a\0b",
    "a\nb",
    "\x1b[31m",
    "\ud800",
    "x" * 256,
    "/".join("d" * 40),
    "~/x",
    "-rf",
    "--bind",
    "--ro-bind",
    "$(touch x)",
    "`touch x`",
    "a;touch x",
    "%s%n",
    "a\\b",
    "C:\\x",
    "json.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pandas/__init__.py",
    "evil.pth",
    "__main__.py",
    "main.py",
    "inside/keeper.py",
    "...",
    " ",
    "\u202egnp.exe",
    "\u2028",
    "e\u0301",
    "é",
    "한글.csv",
    "nul",
)

SHOW = """
import os
found = []
for folder, _, names in os.walk("/workspace"):
    found += [os.path.relpath(os.path.join(folder, name), "/workspace") for name in names]
print(ascii([found, [open(name).read() for name in found]]))
"""


def round_trip(person: Person, name: str, source: Path) -> None:
    answer = person.run(SHOW, files={name: source})
    if answer.error:
        assert answer.error.startswith("RequestError: The file name "), answer.error
        assert answer.error.isprintable()
        return
    assert answer.success, answer.stderr
    assert ast.literal_eval(answer.stdout) == [[name], ["original"]]
    assert answer.artifacts == {}


@pytest.mark.parametrize("name", [ascii(name) for name in HOSTILE])
def test_a_hostile_name_is_refused_or_is_just_a_name(
    person: Person, canaries: Canaries, source: Path, name: str
) -> None:
    round_trip(person, ast.literal_eval(name), source)
    assert source.read_text(encoding="utf-8") == "original"


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=20).map("/".join))
def test_any_text_is_refused_or_is_just_a_name(person: Person, source: Path, name: str) -> None:
    round_trip(person, name, source)


def test_names_that_exclude_each_other_are_refused(person: Person, source: Path) -> None:
    for names in (["a", "a/b"], ["a/b", "a/b/c"]):
        answer = person.run("1", files=dict.fromkeys(names, source))
        assert answer.error.startswith("RequestError"), answer


def test_an_input_that_shadows_a_module_does_not_reach_the_machinery(
    person: Person, source: Path
) -> None:
    """The keeper, the artifacts and the next run do not go by what lies in the folder."""
    source.write_text("import os\nos.write(1, b'shadowed')\nos._exit(9)\n", encoding="utf-8")
    names = ("os.py", "marshal.py", "wire.py", "encodings/__init__.py", "linecache.py")
    modules = ("traceback.py", "numpy/__init__.py", "matplotlib.py", "usage.py", "artifacts.py")
    files = dict.fromkeys((*names, *modules), source)
    answer = person.run("open('out.txt', 'w').write('x')", files=files)
    assert (answer.returncode, answer.artifacts) in (
        (0, {"out.txt": (1, b"x")}),
        (9, {"out.txt": (1, b"x")}),
    ), answer
    assert person.run("import json; print(json.dumps(1))").stdout == "1\n"
