"""Other runs: one at the same time, the one before, the one after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sandbox.conftest import MARKER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import CALLS, PRELUDE, as_expected, kept
from tests.sandbox.escape.people import Answer, Person

pytestmark = pytest.mark.sandbox

SHARED = CALLS + (
    """
import socket
KEY = 0x5ec7e7
def abstract():
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0other-run")
    server.listen()
    return server
def path():
    server = socket.socket(socket.AF_UNIX)
    server.bind("/tmp/other.sock")
    server.listen()
    return server
"""
)

HOLDER = (
    PRELUDE
    + SHARED
    + """
import time
held = []
for folder in ("/workspace", "/tmp", "/dev/shm"):
    open(f"{folder}/other", "w").write("@SECRET@")
os.mkfifo("/tmp/other.pipe")
held.append(abstract())
held.append(path())
attempt("shared memory", lambda: call(29, 194, KEY, 4096, 0o1666))
attempt("message queue", lambda: call(68, 186, KEY, 0o1666))
attempt("semaphore", lambda: call(64, 190, KEY, 1, 0o1666))
attempt("posix queue", lambda: call(240, 180, b"other", 0o102, 0o666, 0))
attempt("memory file", lambda: call(319, 279, b"other", 0))
block = "@SECRET@" * 1000
print("holds", time.time(), os.getpid(), flush=True)
time.sleep(60)
"""
)

SEEKER = (
    PRELUDE
    + SHARED
    + """
import glob, subprocess, time
print("seeks", time.time(), flush=True)
def read(path):
    return lambda: open(path).read()
def connect(address):
    return lambda: socket.socket(socket.AF_UNIX).connect(address)
