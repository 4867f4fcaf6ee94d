"""The host's files: what is not bound in is not there, what is bound in cannot be changed."""

from __future__ import annotations

import pytest

from backend.sandbox.walls.bubblewrap import RUNNER
from tests.sandbox.escape.canaries import Canaries
from tests.sandbox.escape.cases import CALLS, REACHED, Attack, contained, reaches
from tests.sandbox.escape.people import ROOT, Person

pytestmark = pytest.mark.sandbox

NOT_THERE = "ENOENT|EACCES|EPERM|ELOOP|ENOTDIR|ENXIO"
READ_ONLY = "EROFS|EPERM|EACCES|ENOENT|ENOTDIR|EXDEV"

_WELL_KNOWN = (
    "/etc/shadow",
    "/root/.bashrc",
    "/home",
    "/var/log",
    "/sys/kernel",
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/sysrq-trigger",
    "/dev/mem",
    "/dev/vda",
    "/dev/kmsg",
    "/dev/ptmx",
    "/dev/fuse",
    "/run",
    f"{ROOT}/backend/errors.py",
    f"{ROOT}/.git/config",
)

_PLACES = (
    "/",
    "/usr",
    "/etc",
    RUNNER,
    f"{RUNNER}/runner",
    "/dev",
    "/proc",
    "/proc/1",
    "/mnt",
)

_PATHS = {
    "plain": "@FILE@",
    "upwards": "../../../../../../../..@FILE@",
    "through its own root": "/proc/self/root@FILE@",
    "through its own folder": "/proc/self/cwd/../../../../../../..@FILE@",
    "through a thread": "/proc/thread-self/root@FILE@",
    "a link to it": "/tmp/a-link",
}

