"""A server of one engine for whoever it runs as: a line of JSON in, a line of JSON out.

Each line in is a list of requests that are run at the same time. Started by ``people``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from backend.config.settings import load_settings
from backend.errors import PythonCoderError
from backend.sandbox import ExecutionRequest, ExecutionResult
from backend.sandbox.policy import blocking
from backend.tools.python_executor_engine import PythonExecutor, open_engine

CONTENT_BYTES = 4096


async def main() -> None:
    settings = load_settings(
        execution_dir=Path(sys.argv[1]), timeout_s=20, max_parallel_runs=8, pool_size=2
    )
    async with open_engine(settings) as engine:
        say({"walls": engine.isolation.walls})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await asyncio.gather(*(answer(engine, asked) for asked in json.loads(line))))


def say(what: object) -> None:
    print(json.dumps(what, allow_nan=False), flush=True)


async def answer(engine: PythonExecutor, asked: dict[str, Any]) -> dict[str, Any]:
    check = asked.pop("check")
    try:
        return as_plain(await engine.execute(ExecutionRequest(**asked), check=check))
    except PythonCoderError as error:
        return {"error": f"{type(error).__name__}: {error}"}


def as_plain(result: ExecutionResult) -> dict[str, Any]:
    return {
        "success": result.success,
        "returncode": result.returncode,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "stopped_by": result.stopped_by,
        "value": result.value,
        "html": result.html,
        "charts": result.charts,
        "failure": result.failure.as_dict() if result.failure else None,
        "notes": result.notes,
        "truncated": result.truncated,
        "walls": result.isolation.walls if result.isolation else (),
        "issues": [issue.kind for issue in blocking(result.issues)],
        "artifacts": {
            artifact.name: [
                artifact.size,
                base64.b64encode(artifact.content[:CONTENT_BYTES]).decode(),
            ]
            for artifact in result.artifacts
        },
    }


if __name__ == "__main__":
    asyncio.run(main())
