"""Bash programs in the real sandbox: whole scripts, with their files, behind the same walls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.sandbox import ExecutionResult, Executor
from tests.sandbox.conftest import Run, nobody_left

pytestmark = pytest.mark.sandbox

PRINTS: dict[str, tuple[str, str]] = {
    "commands one after another": ("echo one\necho two\necho three", "one\ntwo\nthree\n"),
    "a here document that expands": ("x=5\ncat <<E\n$x $((x * 2))\nE\n", "5 10\n"),
    "a here document that does not": ("cat <<'E'\n$HOME `id` \\n\nE\n", "$HOME `id` \\n\n"),
    "a here document with tabs taken off": ("cat <<-E\n\tone\n\tE\necho two", "one\ntwo\n"),
    "a here string": ("wc -c <<< hello", "6\n"),
    "pipes": ("printf 'b\\na\\nb\\n' | sort | uniq -c | awk '{print $2, $1}'", "a 1\nb 2\n"),
    "lines that go on": ("printf '%s-%s\\n' \\\n  one \\\n  two", "one-two\n"),
    "functions with locals": (
        "x=out\ngreet() {\n  local x=$1\n  echo \"hi $x\"\n  return 3\n}\ngreet 'a b'\necho $? $x",
        "hi a b\n3 out\n",
    ),
    "loops and conditions": (
        "for i in 1 2 3; do\n  if (( i == 2 )); then continue; fi\n  echo $i\ndone",
        "1\n3\n",
    ),
    "case": ("case abc in\n  a*) echo starts;;\n  *) echo else;;\nesac", "starts\n"),
    "arrays and maps": (
        "a=(1 2 3)\ndeclare -A m=([k]=v)\necho ${#a[@]} ${a[-1]} ${m[k]} {1..3}",
        "3 3 v 1 2 3\n",
    ),
    "process substitution": ("diff <(echo a) <(echo b) | head -1", "1c1\n"),
    "a loop that reads": ("while read -r x; do echo \"<$x>\"; done < <(printf '1\\n2\\n')", "<1>\n<2>\n"),
    "arithmetic and substitution": ("s=hello\necho ${s^^} ${s/l/L} $((2**10)) $(echo in)", "HELLO heLlo 1024 in\n"),
    "$? of the last command": ("false\necho $?\n(exit 7)\necho $?", "1\n7\n"),
    "$? of a pipe": ("set -o pipefail\nfalse | true\necho $?\nfalse | true\necho ${PIPESTATUS[@]}", "1\n1 0\n"),
    "a trap at its end": ("trap 'echo bye' EXIT\necho hi", "hi\nbye\n"),
    "an empty standard input": ("read -r x; echo \"$? <$x>\"; wc -c", "1 <>\n0\n"),
    "a temporary file": ("f=$(mktemp)\necho kept > $f\ncat $f", "kept\n"),
    "what its children in the background did": ("(sleep 0.05; echo child) &\nwait\necho parent", "child\nparent\n"),
    "letters of every script": ("echo 값 é \"$(printf '한글' | wc -m)\"", "값 é 2\n"),
    "lines that end as on Windows": ("if true; then\r\n  echo one\r\nfi\r\necho two\r\n", "one\ntwo\n"),
    "its first line as a comment": ("#!/bin/bash\n# says hi\necho hi", "hi\n"),
    "nothing": ("", ""),
    "only a comment": ("# nothing", ""),
    "patterns that it switches on": ("shopt -s extglob\nx=aab\necho ${x##+(a)} !(z*)", "b !(z*)\n"),
    "another program's language": ("python3 - <<'E'\nimport sys\nprint(sys.argv)\nE", "['-']\n"),
    "the line it is in": ("echo $LINENO\n\necho $LINENO", "1\n3\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", PRINTS)
async def test_bash_says(run: Run, what: str) -> None:
    code, printed = PRINTS[what]
    result = await run(code, language="bash")
    assert (result.stdout, result.stderr, result.success) == (printed, "", True)
    assert result.artifacts == ()


ENDS: dict[str, tuple[str, int, str, str]] = {
    "with the status it gives": ("echo out; echo err >&2; exit 7", 7, "out\n", "err\n"),
    "with that of its last command": ("echo a; false", 1, "a\n", ""),
    "at the first failure under set -e": ("set -e\necho one\nfalse\necho two", 1, "one\n", ""),
    "at a name that is not set under set -u": ("set -u\necho one\necho $nope", 1, "one\n", "nope"),
    "at a pipe's failure": ("set -eo pipefail\nfalse | cat\necho two", 1, "", ""),
    "at a command that is not there": ("set -e\nno_such_command\necho two", 127, "", "no_such"),
    "by a signal": ("echo one\nkill -TERM $$", -15, "one\n", ""),
    "with a failed trap": ("trap 'exit 9' ERR\nfalse\necho two", 9, "", ""),
}


@pytest.mark.parametrize("how", ENDS)
async def test_bash_ends(run: Run, how: str) -> None:
    code, status, printed, said = ENDS[how]
    result = await run(code, language="bash")
    assert (result.returncode, result.stdout, result.success) == (status, printed, False)
    assert said in result.stderr


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("touch made\necho one\nif true; then\n  echo two\n", 5),
        ("touch made\nfor i in 1 2; do echo $i\n", 3),
        ("touch made\necho 'one\n", 2),
        ("if then", 1),
        ("touch made\n}", 2),
        ("touch made; f() { echo }", 2),
        ("touch made\nshopt -s extglob\necho !(a\n", 3),
    ],
)
async def test_nothing_runs_of_what_is_no_bash(run: Run, code: str, line: int) -> None:
    result = await run(code, language="bash")
    assert (result.returncode, result.stdout, result.success) == (2, "", False)
    assert f"main.sh: line {line}: " in result.stderr
    assert result.artifacts == ()


async def test_it_finds_its_files_beside_itself_and_hands_out_what_it_wrote(
    run: Run, tmp_path: Path
) -> None:
    table = tmp_path / "in.csv"
    table.write_text("b,2\na,1\n", encoding="utf-8")
    code = """
