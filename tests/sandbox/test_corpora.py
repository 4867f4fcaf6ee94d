from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from backend.sandbox import ExecutionRequest, Executor

pytestmark = [pytest.mark.sandbox, pytest.mark.corpora]


async def test_every_reference_solution_of_humaneval_passes(
    corpora: Path, executor: Executor
) -> None:
    lines = (corpora / "humaneval.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    results = await asyncio.gather(
        *(executor.run(ExecutionRequest(code=row["code"])) for row in rows)
    )
    failed = {
        row["id"]: result.stderr[-200:]
        for row, result in zip(rows, results, strict=True)
        if not result.success
    }
    assert len(rows) == 164
    assert failed == {}
