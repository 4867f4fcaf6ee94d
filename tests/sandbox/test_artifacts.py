from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.conftest import MARK, MARKER, Run

pytestmark = pytest.mark.sandbox


def names(result: object) -> list[str]:
    return [artifact.name for artifact in result.artifacts]  # type: ignore[attr-defined]


async def test_files_come_back_with_name_type_size_and_content(run: Run) -> None:
    code = """
import os
os.makedirs("out/deep")
open("table.csv", "w").write("a,b\\n1,2\\n")
open("out/deep/note", "w").write("plain")
open("out/raw", "wb").write(bytes(range(256)))
open("empty.json", "w").close()
"""
    result = await run(code)
    assert [(a.name, a.media_type, a.size, len(a.content)) for a in result.artifacts] == [
        ("empty.json", "application/json", 0, 0),
        ("out/deep/note", "text/plain", 5, 5),
        ("out/raw", "application/octet-stream", 256, 256),
        ("table.csv", "text/csv", 8, 8),
    ]
    assert result.artifacts[2].content == bytes(range(256))
    assert (result.truncated, result.notes) == ((), ())


async def test_inputs_do_not_come_back_but_what_lies_beside_them_does(
    run: Run, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("a\n1\n")
    code = "open('sub/out.txt', 'w').write(open('sub/in.csv').read())"
    result = await run(code, files={"sub/in.csv": source, "in.csv": source})
    assert names(result) == ["sub/out.txt"], result.stderr


async def test_a_failed_program_hands_out_what_it_wrote(run: Run) -> None:
    result = await run("open('half.txt', 'w').write('x')\n1/0")
    assert (result.success, names(result)) == (False, ["half.txt"])


async def test_where_other_interpreters_keep_files_works_here_too(run: Run) -> None:
    assert names(await run("open('/mnt/data/out.txt', 'w').write('x')")) == ["out.txt"]


async def test_links_pipes_and_sockets_are_not_followed(run: Run) -> None:
    code = (
        MARK
        + """
import socket
os.symlink("/etc/passwd", "passwd")
os.symlink("/proc/1/environ", "environ")
os.symlink("/", "root")
os.symlink(".", "self")
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
open("real.txt", "w").write("x")
"""
    )
    result = await run(code)
    assert result.stdout.startswith(MARKER)
    assert names(result) == ["real.txt"]
    assert result.notes == (
        "Not handed out: links, pipes and sockets, which are no regular files (6).",
    )
    assert result.truncated == ()


async def test_a_hard_link_is_a_file_and_an_input_cannot_be_linked(
    run: Run, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("x")
    code = """
import os
open("a.txt", "w").write("y")
os.link("a.txt", "b.txt")
try:
    os.link("in.txt", "c.txt")
except OSError:
    print("refused")
"""
    result = await run(code, files={"in.txt": source})
    assert (result.stdout, names(result)) == ("refused\n", ["a.txt", "b.txt"])


@pytest.mark.parametrize(
    ("code", "reason", "kept"),
    [
        pytest.param(
            "for n in range(300): open(f'{n:03}', 'w').close()",
            "files after the first 200 (100)",
            200,
            id="many",
        ),
        pytest.param(
            "open('sparse', 'wb').truncate(200 << 20)",
            "files larger than 64 MB (1)",
            0,
            id="sparse",
        ),
        pytest.param(
            "for n in range(4): open(str(n), 'wb').truncate(50 << 20)",
            "files beyond 128 MB in all (2)",
            2,
            id="large together",
        ),
        pytest.param(
            "for n in range(1000): os.mkdir('d'); os.chdir('d')\nopen('x', 'w').close()",
            "folders deeper than 16 (1)",
            0,
            id="deep",
        ),
        pytest.param(
            "for n in range(21000): open(f'{n:05}', 'w').close()",
            "all but the first 20000 names",
            200,
            id="a flood of names",
        ),
    ],
)
async def test_what_a_cap_leaves_out_is_said(run: Run, code: str, reason: str, kept: int) -> None:
    result = await run(MARK + code)
    assert result.success, result.stderr
    assert len(result.artifacts) == kept
    assert "artifacts" in result.truncated
    assert any(reason in note for note in result.notes), result.notes


async def test_names_of_any_bytes_become_harmless(run: Run) -> None:
    code = (
        MARK
        + r"""
for name in (b"bad\xff.txt", b"line\nbreak", b"tab\t", b"quote'\"", b"back\\slash", b" space ",
             "한글\u2011x".encode(), b"..\\..\\x", b"x" * 255):
    open(name, "wb").close()
"""
    )
    result = await run(code)
    assert result.success, result.stderr
    found = names(result)
    assert sorted(found) == sorted(
        [
            "bad\\xff.txt",
            "line\\nbreak",
            "tab\\t",
            "quote'\"",
            "back\\slash",
            " space ",
            "한글\u2011x",
            "..\\..\\x",
            "x" * 255,
        ]
    )


async def test_names_that_become_the_same_stay_apart(run: Run) -> None:
    code = r"""
open(b"a\xff", "wb").write(b"1")
open(r"a\xff", "w").write("2")
"""
    result = await run(code)
    assert sorted(names(result)) == ["a\\xff", "a\\xff~2"]


async def test_files_and_folders_without_any_permission_come_back(run: Run) -> None:
    code = """
import os
os.mkdir("closed")
open("closed/file.txt", "w").write("x")
os.chmod("closed/file.txt", 0)
os.chmod("closed", 0)
"""
    assert names(await run(code)) == ["closed/file.txt"]


async def test_a_file_that_children_keep_changing_is_read_once_they_are_dead(run: Run) -> None:
    code = """
import os, time
for n in range(4):
    if not os.fork():
        while True:
            os.symlink("/etc/passwd", f"new{n}"); os.replace(f"new{n}", "swap")
            open(f"new{n}", "w").write("mine"); os.replace(f"new{n}", "swap")
time.sleep(0.3)
"""
    result = await run(code)
    assert all(a.content in (b"mine", b"") for a in result.artifacts)


async def test_a_result_outlives_its_executor(run: Run) -> None:
    result = await run("open('x.txt', 'w').write('kept')")
    assert result.artifacts[0].content == b"kept"