ATTACKS = (
    Attack(
        id="reading the canary",
        code=f"""
PATHS = {_PATHS!r}
"""
        + """
def read(path):
    return lambda: open(path).read()
def in_a_folder():
    folder = os.open("/", os.O_PATH)
    return os.read(os.open("@FILE@"[1:], os.O_RDONLY, dir_fd=folder), 99)
try:
    os.symlink("@FILE@", "/tmp/a-link")
except OSError:
    pass
for what, path in PATHS.items():
    attempt(what, read(path))
attempt("in a folder's descriptor", in_a_folder)
attempt("a list", lambda: os.listdir("@FOLDER@"))
attempt("how large it is", lambda: os.stat("@FILE@").st_size)
os.unlink("/tmp/a-link")
""",
        inside={
            **dict.fromkeys(_PATHS, NOT_THERE),
            **dict.fromkeys(["in a folder's descriptor", "a list", "how large it is"], NOT_THERE),
        },
        outside={
            **dict.fromkeys(_PATHS, REACHED),
            **dict.fromkeys(["in a folder's descriptor", "a list", "how large it is"], REACHED),
        },
    ),
    Attack(
        id="reading it by other ways",
        code=CALLS
        + """
import glob, subprocess
def hard_link():
    os.link("@FILE@", "/workspace/linked")
    return open("/workspace/linked").read()
def hard_link_to_a_link():
    os.symlink("@FILE@", "a-link")
    os.link("a-link", "/workspace/linked", follow_symlinks=True)
    return open("/workspace/linked").read()
def shell():
    done = subprocess.run("cat @FILE@ /proc/*/root@FILE@ /proc/*/cwd/..@FILE@", shell=True,
                          capture_output=True)
    if not done.stdout:
        raise FileNotFoundError(errno.ENOENT, "nothing")
    return done.stdout
def by_handle():
    handle = (ctypes.c_uint * 34)(128)
    place = ctypes.c_int()
    call(303, 264, -100, b"/usr", handle, ctypes.byref(place), 0)
def open_handle():
    handle = (ctypes.c_uint * 34)(8, 1)
    return call(304, 265, os.open("/usr", os.O_PATH), handle, 0)
def openat2():
    how = (ctypes.c_ulong * 3)(0, 0, 0)
    return call(437, 437, -100, b"@FILE@", how, 24)
attempt("hard link", hard_link)
attempt("hard link to a link", hard_link_to_a_link)
attempt("shell", shell)
attempt("keeper's root", lambda: open("/proc/1/root@FILE@").read())
attempt("keeper's folder", lambda: open("/proc/1/cwd/..@FILE@").read())
attempt("handle of a file", by_handle)
attempt("open a handle", open_handle)
attempt("openat2", openat2)
attempt("another root", lambda: os.chroot("/tmp"))
attempt("the same file", lambda: open("/workspace/own", "w").write("own"))
""",
        inside={
            **dict.fromkeys(["hard link", "hard link to a link", "shell"], NOT_THERE),
            **dict.fromkeys(["keeper's root", "keeper's folder", "openat2"], NOT_THERE),
            **dict.fromkeys(["handle of a file", "open a handle", "another root"], "EPERM"),
            "the same file": REACHED,
        },
    ),
    Attack(
        id="mounting",
        code=CALLS
        + """
attempt("mount", lambda: call(165, 40, b"tmpfs", b"/tmp", b"tmpfs", 0, 0))
attempt("remount", lambda: call(165, 40, 0, b"/usr", 0, 0x1020, 0))
attempt("proc", lambda: call(165, 40, b"proc", b"/tmp", b"proc", 0, 0))
attempt("unmount", lambda: call(166, 39, b"/proc", 2))
attempt("pivot", lambda: call(155, 41, b".", b"."))
attempt("open_tree", lambda: call(428, 428, -100, b"/", 1))
attempt("move_mount", lambda: call(429, 429, -100, b"/", -100, b"/tmp", 0))
attempt("fsopen", lambda: call(430, 430, b"tmpfs", 0))
attempt("fsconfig", lambda: call(431, 431, 0, 0, 0, 0, 0))
attempt("fsmount", lambda: call(432, 432, 0, 0, 0))
attempt("fspick", lambda: call(433, 433, -100, b"/", 0))
attempt("mount_setattr", lambda: call(442, 442, -100, b"/usr", 0, 0, 0))
attempt("own user namespace", lambda: call(272, 97, 0x10000000))
attempt("own mounts", lambda: call(272, 97, 0x00020000))
attempt("by clone", lambda: call(56, 220, 0x10000011, 0, 0, 0, 0))
attempt("by clone3", lambda: call(435, 435, (ctypes.c_ulong * 8)(0x10000000), 64))
attempt("keeper's mounts", lambda: call(308, 268, os.pidfd_open(1), 0x00020000))
attempt("a loop device", lambda: open("/dev/loop-control", "rb"))
attempt("a device", lambda: os.mknod("/tmp/vda", 0o60666, os.makedev(254, 0)))
attempt("a terminal", lambda: os.mknod("/tmp/tty", 0o20666, os.makedev(5, 0)))
attempt("a pipe", lambda: os.mkfifo("/tmp/pipe"))
""",
        inside={
            **dict.fromkeys(
                ["mount", "remount", "proc", "unmount", "pivot", "open_tree", "move_mount"], "EPERM"
            ),
            **dict.fromkeys(["fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"], "EPERM"),
            **dict.fromkeys(["own user namespace", "own mounts", "by clone"], "EPERM"),
            "by clone3": "ENOSYS",
            "keeper's mounts": "EPERM",
            **dict.fromkeys(["a loop device", "a device", "a terminal"], "EPERM|EACCES|ENOENT"),
            "a pipe": REACHED,
        },
    ),
    Attack(
        id="well-known files",
        code=f"""
PATHS = {_WELL_KNOWN!r}
"""
        + """
def read(path):
    def look():
        if os.path.isdir(path):
            return os.listdir(path)[0]
        return os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 9)
    return look
for path in PATHS:
    attempt(path, read(path))
attempt("/etc/passwd", lambda: [line for line in open("/etc/passwd") if "nobody" not in line][0])
attempt("/dev/null", read("/dev/null"))
""",
        inside={
            **dict.fromkeys(_WELL_KNOWN, f"{NOT_THERE}|EINVAL|IndexError|EIO"),
            "/etc/passwd": "IndexError",
            "/dev/null": REACHED,
        },
    ),
    Attack(
        id="writing outside the private folders",
        code=f"""
PLACES = {_PLACES!r}
"""
        + """
def make(folder):
    return lambda: open(f"{folder}/x", "w").close()
for place in PLACES:
    attempt(place, make(place))
for place in ("/workspace", "/tmp", "/dev/shm", "/mnt/data"):
    attempt(place, make(place))
attempt("the kernel's settings", lambda: open("/proc/sys/kernel/hostname", "w"))
attempt("how memory is given", lambda: open("/proc/sys/vm/overcommit_memory", "w"))
""",
        inside={
            **dict.fromkeys(_PLACES, READ_ONLY),
            **dict.fromkeys(["the kernel's settings", "how memory is given"], READ_ONLY),
            **dict.fromkeys(["/workspace", "/tmp", "/dev/shm", "/mnt/data"], REACHED),
        },
    ),
    Attack(
        id="changing the interpreter and the packages",
        code=f"""
RUNNER = {RUNNER!r}
"""
        + """
import json, shutil, sys
places = [p for p in sys.path if os.path.isdir(p) and not p.startswith(("/workspace", "/tmp"))]
files = [json.__file__, os.path.realpath(sys.executable)]
files += [os.path.join(d, n) for d, _, names in os.walk(RUNNER) for n in names if "." in n]
import pandas
files += [pandas.__file__]
def each(what, over, do):
    def try_all():
        for one in over:
            try:
                do(one)
            except OSError as error:
                last = error
            else:
                return one
        raise last
    attempt(what, try_all)
each("open for writing", files, lambda f: os.open(f, os.O_WRONLY))
each("open for both", files, lambda f: os.open(f, os.O_RDWR))
each("truncate", files, lambda f: os.truncate(f, 0))
each("mode", files, lambda f: os.chmod(f, 0o777))
each("mode through a descriptor", files, lambda f: os.fchmod(os.open(f, os.O_RDONLY), 0o777))
each("owner", files, lambda f: os.chown(f, 65534, 65534))
each("time", files, lambda f: os.utime(f))
each("attribute", files, lambda f: os.setxattr(f, "user.x", b"x"))
each("remove", files, os.remove)
each("rename", files, lambda f: os.rename(f, f + "x"))
each("replace", files, lambda f: (open("/tmp/new", "w").close(), os.rename("/tmp/new", f)))
each("hard link out", files, lambda f: os.link(f, "/tmp/linked"))
each("mode of a folder", places, lambda d: os.chmod(d, 0o777))
for name in ("evil.pth", "sitecustomize.py", "usercustomize.py", "json.py", "__pycache__/x.pyc"):
    each(name, places, lambda d: open(f"{d}/{name}", "w").close())
each("compiled", files, lambda f: open(f"{os.path.dirname(f)}/__pycache__/x", "w").close())
each("memory of the file", files, lambda f: __import__("mmap").mmap(os.open(f, os.O_RDONLY), 1))
each("through the descriptors' folder", files,
     lambda f: os.open(f"/proc/self/fd/{os.open(f, os.O_RDONLY)}", os.O_RDWR))
each("through the map's folder", ["/proc/self/map_files"],
     lambda d: [os.open(f"{d}/{n}", os.O_RDWR) for n in os.listdir(d)][0])
each("the program itself", ["/proc/self/exe"], lambda f: os.open(f, os.O_WRONLY))
""",
        inside=dict.fromkeys(
            """open for writing|open for both|truncate|mode|mode through a descriptor|owner|time
attribute|remove|rename|replace|hard link out|mode of a folder|evil.pth|sitecustomize.py
usercustomize.py|json.py|__pycache__/x.pyc|compiled|memory of the file
through the descriptors' folder|through the map's folder|the program itself""".replace(
                "\n", "|"
            ).split("|"),
            f"{READ_ONLY}|ETXTBSY",
        ),
    ),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_is_contained(person: Person, attack: Attack, canaries: Canaries, check: bool) -> None:
    contained(person, attack, canaries, check=check)


@pytest.mark.parametrize("attack", [each for each in ATTACKS if each.outside], ids=str)
def test_without_the_walls_it_succeeds(attack: Attack, canaries: Canaries) -> None:
    reaches(attack, canaries)
