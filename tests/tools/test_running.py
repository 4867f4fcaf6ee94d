from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import Disabled, SandboxUnavailable
from backend.prompts.texts import OBSERVATION_CHARS
from backend.tools.python_executor_engine import open_engine
from backend.tools.running import program_in, run_bash, run_python
from backend.tools.toolbox import Toolbox, ToolResult
from tests.tools.hands import Hands

LOOP = "total = 0\nfor n in range(4):\n    total += n\n\nprint(total)"


@pytest.fixture
async def hands(tmp_path: Path) -> AsyncIterator[Hands]:
    settings = load_settings(execution_dir=tmp_path / "execution", timeout_s=5)
    try:
        async with open_engine(settings) as engine:
            yield Hands(engine, settings, tmp_path)
    except SandboxUnavailable as error:
        pytest.skip(str(error))


async def python(hands: Hands, code: Any, **context: Any) -> ToolResult:
    return await run_python().use({"code": code}, hands.context(**context))


async def bash(hands: Hands, code: str, **context: Any) -> ToolResult:
    return await run_bash().use({"code": code}, hands.context(**context))


# --- the program in what a model gives ---------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        LOOP,
        f"```python\n{LOOP}\n```",
        f"Here is the program:\n\n```python\n{LOOP}\n```\nIt prints the sum.",
        json.dumps({"code": LOOP}),
        json.dumps(LOOP),
        json.dumps({"code": f"```python\n{LOOP}\n```"}),
    ],
    ids=["bare", "fenced", "in prose", "in JSON", "as a JSON text", "fenced in JSON"],
)
def test_a_python_program_is_taken_out_of_its_wrapping(given: str) -> None:
    assert program_in(given, "python").strip() == LOOP


@pytest.mark.parametrize(
    "program",
    [
        'text = """\n```python\nprint(1)\n```\n"""\nprint(text)',
        "x = 1\n\n\n\nprint( x )   # spaces stay\n",
        '{"code": 1}',
        "# Action: finish\nprint('Observation: none')",
        "for line in open('a.txt'):\n\tprint(line)\n\n",
    ],
)
def test_a_program_that_is_python_stays_as_it_is_to_the_letter(program: str) -> None:
    assert program_in(program, "python") == program


@pytest.mark.parametrize(
    ("given", "script"),
    [
        ("ls -la | sort", "ls -la | sort"),
        ("```bash\nls -la\n```", "ls -la"),
        ("Run this:\n```sh\nls -la\nwc -l *\n```\nDone.", "ls -la\nwc -l *"),
        ('{"command": "ls -la"}', "ls -la"),
        ('"ls -la"', "ls -la"),
        ("`ls -la`", "ls -la"),
        ("$ ls -la\n$ wc -l a", "ls -la\nwc -l a"),
        ("cat > a.md <<'E'\n```bash\nls\n```\nE", "cat > a.md <<'E'\n```bash\nls\n```\nE"),
        ("{ echo a; echo b; } > c", "{ echo a; echo b; } > c"),
        ("echo `date`\n", "echo `date`\n"),
    ],
)
def test_a_bash_script_is_taken_out_of_its_wrapping_and_else_stays(given: str, script: str) -> None:
    assert program_in(given, "bash") == script


@pytest.mark.parametrize("named", ["run_python", "Python_REPL", "**run python**", "execute_python"])
def test_models_find_run_python_by_the_names_they_use(named: str) -> None:
    assert Toolbox([run_python(), run_bash()]).find(named) == "run_python"


@pytest.mark.parametrize("named", ["bash", "Shell", "terminal", "run_command", "`run_bash`"])
def test_models_find_run_bash_by_the_names_they_use(named: str) -> None:
    assert Toolbox([run_python(), run_bash()]).find(named) == "run_bash"


# --- running -----------------------------------------------------------------------------------


