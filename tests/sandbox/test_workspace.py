from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import NotFound, RequestError, SandboxUnavailable, TooLarge
from backend.sandbox.workspace import check_names, open_workspaces, sweep
from tests.sandbox.conftest import Run


@pytest.mark.parametrize(
    "name",
    ["a.csv", "data/a.csv", "한글 이름.csv", "non\u2011breaking.csv", "it's \"quoted\".csv", " a ",
     "-rf", "--args", "a\\b", "...", ".hidden", "$(touch x)", "a;b|c&d", "x" * 255],
)  # fmt: skip
def test_a_name_that_can_exist_is_accepted(name: str) -> None:
    check_names({name: "x"})


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../up", "a/../../up", "a/./b", ".", "..", "a//b", "a/", "a\0b", "a\nb",
     "\x7f", "x" * 256, "한" * 100, "\ud800", "/".join("abcdefghijklmnopqr")],
)  # fmt: skip
def test_a_name_that_cannot_is_refused(name: str) -> None:
    with pytest.raises(RequestError):
        check_names({name: "x"})


def test_two_names_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(RequestError, match="folder"):
        check_names({"a": "x", "a/b": "y"})


def test_too_many_files_are_refused() -> None:
    with pytest.raises(RequestError, match="501"):
        check_names({str(n): "x" for n in range(501)})


def test_too_many_folders_are_refused() -> None:
    names = {f"{n}/a/b/c/file": "x" for n in range(400)}
    with pytest.raises(RequestError, match="1600 folders"):
        check_names(names)


def test_copies_are_read_only_and_go_with_the_run(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("x")
    with open_workspaces(tmp_path / "execution") as workspaces:
        with workspaces.stage({"한.txt": source}, 1) as staged:
            copy = workspaces.runs / staged["한.txt"]
            assert copy.read_text() == "x"
            assert copy.stat().st_mode & 0o777 == 0o444
            assert copy.stat().st_ino != source.stat().st_ino
        assert not copy.parent.exists()
    assert list((tmp_path / "execution").iterdir()) == []


def test_what_cannot_be_an_input_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    big = tmp_path / "big"
    big.write_bytes(bytes((1 << 20) + 1))
    cases: list[tuple[str, type[RequestError], str]] = [
        ("missing", NotFound, "does not exist"),
        ("big/below", NotFound, "does not exist"),
        (".", RequestError, "a folder"),
        ("pipe", RequestError, "no regular file"),
        ("big", TooLarge, "larger than 1 MB"),
        ("nul\0", RequestError, "cannot be read"),
    ]
    with open_workspaces(tmp_path / "execution") as workspaces:
        for name, error, words in cases:
            given = {"x.csv": tmp_path / name}
            with pytest.raises(error, match=words) as refusal, workspaces.stage(given, 1):
                pass
            # Whoever asked over HTTP knows the file by its name, and is not to learn where it lies.
            assert "'x.csv'" in str(refusal.value)
            assert str(tmp_path) not in str(refusal.value)
        assert list((workspaces.folder / "runs").iterdir()) == []


def test_what_a_dead_server_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    root = tmp_path / "execution"
    code = f"""
import os, pathlib
from backend.sandbox.workspace import open_workspaces
with open_workspaces(pathlib.Path({str(root)!r})):
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = root.iterdir()
    with open_workspaces(root) as alive:
        assert not left.exists()
        assert sweep(root) == 0
        assert alive.folder.is_dir()


def test_an_execution_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SandboxUnavailable, match="PYTHON_CODE_EXECUTION_DIR"),
        open_workspaces(tmp_path / "file"),
    ):
        pass


@pytest.mark.sandbox
async def test_inputs_of_any_name_arrive_under_it(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("content")
    names = [
        "한글 이름.csv",
        "non\u2011breaking.csv",
        'it\'s "q".csv',
        "--args",
        "a/b/c d.txt",
        "main.py",
    ]
    result = await run(
        "print([open(name).read() for name in names])",
        files=dict.fromkeys(names, source),
        variables={"names": names},
    )
    assert result.stdout == repr(["content"] * len(names)) + "\n", result.stderr


@pytest.mark.sandbox
async def test_as_many_files_as_are_allowed_arrive(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    files = dict.fromkeys([f"folder {n}/sub/{n}.txt" for n in range(500)], source)
    result = await run("import glob; print(len(glob.glob('*/sub/*.txt')))", files=files)
    assert result.stdout == "500\n"


@pytest.mark.sandbox
async def test_a_module_among_the_inputs_can_be_imported(run: Run, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("def answer(): return 42")
    result = await run("import helper; print(helper.answer())", files={"helper.py": helper})
    assert (result.stdout, result.artifacts) == ("42\n", ())


@pytest.mark.sandbox
async def test_an_input_named_like_a_module_does_not_reach_the_keeper(
    run: Run, tmp_path: Path
) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text("raise SystemExit('caught')")
    files = {f"{name}.py": trap for name in ("ctypes", "select", "traceback", "inside", "resource")}
    result = await run("print(1)", files=files)
    assert (result.success, result.stdout) == (True, "1\n")


@pytest.mark.sandbox
async def test_nothing_of_a_run_stays_on_the_host(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("x")
    await run("open('out.txt', 'w').write('x')", files={"a.txt": source})
    assert [p.name for p in (tmp_path / "execution").glob("*/runs/*")] == []