def processes():
    found = []
    for pid in range(3, 70_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        if pid != os.getpid():
            found.append(pid)
    if not found:
        raise ProcessLookupError(errno.ESRCH, "nobody")
    return found
def shell():
    # Not our own: what we printed and nobody has read yet would be gone.
    others = f"for each in /proc/[0-9]*; do [ $each = /proc/{os.getpid()} ] || echo $each; done"
    line = f"for each in $({others}); do cat $each/cwd/other $each/root/tmp/other $each/fd/*; done"
    got = subprocess.run(["timeout", "1", "sh", "-c", line], capture_output=True).stdout
    if b"secret" not in got:
        raise FileNotFoundError(errno.ENOENT, "nothing")
    return got
for folder in ("/workspace", "/tmp", "/dev/shm", "/mnt/data"):
    attempt(folder, read(f"{folder}/other"))
attempt("pipe", lambda: os.open("/tmp/other.pipe", os.O_RDONLY | os.O_NONBLOCK))
attempt("abstract", connect("\\0other-run"))
attempt("path", connect("/tmp/other.sock"))
attempt("shared memory", lambda: call(29, 194, KEY, 4096, 0o666))
attempt("message queue", lambda: call(68, 186, KEY, 0o666))
attempt("semaphore", lambda: call(64, 190, KEY, 1, 0o666))
attempt("posix queue", lambda: call(240, 180, b"other", 0, 0, 0))
attempt("processes", processes)
attempt("shell", shell)
attempt("the same abstract name", lambda: abstract().fileno())
print("sought", time.time(), flush=True)
"""
)


def times(answer: Answer) -> dict[str, float]:
    lines = (line.split() for line in answer.stdout.splitlines())
    return {line[0]: float(line[1]) for line in lines if line[0] in ("holds", "seeks", "sought")}


def test_two_runs_at_once_see_nothing_of_each_other(person: Person, canaries: Canaries) -> None:
    code = HOLDER.replace("@SECRET@", canaries.secret)
    holder, seeker = person.run_together(
        {"code": code, "timeout_s": 5},
        {"code": "import time\ntime.sleep(2)\n" + SEEKER, "timeout_s": 20},
    )
    assert holder.stdout.startswith(MARKER)
    assert (holder.stopped_by, seeker.success) == ("timeout", True), seeker
    assert times(holder)["holds"] < times(seeker)["seeks"]
    assert times(seeker)["sought"] < times(holder)["holds"] + 5
    kept(seeker, canaries)
    refused = dict.fromkeys(["shared memory", "message queue", "semaphore", "posix queue"], "EPERM")
    as_expected(holder.attempts, {**refused, "memory file": "ENOSYS"}, holder)
    expected = {
        **refused,
        **dict.fromkeys(["/workspace", "/tmp", "/dev/shm", "/mnt/data", "pipe", "path"], "ENOENT"),
        "abstract": "ECONNREFUSED|EPERM",
        "processes": "ESRCH",
        "shell": "ENOENT",
        "the same abstract name": "REACHED.*",
    }
    as_expected(seeker.attempts, expected, seeker)


WATCHER = (
    PRELUDE
    + CALLS
    + """
import fcntl, json, signal, time
folder = os.path.dirname(json.__file__)[: -len("/json")]
told = []
def by_name():
    watching = call(294, 26, os.O_NONBLOCK)
    call(254, 27, watching, folder.encode(), 0x21)  # IN_ACCESS, IN_OPEN
    time.sleep(4)
    try:
        return b"wave.py" in os.read(watching, 1 << 20)
    except BlockingIOError:
        return False
def by_signal():
    signal.signal(signal.SIGIO, lambda *_: told.append(1))
    fcntl.fcntl(os.open(folder, os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)
    time.sleep(4)
    return bool(told)
attempt("watch", WATCH)
"""
)


@pytest.mark.parametrize("way", ["by_name", "by_signal"])
def test_what_another_run_reads_cannot_be_watched(person: Person, way: str) -> None:
    """Both read the one library of the interpreter: who is told of it learns what others import."""
    # wave.py is a module that nothing else imports.
    other = "import time\ntime.sleep(2)\nimport wave\nopen(wave.__file__).read()\nprint('read')"
    watching, read = person.run_together(
        {"code": WATCHER.replace("WATCH)", f"{way})")}, {"code": other}
    )
    assert (watching.stdout.startswith(MARKER), read.stdout) == (True, "read\n")
    assert watching.attempts["watch"] in ("REACHED False", "EPERM", "ENOSYS")


SNAPSHOT = """
import builtins, gc, io, json, locale, os, resource, signal, sys, tempfile, threading, warnings
import pandas, numpy, matplotlib, matplotlib.pyplot as plt
facts = {
    "sum": sum([1, 2, 3]), "len": len("four"), "sorted": sorted([3, 1, 2]),
    "json": json.dumps({"a": [1, 2.5, None]}), "loads": json.loads("[1]"),
    "pandas": pandas.DataFrame({"a": [1, 2]}).a.sum().item(),
    "options": pandas.get_option("display.max_rows"),
    "numpy": numpy.ones(3).sum().item(), "printing": str(numpy.float64(1) / 3),
    "matplotlib": sorted(map(str, matplotlib.rcParams.items())), "figures": plt.get_fignums(),
    "builtins": sorted(dir(builtins)), "path": sys.path, "environment": dict(os.environ),
    "argv": sys.argv, "hooks": [sys.excepthook.__name__, sys.displayhook.__name__],
    "finders": [str(type(each)) for each in sys.meta_path], "umask": os.umask(0o22),
    "folder": os.getcwd(), "workspace": sorted(os.listdir("/workspace")),
    "tmp": sorted(os.listdir("/tmp")), "shm": sorted(os.listdir("/dev/shm")),
    "signals": [str(signal.getsignal(n)) for n in range(1, 32)],
    "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    "limits": {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource)
               if n.startswith("RLIMIT_")},
    "filters": len(warnings.filters), "recursion": sys.getrecursionlimit(),
    "threads": threading.active_count(), "nice": os.nice(0), "locale": locale.setlocale(0),
    "processors": sorted(os.sched_getaffinity(0)), "trace": str(sys.gettrace()),
    "descriptors": len(os.listdir("/proc/self/fd")), "encoding": sys.stdout.encoding,
    "globals": sorted(globals()), "evil": "evil" in sys.modules, "collecting": gc.isenabled(),
    "tempdir": tempfile.gettempdir(), "raise": numpy.geterr(),
}
print(json.dumps(facts, default=str))
"""

VANDAL = (
    PRELUDE
    + """
import builtins, gc, json, locale, os, resource, signal, sys, types, warnings
import pandas, numpy, matplotlib, matplotlib.pyplot as plt
evil = types.ModuleType("evil")
sys.modules["evil"] = evil
for name in ("evil.pth", "sitecustomize.py", "usercustomize.py", "json.py", "pandas.py"):
    for folder in (*sys.path, "/tmp/.local/lib/python3.11/site-packages", "/dev/shm", os.getcwd()):
        try:
            os.makedirs(folder, exist_ok=True)
            open(f"{folder}/{name}", "w").write("print('evil')")
        except OSError:
            pass
plt.figure()
matplotlib.rcParams["figure.dpi"] = 7
pandas.set_option("display.max_rows", 3)
pandas.DataFrame = None
numpy.ones = numpy.zeros
numpy.seterr(all="raise")
json.loads = lambda text: "evil"
sys.path.insert(0, "/tmp")
sys.meta_path.clear()
sys.argv = ["evil"]
sys.excepthook = sys.displayhook = print
os.environ.update(EVIL="1", PYTHONPATH="/tmp", LD_PRELOAD="/tmp/evil.so", PYTHONSTARTUP="/tmp/x")
os.umask(0o777)
os.chdir("/")
os.nice(7)
warnings.simplefilter("ignore")
sys.setrecursionlimit(300)
gc.disable()
for number in set(range(1, 32)) - {9, 19}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
os.sched_setaffinity(0, {0})
builtins.evil = 1
builtins.sum = builtins.len = builtins.sorted = lambda *a, **k: "evil"
json.dumps = lambda *a, **k: "evil"
sys.modules["json"] = sys.modules["pandas"] = evil
os.write(1, b"done\\n")
"""
)


def test_what_a_run_changes_is_as_before_for_the_next(person: Person) -> None:
    before = person.run(SNAPSHOT, timeout_s=20)
    assert before.success, before.stderr
    for _ in range(4):
        vandal = person.run(VANDAL)
        assert vandal.stdout.startswith(f"{MARKER}\ndone\n"), vandal.stderr
    # Also those that stood ready while it ran.
    for after in person.run_together(*[{"code": SNAPSHOT} for _ in range(4)]):
        assert after.success, after.stderr
        assert json.loads(after.stdout) == json.loads(before.stdout)


def test_the_snapshot_does_see_such_changes(person: Person) -> None:
    before = json.loads(person.run(SNAPSHOT).stdout)
    changed = "import os\nos.environ['EVIL'] = '1'\nos.umask(0o27)\nopen('/tmp/x', 'w').close()\n"
    after = json.loads(person.run(changed + SNAPSHOT).stdout)
    differing = {name for name in before if before[name] != after[name]}
    assert {"environment", "umask", "tmp"} <= differing


def test_no_run_can_guess_anothers_random_numbers(person: Person) -> None:
    code = """
import os, random, secrets, tempfile, uuid
import numpy
print(random.random(), numpy.random.rand(), numpy.random.default_rng().random(), uuid.uuid4(),
      secrets.token_hex(), os.urandom(9).hex(), tempfile.mkdtemp(), random.SystemRandom().random())
"""
    rows = [answer.stdout.split() for answer in person.run_together(*[{"code": code}] * 6)]
    for column in zip(*rows, strict=True):
        assert len(set(column)) == len(rows), column


def test_inputs_of_another_run_are_not_there(
    person: Person, canaries: Canaries, source: Path
) -> None:
    source.write_text(canaries.secret, encoding="utf-8")
    holder = "import time\nprint(len(open('secret.txt').read()), flush=True)\ntime.sleep(60)"
    seeker = """
import os, subprocess, time
time.sleep(1)
print("it ran", flush=True)
subprocess.run("cat secret.txt /proc/*/cwd/secret.txt /proc/*/root/workspace/secret.txt "
               "/workspace/*; grep -r 'secret-[0-9a-f]' /tmp /dev/shm /workspace /mnt "
               "/opt/python-coder /run", shell=True)
"""
    held, sought = person.run_together(
        {"code": holder, "files": {"secret.txt": source}, "timeout_s": 4},
        {"code": seeker, "timeout_s": 15},
    )
    assert (held.stdout, held.stopped_by) == (f"{len(canaries.secret)}\n", "timeout")
    assert sought.stdout.startswith(MARKER)
    kept(sought, canaries)