@pytest.mark.sandbox
async def test_a_program_is_run_exactly_and_told_with_value_files_and_walls(hands: Hands) -> None:
    path = hands.write("매출 'q1'.csv", "city,sales\nSeoul,3\nBusan,4\n")
    code = (
        "rows = open(\"매출 'q1'.csv\", encoding='utf-8').read().split()\n"
        "print(len(rows), 'lines')\n"
        "open('sum.txt', 'w').write('7')\n"
        "sum(int(row.split(',')[1]) for row in rows[1:])"
    )
    result = await python(hands, code, files={path.name: path})
    assert result["success"] and result["error_kind"] is None
    assert result["text"] == "3 lines\nValue of the last expression: 7\nFiles: sum.txt"
    assert result["details"]["code"] == code
    assert (result["details"]["language"], result["details"]["returncode"]) == ("python", 0)
    assert result["details"]["duration_s"] > 0
    assert result["isolation"] == hands.engine.isolation.as_dict()
    assert await hands.blobs.get(result["artifacts"][0]["sha256"]) == b"7"
    assert json.loads(json.dumps(result)) == result
    assert hands.kinds == ["code", "run", "output", "artifact"]
    assert hands.events[0].text == code
    assert hands.events[2].data["success"] and hands.events[2].data["value"] == "7"


@pytest.mark.sandbox
async def test_a_failing_program_is_told_with_its_error_its_lines_and_what_it_printed(
    hands: Hands,
) -> None:
    result = await python(hands, "rows = [1, 2]\nprint('so far')\nprint(rows[5])")
    assert not result["success"] and result["error_kind"] is None
    assert result["text"].startswith("It failed: IndexError: list index out of range")
    assert "print(rows[5])" in result["text"] and "rows = " in result["text"]
    assert result["text"].endswith("It printed before that:\nso far")
    assert "Traceback" not in result["text"]
    assert result["details"]["returncode"] == 1
    assert not hands.events[-1].data["success"]


@pytest.mark.sandbox
async def test_what_the_check_refuses_is_told_with_line_and_advice_and_not_run(
    hands: Hands,
) -> None:
    result = await python(hands, "print('x')\nimport socket")
    assert not result["success"] and result["isolation"] is None
    assert "static check" in result["text"] and "line 2" in result["text"]
    assert result["details"]["issues"][0]["line"] == 2
    assert hands.kinds == ["code", "run", "check"]


@pytest.mark.sandbox
@pytest.mark.parametrize("given", ["Please add the numbers up and plot them.", "print('a'"])
async def test_what_is_no_program_is_told_to_be_none(hands: Hands, given: str) -> None:
    result = await python(hands, given)
    assert not result["success"]
    assert "has to be the program itself" in result["text"]


@pytest.mark.sandbox
@pytest.mark.parametrize("given", ["", "  \n", None, 7, [], {}])
async def test_nothing_given_is_nothing_run(hands: Hands, given: Any) -> None:
    result = await python(hands, given)
    assert not result["success"]
    assert "was given no program" in result["text"]
    assert hands.events == []


@pytest.mark.sandbox
async def test_the_program_is_found_under_other_names_of_the_argument(hands: Hands) -> None:
    for arguments in ({"script": "print(6 * 7)"}, {"x": "print(6 * 7)"}, {"code": ["print(42)"]}):
        result = await run_python().use(arguments, hands.context())
        assert result["text"].startswith("42")


@pytest.mark.sandbox
async def test_a_huge_output_is_told_by_head_and_tail(hands: Hands) -> None:
    printing = "print('first')\nprint('x' * 200_000)\nprint('last')\n"
    result = await python(hands, f"{printing}open('a.txt', 'w').write('a')\n'y' * 9000")
    assert result["success"]
    assert len(result["text"]) <= OBSERVATION_CHARS
    assert result["text"].startswith("first") and "x\nlast\nValue" in result["text"]
    assert "characters left out" in result["text"] and result["text"].endswith("Files: a.txt")
    failed = await python(hands, f"{printing}1 / 0")
    assert len(failed["text"]) <= OBSERVATION_CHARS
    assert failed["text"].startswith("It failed: ZeroDivisionError")
    assert failed["text"].endswith("x\nlast")


@pytest.mark.sandbox
async def test_a_program_killed_by_time_is_told_with_the_limit_and_the_remedy(
    tmp_path: Path, hands: Hands
) -> None:
    async def execute(request: Any) -> Any:
        from dataclasses import replace

        return await hands.engine.execute(replace(request, timeout_s=1))

    result = await python(hands, "print('begun', flush=True)\nwhile True: pass", execute=execute)
    assert not result["success"]
    assert result["details"]["stopped_by"] == "timeout"
    assert "stopped by the timeout limit" in result["text"]
    assert "PYTHON_CODE_TIMEOUT" in result["text"]
    assert result["text"].endswith("begun")


