"""What a program leaves behind as a trap for whoever collects it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.sandbox.executors.local.report import harmless_name
from backend.sandbox.walls.limits import ArtifactCaps
from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import PRELUDE, kept
from tests.sandbox.escape.people import Answer, Person

pytestmark = pytest.mark.sandbox

CAPS = ArtifactCaps()

TREES = {
    "links to everywhere": """
for n, place in enumerate(("/etc/passwd", "@FILE@", "/", "/proc/1/environ", "/proc/self/environ",
                           "/proc/self/mem", ".", "..", "loop", "../../etc/shadow", "/dev/zero")):
    os.symlink(place, f"link{n}")
os.symlink("loop", "loop")
os.symlink("/", "root")
open("real.txt", "w").write("x")
""",
    "pipes and sockets": """
import socket
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
for name, mode in (("disk", 0o60666), ("tty", 0o20666)):
    try: os.mknod(name, mode, os.makedev(8, 0))
    except OSError: pass
open("real.txt", "w").write("x")
""",
    "hard links": """
open("a.txt", "w").write("x")
for n in range(50): os.link("a.txt", f"b{n:02}.txt")
""",
    "sparse files": """
for n in range(20): open(f"sparse{n}", "wb").truncate(60 << 20)
open("real.txt", "w").write("x")
""",
    "a thousand folders deep": """
for n in range(1000): os.mkdir("d" * 200); os.chdir("d" * 200)
open("x", "w").close()
os.chdir("/workspace"); open("real.txt", "w").write("x")
""",
    "more files than anyone reads": """
try:
    for n in range(100_000): open(f"{n:06}", "w").close()
except OSError: pass
""",
    "names of any bytes": r"""
for name in (b"bad\xff.txt", b"line\nbreak", b"\x1b[31m", b"..\\..\\x", b" ", b"-rf", b"a:b", b"%s",
             b"C:\\x", b"\xe2\x80\xae", b"x" * 255, b"\xed\xa0\x80", b"nul", b"a b", b"~", b"$(x)"):
    open(name, "wb").close()
""",
    "nothing may be read": """
os.makedirs("closed/below")
open("closed/below/x", "w").write("x")
for path in ("closed/below/x", "closed/below", "closed", "."): os.chmod(path, 0)
""",
    "the folder itself is away": """
import shutil
try: os.rename("/workspace", "/tmp/elsewhere")
except OSError: pass
try: os.symlink("/etc", "/tmp/etc"); shutil.rmtree("/workspace")
except OSError: pass
""",
    "swapped while it is read": """
import signal, time
for n in range(4):
    if not os.fork():
        os.setsid()
        for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                os.symlink("/etc/passwd", f"new{n}"); os.replace(f"new{n}", "swap")
                os.symlink("/etc", f"new{n}"); os.replace(f"new{n}", "folder")
                open(f"new{n}", "w").write("x"); os.replace(f"new{n}", "swap")
                os.mkfifo(f"new{n}"); os.replace(f"new{n}", "swap")
            except OSError: pass
time.sleep(0.3)
os._exit(0)
""",
    "growing while it is read": """
if not os.fork():
    os.setsid()
    while True:
        try: open("grow", "ab").write(bytes(1 << 16)); os.truncate("grow", 0)
        except OSError: pass
import time; time.sleep(0.2); os._exit(0)
""",
    "locked and leased": """
