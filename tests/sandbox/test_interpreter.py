"""What of this machine's Python is shown inside, and that nothing lies beside it."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil
import pytest

import backend
from backend.errors import SandboxUnavailable
from backend.sandbox.walls.interpreter import Interpreter, find_interpreter

SCRIPT = """
import asyncio, json, sys
from backend.config.settings import load_settings
from backend.sandbox import ExecutionRequest, open_executor

CODE = '''
import os, subprocess, sys, numpy
print("numpy", numpy.ones(3).sum())
print(os.path.exists(HOME + "/.ssh/id_rsa"), os.path.exists(HOME + "/bin/backup.sh"))
for name in (sys.executable, "python3"):
    subprocess.run([name, "-c", "import json, sys; print(sys.prefix == " + repr(sys.prefix) + ")"])
'''

async def main():
    home, execution = sys.argv[1:]
    async with open_executor("local", load_settings(execution_dir=execution)) as executor:
        result = await executor.run(ExecutionRequest(code=CODE, variables={"HOME": home}))
        print(json.dumps([result.stdout, result.stderr]))

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a link to the interpreter in its ``bin``, and with secrets."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_rsa").write_text("secret")
    (folder / "bin").mkdir()
    (folder / "bin" / "backup.sh").write_text("secret")
    (folder / "versions").symlink_to(Path(sys.base_prefix))
    name = f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin" / "python3").symlink_to(f"../versions/{name}")
    return folder


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["a virtual environment", "the link itself"])
def test_a_link_to_the_interpreter_does_not_show_the_folders_around_it(
    home: Path, tmp_path: Path, kind: str
) -> None:
    python = home / "bin" / "python3"
    if kind == "a virtual environment":
        venv = tmp_path / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        python = venv / "bin" / "python3"
    packages = [str(Path(backend.__file__).parent.parent), *site.getsitepackages()]
    execution = tmp_path / "execution"
    done = subprocess.run(
        [str(python), "-c", SCRIPT, str(home), str(execution)],
        env={**os.environ, "PYTHONPATH": ":".join(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "bubblewrap (bwrap) is not installed" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    stdout, stderr = json.loads(done.stdout)
    assert stdout == "numpy 3.0\nFalse False\nTrue\nTrue\n", stderr


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with one module, ``only_here``."""
    folder = tmp_path / "my project" / ".venv"
    venv.create(folder, symlinks=True, with_pip=False)
    (packages_of(folder) / "only_here.py").write_text("WORD = 'found'\n", encoding="utf-8")
    return folder


def packages_of(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(environment)}))


def script(place: Path, text: str) -> Path:
    place.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    place.chmod(0o755)
    return place


def behind_walls(interpreter: Interpreter, code: str) -> Sequence[str]:
    """Lines that a program writes which sees the interpreter's parts and nothing else."""
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    folders = {str(folder) for path in interpreter.places for folder in PurePosixPath(path).parents}
    options = ["--unshare-all", "--clearenv", "--proc", "/proc", "--dev", "/dev"]
    for folder in sorted(folders - {"/"}):
        options += ["--dir", folder]
    for source, target in interpreter.binds:
        options += ["--ro-bind", source, target]
    for target, place in interpreter.links:
        options += ["--symlink", target, place]
    options += ["--setenv", "PYTHONPATH", ":".join(interpreter.added_packages)]
    done = subprocess.run(
        [bubblewrap, *options, interpreter.executable, "-s", "-B", "-c", code],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SEEN = "import sys, only_here; print(sys.executable, only_here.WORD)"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "spelling", ["python", "folder", "relative", "relative folder", "home", "around"]
)
def test_a_virtual_environment_brings_its_packages(
    environment: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment.parent)
    monkeypatch.setenv("HOME", str(environment.parent))
    (environment.parent.parent / "link").symlink_to(environment / "lib")
    named = {
        "python": environment / "bin/python",
        "folder": environment,
        "relative": Path(".venv/bin/python"),
        "relative folder": Path(".venv"),
        "home": Path("~/.venv/bin/python"),
        "around": Path("../link/../bin/python"),
    }[spelling]
    found = find_interpreter(named)
    assert found.executable == str(environment / "bin/python")
    assert found.version == sys.version_info[:2]
    assert str(packages_of(environment)) in found.packages
    assert behind_walls(found, SEEN) == [f"{found.executable} found"]


@pytest.mark.sandbox
def test_the_systems_python_brings_the_packages_of_the_distribution() -> None:
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("needs the Python of a distribution, /usr/bin/python3")
    found = find_interpreter(python)
    assert found.executable == str(python)
    said = behind_walls(
        found, "import sys, site; print(sys.version_info[:2]); print(*sys.path, sep='\\n')"
    )
    assert said[0] == str(found.version)
    assert set(found.packages) <= set(said)
    assert not set(found.packages) & set(find_interpreter(None).packages)


@pytest.mark.sandbox
def test_packages_a_user_installed_for_himself_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYTHONUSERBASE", raising=False)
    base = Path(sys.base_prefix, "bin/python3")
    folder = subprocess.check_output(
        [base, "-c", "import site; print(site.getusersitepackages())"], text=True
    ).strip()
    Path(folder).mkdir(parents=True)
    Path(folder, "only_here.py").write_text("WORD = 'found'\n", encoding="utf-8")
    found = find_interpreter(base)
    assert found.added_packages == (folder,)
    assert behind_walls(found, SEEN) == [f"{found.executable} found"]


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["a virtual environment", "the link itself"])
def test_what_lies_around_a_link_to_it_is_not_shown(home: Path, tmp_path: Path, kind: str) -> None:
    python = home / "bin/python3"
    if kind == "a virtual environment":
        subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
        python = tmp_path / "venv/bin/python3"
    paths = [str(home / ".ssh/id_rsa"), str(home / "bin/backup.sh"), str(home / "bin/python3")]
    said = behind_walls(
        find_interpreter(python), f"import os; print([os.path.exists(path) for path in {paths}])"
    )
    assert said == ["[False, False, True]"]


@pytest.mark.sandbox
def test_a_command_that_starts_the_python_of_another_place_is_followed(
    environment: Path, tmp_path: Path
) -> None:
    shim = script(tmp_path / "python", f'exec "{environment}/bin/python" "$@"')
    found = find_interpreter(shim)
    assert found.executable == str(environment / "bin/python")
    assert behind_walls(found, SEEN) == [f"{found.executable} found"]


def test_the_bare_name_of_a_command_is_looked_up(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment / "bin"))
    assert find_interpreter(Path("python")).executable == str(environment / "bin/python")


@pytest.mark.sandbox
def test_a_library_is_shown_with_the_names_it_is_loaded_by(
    environment: Path, tmp_path: Path
) -> None:
    [library] = [
        path
        for path in Path("/proc/self/maps").read_text(encoding="utf-8").split()
        if os.path.basename(path).startswith("libc.so.")
    ][:1]
    folder = tmp_path / "libraries"
    folder.mkdir()
    shutil.copyfile(library, folder / "libmine.so.1.2")
    (folder / "libmine.so.1").symlink_to("libmine.so.1.2")
    (folder / "secret").write_text("secret")
    load = f"import ctypes; ctypes.CDLL({str(folder / 'libmine.so.1')!r})\n"
    (packages_of(environment) / "sitecustomize.py").write_text(load)
    found = find_interpreter(environment)
    said = behind_walls(found, f"{load}import os; print(*sorted(os.listdir({str(folder)!r})))")
    assert said == ["libmine.so.1 libmine.so.1.2"]


def test_our_folder_and_our_environment_do_not_reach_it(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away/site-packages"
    away.mkdir(parents=True)
    (away / "json.py").write_text("raise SystemExit('this is not json')\n")
    monkeypatch.setenv("PYTHONPATH", str(away))
    monkeypatch.setenv("SECRET", "secret")
    monkeypatch.chdir(away)
    (packages_of(environment) / "sitecustomize.py").write_text(
        f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(repr(os.environ))\n"
    )
    assert find_interpreter(environment).packages == (str(packages_of(environment)),)
    assert "secret" not in (tmp_path / "seen").read_text()


@pytest.mark.parametrize("name", ["a\n[b] 'c'", os.fsdecode(b"\xff\xfe"), "snow \u2603"])
def test_folders_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    venv.create(tmp_path / "made", symlinks=True, with_pip=False)  # it cannot write every name
    (tmp_path / "made").rename(folder)
    found = find_interpreter(folder)
    assert found.executable == str(folder / "bin/python")
    assert found.packages == (str(packages_of(folder)),)


def test_what_packages_print_or_leave_running_at_the_start_does_no_harm(
    environment: Path, tmp_path: Path
) -> None:
    (packages_of(environment) / "sitecustomize.py").write_text(
        "import subprocess, sys\n"
        "print('{\"version\": [2, 7]}', end='')\n"
        "print('welcome', file=sys.stderr)\n"
        f"left = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'left')!r}, 'w').write(str(left.pid))\n"
    )
    assert find_interpreter(environment).version == sys.version_info[:2]
    left = int((tmp_path / "left").read_text())
    with suppress(psutil.NoSuchProcess):  # it has ended already
        process = psutil.Process(left)
        if process.status() != psutil.STATUS_ZOMBIE:
            psutil.wait_procs([process], timeout=10)
            assert not psutil.pid_exists(left)


ANSWER = 'for last; do :; done; printf "\\n%s%s\\n" "$last"'
"""Ends with the line that is listened to, and with what is given to it."""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("echo hello; exit 3", "it said 'hello'", id="another program"),
        pytest.param("exit 0", "it said nothing", id="silence"),
        pytest.param("kill -9 $$", "it said nothing", id="dies"),
        pytest.param("exec sleep 600", "has not answered within 1 seconds", id="hangs"),
        pytest.param("sleep 600 & sleep 600", "has not answered within", id="hangs with a child"),
        pytest.param("exec yes hello", "lo hello hello'", id="endless output"),
        pytest.param("exec >&-; exec 2>&-; exit 0", "it said nothing", id="closed output"),
        pytest.param("printf '\\377\\0'", "it said '\ufffd\\x00'", id="bytes"),
        pytest.param(f"{ANSWER} '{{\"version\": [3, 9]}}'", "which is Python 3.9", id="too old"),
        pytest.param(f"{ANSWER} '{{\"version\": [3, 12]}}'", "as a Python does", id="half"),
        pytest.param(f"{ANSWER} '[3]'", "as a Python does", id="a list"),
        pytest.param(f"{ANSWER} '{{'", "as a Python does", id="broken"),
        pytest.param(
            f'{ANSWER} "$(yes [ | tr -d "\\n" | head -c 100000)"',
            "as a Python does",
            id="bottomless",
        ),
        pytest.param(
            f'"{sys.executable}" "$@" | sed s/cpython/pypy/', "which is pypy", id="not CPython"
        ),
        pytest.param(
            f'"{sys.executable}" "$@" | sed "s#bin/python#bin/nothing#"',
            "no such file",
            id="calls itself what is not there",
        ),
        pytest.param(
            f'"{sys.executable}" "$@" | sed "s#lib/python#\\\\\\\\u0000#"',
            "as a Python does",
            id="null characters",
        ),
    ],
)
def test_a_program_that_is_no_python_is_refused(tmp_path: Path, text: str, why: str) -> None:
    named = script(tmp_path / "python", text)
    hangs = "sleep" in text
    with pytest.raises(SandboxUnavailable) as refused:
        find_interpreter(named, timeout_s=1 if hangs else 20)
    assert f"PYTHON_CODE_INTERPRETER is {str(named)!r}" in refused.value.what
    assert why in refused.value.what
    assert refused.value.remedy
    assert len(str(refused.value)) < 800 and "\n" not in str(refused.value)
    assert not psutil.Process().children(recursive=True)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        pytest.param("nowhere/python", "No such file", id="not there"),
        pytest.param("no-such-command-anywhere", "No such file", id="no command"),
        pytest.param("~no-such-user/python", "No such file", id="nobody's home"),
        pytest.param("empty", "a folder without bin/python", id="folder"),
        pytest.param(".", "a folder without bin/python", id="this folder"),
        pytest.param("text", "Permission denied", id="not executable"),
        pytest.param("text/python", "Not a directory", id="below a file"),
        pytest.param("garbage", "Exec format error", id="not a program"),
        pytest.param("round", "Too many levels", id="a link to itself"),
        pytest.param("dangling", "No such file", id="a link to nothing"),
        pytest.param("pipe", "Permission denied", id="named pipe"),
        pytest.param("/dev/null", "Permission denied", id="device"),
        pytest.param("a\0b", "null byte", id="null byte"),
        pytest.param("x" * 300, "File name too long", id="long name"),
    ],
)
def test_what_cannot_be_started_is_refused(tmp_path: Path, named: str, why: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    (tmp_path / "garbage").write_bytes(b"\x7fELF garbage")
    (tmp_path / "garbage").chmod(0o755)
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SandboxUnavailable) as refused:
        find_interpreter(Path(named))
    assert refused.value.what.startswith(f"PYTHON_CODE_INTERPRETER is {named!r}, ")
    assert why in refused.value.what
    assert refused.value.remedy


def test_our_own_interpreter_is_found_without_asking_anyone() -> None:
    found = find_interpreter(None, timeout_s=0)
    assert (found.executable, found.version) == (sys.executable, sys.version_info[:2])
    assert set(site.getsitepackages()) <= set(found.packages)


def test_asked_or_not_the_same_python_has_the_same_parts() -> None:
    ours, asked = find_interpreter(None), find_interpreter(Path(sys.executable))
    assert asked.executable == ours.executable
    assert asked.packages == ours.packages
    assert set(asked.links) <= set(ours.links)
    assert set(asked.binds) <= set(ours.binds)