@pytest.mark.sandbox
async def test_a_program_that_shows_nothing_is_told_so(hands: Hands) -> None:
    result = await python(hands, "def main():\n    print(1)\n")
    assert "(nothing was printed)" in result["text"] and "main() is never called" in result["text"]


@pytest.mark.sandbox
async def test_programs_share_a_session_where_there_is_one(hands: Hands) -> None:
    async with await hands.engine.open_session() as session:
        await python(hands, "rows = [1, 2, 3]", execute=session.execute)
        result = await python(hands, "print(sum(rows))", execute=session.execute)
    assert result["text"] == "6"


@pytest.mark.sandbox
async def test_a_script_is_run_exactly_and_told_with_its_files(hands: Hands) -> None:
    path = hands.write("a.txt", "one\ntwo\n")
    script = "wc -l < a.txt\nsort -r a.txt > sorted.txt\necho warning >&2"
    result = await bash(hands, script, files={"a.txt": path})
    assert result["text"] == "2\nFiles: sorted.txt\nOn stderr:\nwarning"
    assert result["details"]["language"] == "bash" and result["details"]["code"] == script
    assert await hands.blobs.get(result["artifacts"][0]["sha256"]) == b"two\none\n"


@pytest.mark.sandbox
async def test_a_script_that_fails_keeps_all_it_printed(hands: Hands) -> None:
    result = await bash(hands, "seq 1 400\ngrep nothing_such /dev/null")
    assert not result["success"] and result["details"]["returncode"] == 1
    assert "exit status 1" in result["text"]
    assert "\n200\n" in result["text"] and result["text"].endswith("400")


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "script",
    [
        "echo a; cat {secret}",
        "true && cat {secret}",
        "false || cat {secret}",
        'bash -c "cat {secret}"',
        "echo $(cat {secret})",
        "cat $(echo {secret})",
        "p={secret}; c=cat; $c $p",
        "eval 'ca''t {secret}'",
        "cat <(cat {secret})",
        "ln -s {secret} here; cat here",
        "echo Y2F0IA== | base64 -d > c; echo {secret} >> c; . ./c",
        "find / -name token.txt -exec cat {{}} + 2>/dev/null",
        "python3 -c \"print(open('{secret}').read())\"",
        "(echo x > {secret}; cat {secret}) 2>&1 | tee out; cp {secret} kept.txt",
    ],
)
async def test_no_compound_command_reaches_a_file_that_was_not_given(
    hands: Hands, script: str
) -> None:
    secret = hands.write("elsewhere/token.txt", "s3cr3t-of-the-house")
    result = await bash(hands, script.format(secret=secret))
    assert "s3cr3t" not in result["text"]
    for reference in result["artifacts"]:
        assert b"s3cr3t" not in await hands.blobs.get(reference["sha256"])
    assert secret.read_text() == "s3cr3t-of-the-house"


@pytest.mark.sandbox
async def test_the_walls_stand_without_the_check(hands: Hands) -> None:
    """Row 71: the check is advice; whatever gets past it finds the sandbox."""
    secret = hands.write("elsewhere/token.txt", "s3cr3t-of-the-house")
    own = hands.write("given.txt", "given\n")

    async def unchecked(request: Any) -> Any:
        return await hands.engine.execute(request, check=False)

    result = await bash(
        hands,
        f"cat {secret}; rm -rf {secret.parent} given.txt; echo changed > given.txt; cat given.txt; "
        "(exec 3<>/dev/tcp/127.0.0.1/9) && echo connected; id -u",
        files={"given.txt": own},
        execute=unchecked,
    )
    assert result["isolation"] is not None
    assert "s3cr3t" not in result["text"] and "connected" not in result["text"]
    assert "given" in result["text"].splitlines()
    assert secret.read_text() == "s3cr3t-of-the-house" and own.read_text() == "given\n"


@pytest.mark.sandbox
async def test_where_running_is_switched_off_nobody_is_told_that_the_program_failed(
    tmp_path: Path, hands: Hands
) -> None:
    settings = load_settings(execution_dir=tmp_path / "off", enabled=False)
    async with open_engine(settings) as engine:
        with pytest.raises(Disabled):
            await python(Hands(engine, settings, tmp_path), "print(1)")