import fcntl, time
f = open("locked", "w"); f.write("x"); f.flush()
fcntl.flock(f, fcntl.LOCK_EX)
fcntl.lockf(f, fcntl.LOCK_EX)
g = os.open("leased", os.O_RDWR | os.O_CREAT); os.write(g, b"x")
try: fcntl.fcntl(g, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError: pass
if not os.fork(): time.sleep(60)
""",
    "mapped and being written": """
import mmap
f = open("mapped", "w+b"); f.truncate(1 << 20)
m = mmap.mmap(f.fileno(), 1 << 20)
if not os.fork():
    while True: m[0:1] = b"x"
""",
    "names that fall together": r"""
for name in (b"a\xff", rb"a\xff", b"a\xff~2", rb"a\xff~2"): open(name, "wb").write(b"x")
""",
}


@pytest.mark.parametrize("tree", TREES)
def test_no_tree_harms_who_collects_it(person: Person, canaries: Canaries, tree: str) -> None:
    answer = person.run(PRELUDE + canaries.fill(TREES[tree]), timeout_s=30)
    assert answer.stdout.startswith(MARKER)
    kept(answer, canaries)
    assert answer.stopped_by in (None, "disk"), answer
    within_the_caps(answer)
    contents = b"".join(content for _, content in answer.artifacts.values())
    assert b"root:" not in contents
    assert b"nobody:" not in contents
    if tree == "nothing may be read":
        assert answer.artifacts == {"closed/below/x": (1, b"x")}
    if "real.txt" in TREES[tree] and "sparse" not in tree:
        assert answer.artifacts["real.txt"] == (1, b"x")


def within_the_caps(answer: Answer) -> None:
    sizes = [size for size, _ in answer.artifacts.values()]
    assert len(sizes) <= CAPS.files
    assert max(sizes, default=0) <= CAPS.file_bytes
    assert sum(sizes) <= CAPS.total_bytes
    for name in answer.artifacts:
        assert name.isprintable()
        assert not name.startswith("/")
        assert not {"", ".", ".."} & set(name.split("/"))


PART = st.binary(min_size=1, max_size=12).map(
    lambda raw: bytes(byte for byte in raw if byte not in b"/\0")
)
NAME = (st.sampled_from([b"a", b"b", b"c.csv"]) | PART).filter(
    lambda raw: raw not in (b"", b".", b"..")
)
LEAF = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=20), st.sampled_from([0o644, 0o400, 0])),
    st.tuples(st.just("link"), st.sampled_from([b"/etc/passwd", b".", b"..", b"a", b"/proc/1"])),
    st.tuples(st.just("pipe")),
)
TREE = st.recursive(
    LEAF,
    lambda children: st.tuples(
        st.just("folder"), st.dictionaries(NAME, children, max_size=4), st.sampled_from([0o755, 0])
    ),
    max_leaves=12,
)
ROOT = st.dictionaries(NAME, TREE, max_size=5)

BUILD = (
    PRELUDE
    + """
import json
def make(path, kind, what=None, mode=None):
    if kind == "file":
        with open(path, "wb") as file: file.write(what.encode("latin-1"))
    elif kind == "link": os.symlink(what.encode("latin-1"), path)
    elif kind == "pipe": os.mkfifo(path)
    else:
        os.mkdir(path)
        for name, below in what.items(): make(path + b"/" + name.encode("latin-1"), *below)
    if mode is not None: os.chmod(path, mode)
for name, below in json.loads(TREE).items(): make(name.encode("latin-1"), *below)
"""
)


def as_plain(tree: dict[bytes, Any]) -> dict[str, Any]:
    return {name.decode("latin-1"): _plain(*below) for name, below in tree.items()}


def _plain(kind: str, what: Any = None, mode: int | None = None) -> list[Any]:
    if isinstance(what, dict):
        return [kind, as_plain(what), mode]
    return [kind, what.decode("latin-1") if isinstance(what, bytes) else what, mode]


def files_of(tree: dict[bytes, Any], prefix: bytes = b"") -> dict[bytes, bytes]:
    """The regular files of a tree, which are what has to come out, and nothing else."""
    found: dict[bytes, bytes] = {}
    for name, (kind, *rest) in tree.items():
        if kind == "file":
            found[prefix + name] = rest[0]
        elif kind == "folder":
            found |= files_of(rest[0], prefix + name + b"/")
    return found


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tree=ROOT)
def test_of_any_tree_the_regular_files_come_out(person: Person, tree: dict[bytes, Any]) -> None:
    answer = person.run(BUILD.replace("TREE", repr(json.dumps(as_plain(tree)))), timeout_s=20)
    assert (answer.success, answer.stdout) == (True, f"{MARKER}\n"), answer.stderr
    expected = files_of(tree)
    names = {harmless_name(raw) for raw in expected}
    if len(names) == len(expected):
        assert set(answer.artifacts) == names
    assert sorted(content for _, content in answer.artifacts.values()) == sorted(expected.values())
    left_out = any("no regular files" in note for note in answer.notes)
    assert left_out == (json.dumps(as_plain(tree)).count('["link"') + has_pipe(tree) > 0)
    within_the_caps(answer)


def has_pipe(tree: dict[bytes, Any]) -> bool:
    return any(
        kind == "pipe" or (kind == "folder" and has_pipe(rest[0])) for kind, *rest in tree.values()
    )
