"""What looking into files costs, and whether it tells a model the columns that it is asked about.

Method: the files are made here, with one seed. Each is described again and again by
``describe_files``, through a sandbox that is ready and has pandas imported, as it is before every
request with files; beside it, in the same run and in turns, plain ``pandas.read_csv`` reads the
10 MB file whole in this process, which tells nobody anything yet.

For the columns: each question of dabench is taken with the table it is about, and what a prompt
would say of that table. A column counts as mentioned where its name, as the table has it but for
spaces around it, stands in the question, its constraints or its format as a whole word and in the
same letters. It counts as named where the text has it as Python writes it.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from backend.config.settings import load_settings
from backend.prompts.facts import FACTS_TOKENS, list_facts
from backend.prompts.tokens import estimate_tokens
from backend.tools.python_executor_engine import PythonExecutor, describe_files, open_engine
from backend.types import ExecutionRequest
from bench.timing import Case, Timing, as_text, measure, repeated

TABLE = "describe_files, 10 MB CSV"
PLAIN = "plain pandas.read_csv, the same file"
_RUNS = 60
_FEWER = 20
_READY_S = 60
_MB = 1_000_000


def sales(path: Path, size: int) -> None:
    """Orders with a key, dates, categories, numbers with gaps and texts."""
    drawn = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("order_id,date,region,product name,price,qty,discount,customer,paid\n")
        for number in range(100_000, 10_000_000):
            day = f"{2020 + number // 40_000 % 6}-{number // 3000 % 12 + 1:02}-{number % 28 + 1:02}"
            gap = "" if drawn.random() < 0.1 else f"{drawn.random():.3f}"
            file.write(
                f"{number},{day},{drawn.choice(('North', 'South', 'East', 'West'))},"
                f"Product {drawn.randrange(500)},{drawn.gammavariate(2, 50):.2f},"
                f"{drawn.randrange(1, 20)},{gap},c{drawn.randrange(10**8):08},"
                f"{drawn.random() < 0.7}\n"
            )
            if not number % 1000 and file.tell() > size:
                return


def _write(path: Path, pieces: Iterator[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(pieces)


def _wide() -> Iterator[str]:
    yield ",".join(f"column {number}" for number in range(5000)) + "\n"
    for row in range(300):
        yield ",".join(f"{row}.{number}" for number in range(5000)) + "\n"


def _long() -> Iterator[str]:
    yield "a,b\n"
    yield from (f"{number % 9},{number}\n" for number in range(1_000_000))


def _line() -> Iterator[str]:
    yield "a,b\n"
    yield from ("x" * _MB for _ in range(49))
    yield ",1\n"


def _objects(joint: str) -> Iterator[str]:
    for number in range(500_000):
        value = {"id": number, "in": {"x": number, "tags": ["a", "b"]}, "name": f"n{number}"}
        yield json.dumps(value) + joint


def _list() -> Iterator[str]:
    yield "["
    yield from _objects(",")
    yield "0]"


def _deep() -> Iterator[str]:
    yield '{"a":' * 900 + "1" + "}" * 900


FILES: dict[str, Callable[[Path], None]] = {
    TABLE: lambda path: sales(path, 10 * _MB),
    "50 MB CSV": lambda path: sales(path, 50 * _MB),
    "1,000,000 rows CSV": lambda path: _write(path, _long()),
    "5,000 columns CSV": lambda path: _write(path, _wide()),
    "CSV with a line of 49 MB": lambda path: _write(path, _line()),
    "40 MB JSON": lambda path: _write(path, _list()),
    "JSON 900 levels deep": lambda path: _write(path, _deep()),
    "40 MB JSON lines": lambda path: _write(path, _objects("\n")),
}
"""What is described -> what makes it."""


def _ending(name: str) -> str:
    return "jsonl" if "JSON lines" in name else "json" if "JSON" in name else "csv"


@asynccontextmanager
async def warm_engine(folder: Path) -> AsyncIterator[PythonExecutor]:
    """An engine whose sandboxes have pandas imported.

    Raises:
        TimeoutError: they never have.
    """
    probe = ExecutionRequest(code="import sys; print('pandas' in sys.modules)")
    async with open_engine(load_settings(execution_dir=folder / "runs")) as engine:
        async with asyncio.timeout(_READY_S):
            while "True" not in (await engine.execute(probe, check=False)).stdout:  # noqa: ASYNC110 - nobody else waits
                await asyncio.sleep(0.2)
        yield engine


async def timings(share: float = 1.0) -> list[Timing]:
    """Describe each file, and read the first one plainly."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cases = []
        async with warm_engine(folder) as engine:
            for number, (name, make) in enumerate(FILES.items()):
                path = folder / f"file{number}.{_ending(name)}"
                make(path)
                once = partial(describe_files, engine, {path.name: path})
                runs = max(10, round((_FEWER if number else _RUNS) * share))
                cases.append(Case(name=name, runs=runs, sample=repeated(once)))

            async def plainly() -> object:
                return pd.read_csv(folder / "file0.csv")

            runs = max(10, round(_RUNS * share))
            cases.insert(1, Case(name=PLAIN, runs=runs, sample=repeated(plainly)))
            return await measure(cases)


def columns_of(table: Path) -> list[str]:
    """The names of a table's columns, read by nothing of ours."""
    raw = table.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return [name for name in next(csv.reader(text.splitlines())) if name.strip()]


def mentioned(question: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """The columns that a question speaks of; see the rule at the top."""
    text = "\n".join(str(question[key]) for key in ("question", "constraints", "format"))
    return [
        name
        for name in dict.fromkeys(columns)
        if re.search(rf"(?<!\w){re.escape(name.strip())}(?!\w)", text)
    ]


def is_named(column: str, text: str) -> bool:
    """Whether the text has the column's name as Python writes it."""
    return repr(column) in text


def questions_of(folder: Path) -> list[dict[str, Any]]:
    """The questions of dabench."""
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


async def contexts(engine: PythonExecutor, folder: Path) -> dict[str, str]:
    """Each table's file name -> what a prompt says of it."""
    tables = sorted((folder / "tables").iterdir())
    return {
        table.name: list_facts(await describe_files(engine, {table.name: table}))
        for table in tables
    }


async def main(corpora: Path | None, share: float = 1.0) -> None:
    """Print both tables of figures."""
    print(__doc__)
    body = [
        (
            timing.case,
            str(len(timing.samples_ms)),
            *(f"{timing.percentile(part):.0f}" for part in (0.5, 0.95)),
        )
        for timing in await timings(share)
    ]
    print(as_text(("file", "runs", "p50 ms", "p95 ms"), body))
    if corpora is None or not (corpora / "dabench").is_dir():
        print("\nColumns: not measured; PYTHON_CODER_CORPORA names no folder with dabench.")
        return
    folder = corpora / "dabench"
    with tempfile.TemporaryDirectory() as runs:
        async with warm_engine(Path(runs)) as engine:
            told = await contexts(engine, folder)
    asked = questions_of(folder)
    pairs = [
        (column, told[question["file_name"]])
        for question in asked
        for column in mentioned(question, columns_of(folder / "tables" / question["file_name"]))
    ]
    named = sum(is_named(column, text) for column, text in pairs)
    most = max(map(estimate_tokens, told.values()))
    print(
        f"\nColumns: {named} of {len(pairs)} mentions in {len(asked)} questions are named; the "
        f"longest context has {most} tokens of at most {FACTS_TOKENS}."
    )