cd /tmp
cd "$(dirname "$0")"
sort "my data.csv" > 'sorted out.csv'
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
main() { mkdir -p "$here/sub"; wc -l < "$here/my data.csv" > "$here/sub/값.txt"; ls "$here"; }
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  main "$@"
fi
"""
    result = await run(code, language="bash", files={"my data.csv": table})
    assert (result.stdout, result.stderr) == ("my data.csv\nsorted out.csv\nsub\n", "")
    written = {each.name: each.content for each in result.artifacts}
    assert written == {"sorted out.csv": b"a,1\nb,2\n", "sub/값.txt": b"2\n"}
    refused = await run('echo x >> "my data.csv"', language="bash", files={"my data.csv": table})
    assert (refused.success, refused.artifacts) == (False, ())
    assert table.read_text(encoding="utf-8") == "b,2\na,1\n"


async def test_an_input_may_be_called_as_the_script_would_be(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "main.sh"
    script.write_text("echo input $1", encoding="utf-8")
    result = await run("bash main.sh it; ls", language="bash", files={"main.sh": script})
    assert (result.stdout, result.artifacts) == ("input it\nmain.sh\n", ())


async def test_arguments_and_variables_arrive_as_they_are(run: Run) -> None:
    result = await run(
        'printf "<%s>" "$@" "$word" "$number"',
        language="bash",
        argv=["a b", "*", "$HOME", ""],
        variables={"word": 'it\'s "값"\n', "number": 3},
    )
    assert result.stdout == '<a b><*><$HOME><><it\'s "값"\n><3>'


async def test_a_session_keeps_files_of_scripts_called_as_the_script_is(executor: Executor) -> None:
    from backend.sandbox import ExecutionRequest

    async with await executor.open_session() as session:

        async def bash(code: str) -> ExecutionResult:
            return await session.run(ExecutionRequest(code=code, language="bash"))

        first = await bash("echo 'echo kept' > main.sh; ls")
        assert (first.stdout, [each.name for each in first.artifacts]) == ("main.sh\n", ["main.sh"])
        second = await bash("bash main.sh; ls; cat no_such_file")
        assert (second.stdout, second.artifacts) == ("kept\nmain.sh\n", ())
        third = await bash("rm main.sh; if")
        assert third.returncode == 2
        assert (await bash("ls")).stdout == "main.sh\n"


async def test_a_limit_ends_it_and_what_it_started(run: Run, executor: Executor) -> None:
    code = "echo begun\n(while :; do sleep 60; done) &\nwhile :; do sleep 60; done"
    result = await run(code, language="bash", timeout_s=1)
    assert (result.stopped_by, result.stdout, result.success) == ("timeout", "begun\n", False)
    await nobody_left(executor)


async def test_what_it_leaves_running_ends_with_it(run: Run, executor: Executor) -> None:
    result = await run("nohup sleep 60 > /dev/null 2>&1 &\ndisown\necho done", language="bash")
    assert (result.success, result.stdout) == (True, "done\n")
    await nobody_left(executor)


@pytest.mark.parametrize(
    ("code", "limits", "stopped"),
    [
        ("x=$(head -c 300M /dev/zero | tr '\\0' a); echo ${#x}", {"memory_mb": 64}, "memory"),
        ("b() { b | b & }; b; sleep 20", {}, None),
    ],
)
async def test_limits_hold_for_bash(
    run: Run, executor: Executor, code: str, limits: dict[str, Any], stopped: str | None
) -> None:
    result = await run(code, language="bash", timeout_s=15, **limits)
    assert not (result.success and stopped)
    if stopped:
        assert result.stopped_by == stopped or "memory" in result.stderr
    await nobody_left(executor)


async def test_a_full_disk_is_told(run: Run) -> None:
    result = await run("head -c 600M /dev/zero > big", language="bash")
    assert (result.success, result.artifacts) == (False, ())
    assert "No space left" in result.stderr or result.stopped_by == "disk"


WALLS = {
    "a connection of bash's own": "exec 3<>/dev/tcp/127.0.0.1/22",
    "a connection of curl's": "command -v curl > /dev/null && curl -sS -m 3 http://127.0.0.1:1",
    "a connection of Python's": "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 22), 2)'",
    "the host's accounts": "cat /etc/shadow",
    "writing outside": "echo x > /usr/bin/x",
    "rights": "cp /bin/bash ./b && chmod u+s ./b && ./b -p -c 'test $(id -u) = 0'",
    "a mount": "mount -t tmpfs none /mnt",
    "a namespace": "unshare -Ur true",
    "the processes of others": "test $(ls -d /proc/[0-9]* | wc -l) -gt 20",
    "its keeper's end": "kill -9 1; sleep 0.2; false",
    "a device": "mknod dev c 1 3 2>&1 && false; head -c 1 /dev/mem",
    "the machinery in Python": "python3 -c 'import ctypes; ctypes.CDLL(None).unshare(0x10000000) and exit(1)'",
}  # fmt: skip


@pytest.mark.parametrize("what", WALLS)
async def test_bash_is_refused(run: Run, what: str) -> None:
    result = await run(f"echo begun\n{WALLS[what]}", language="bash", timeout_s=15)
    assert result.stdout.startswith("begun\n"), result
    assert not result.success


async def test_bash_sees_no_variable_of_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    result = await run("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'", language="bash")
    assert result.success
    assert "secret-value" not in result.stdout
