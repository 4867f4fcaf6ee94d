"""Playing a case: the scripted server on a real socket, everything else as it always is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.config.settings import Settings, load_settings
from backend.core.assistant import Assistant
from backend.core.requests import Ask
from backend.errors import PythonCoderError
from backend.llm.models import open_models
from backend.store.blobs import BlobStore
from backend.tools.coder.recording import Recorder, open_recorder
from backend.tools.python_coder_tool import PythonCoderTool
from backend.tools.python_executor_engine import PythonExecutor, open_engine, place_files
from bench.leftovers import take_inventory
from bench.misbehaviours.case import End, Misbehaviour, base_settings
from bench.misbehaviours.saying import GOOD_MODEL, stage_of
from tests.ollama_server import OllamaServer, Recorded

_SECONDS = 3
"""For one program: those that never end are waited for."""
_MEMORY_MB = 256
_SETTLE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all cases share: the sandbox, warm, and the store."""

    settings: Settings
    engine: PythonExecutor
    recorder: Recorder
    folder: Path


class Leftover(AssertionError):
    """Something is still there when everything is over."""


@asynccontextmanager
async def open_shared(folder: Path) -> AsyncIterator[Shared]:
    """Open the sandbox and the store once, for all cases.

    Args:
        folder: where everything is written.

    Raises:
        Leftover: a process, mount, control group or file of a run is left after the last case.
        SandboxUnavailable: programs cannot be isolated on this machine.
    """
    execution = folder / "execution"
    settings = load_settings(
        **base_settings(
            timeout_s=_SECONDS,
            max_memory_mb=_MEMORY_MB,
            preimport="numpy,pandas",
            execution_dir=execution,
            data_dir=folder / "data",
        )
    )
    before = take_inventory([execution])
    async with open_recorder(settings) as recorder, open_engine(settings) as engine:
        assert recorder is not None
        yield Shared(settings=settings, engine=engine, recorder=recorder, folder=folder)
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    while left := _left(take_inventory([execution]).more_than(before), execution):
        if asyncio.get_running_loop().time() > deadline:
            raise Leftover(f"Left behind: {left}")
        await asyncio.sleep(0.05)


def _left(more: dict[str, list[str]], execution: Path) -> dict[str, list[str]]:
    kept = str(execution / "fonts")
    found = {
        kind: [each for each in more[kind] if not each.startswith(kept)]
        for kind in ("processes", "mounts", "cgroups", "files")
    }
    return {kind: entries for kind, entries in found.items() if entries}


async def play(case: Misbehaviour, shared: Shared) -> End:
    """Play a case and tell how it ended."""
    server = OllamaServer()
    if case.calls_tools:
        server.models_with_tools.update(server.models)
    server.add(*(replace(line) for line in (*case.lines, *GOOD_MODEL)))
    if not case.is_served:
        with server.serving():
            pass
        return await _end(case, shared, server)
    with server.serving():
        return await _end(case, shared, server)


async def _end(case: Misbehaviour, shared: Shared, server: OllamaServer) -> End:
    settings = shared.settings.model_copy(
        update={"ollama_host": server.url, "max_calls": case.allowed, **case.settings}
    )
    folder = shared.folder / "files"
    folder.mkdir(exist_ok=True)
    paths = [folder / name for name in case.files]
    for path in paths:
        path.write_bytes(case.files[path.name])
    if case.face == "task":
        return await _of_task(case, shared, settings, server, paths)
    return await _of_agent(case, shared, settings, server, paths)


async def _of_task(
    case: Misbehaviour,
    shared: Shared,
    settings: Settings,
    server: OllamaServer,
    paths: Sequence[Path],
) -> End:
    async with open_models(settings) as models:
        tool = PythonCoderTool(settings, models, shared.engine, shared.recorder)
        result = await tool.execute_code_task(
            case.request,
            None,
            [str(path) for path in paths],
            options=case.options,
            use_cache=False,
        )
    text = result["output"] if result["success"] else result["error"]
    return _seen(text, result["success"], result["error_kind"], [result], server, [])


async def _of_agent(
    case: Misbehaviour,
    shared: Shared,
    settings: Settings,
    server: OllamaServer,
    paths: Sequence[Path],
) -> End:
    assert case.face != "task"
    async with open_models(settings) as models:
        assistant = Assistant(
            settings=settings,
            models=models,
            engine=shared.engine,
            blobs=BlobStore.of(settings),
            recorder=shared.recorder,
            tools=case.tools,
        )
        ask = Ask(question=case.request, agent_type=case.face, files=place_files(paths, settings))
        try:
            answer = await assistant.run(ask)
        except PythonCoderError as failure:
            return _seen(str(failure), False, failure.error_kind, [], server, [])
    end = _seen(answer.text, answer.success, "", answer.python_coder_results, server, answer.steps)
    others = sum(result["isolation"] is not None for result in answer.tool_results)
    return replace(end, runs=end.runs + others)


def _seen(
    text: str,
    success: bool,
    kind: str | None,
    results: Sequence[dict[str, Any]],
    server: OllamaServer,
    steps: Sequence[dict[str, Any]],
) -> End:
    return End(
        outcome="right result" if success else "clear error",
        words=text.strip(),
        kind="" if success else str(kind),
        calls=len(server.chats),
        runs=sum(len(result["attempts"]) for result in results),
        mended=", ".join(
            name if number == 1 else f"{number} x {name}"
            for name, number in _mendings(results, server.chats, steps).items()
        ),
    )


def _mendings(
    results: Sequence[dict[str, Any]],
    chats: Sequence[Recorded],
    steps: Sequence[dict[str, Any]],
) -> Counter[str]:
    """What was done about it, counted: by what the server was asked, and by the results."""
    done: Counter[str] = Counter()
    asked: list[tuple[str, int]] = []
    for chat in chats:
        prompt = chat.body["messages"][-1]["content"]
        limit = chat.body["options"]["num_predict"]
        if name := _second_question(prompt, limit, asked):
            done[name] += 1
        asked.append((prompt, limit))
    changes = [change["by"] for result in results for change in result["modifications"]]
    stages = Counter(
        stage_of(prompt) for prompt in {prompt for prompt, _ in asked if _is_first(prompt)}
    )
    done["rewrite"] += changes.count("model")
    done["repair"] += stages["repair"] - changes.count("model")
    done["rule"] += sum(_rules(result) for result in results)
    done["rule"] += sum(step.get("by") == "rule" for step in steps)
    tried = Counter(step["id"] for step in steps)
    done["retry"] += sum(number - 1 for number in tried.values())
    done["diagnosis"] += stages["diagnose"]
    done["new plan"] += stages["plan"] - 1
    return +done


def _second_question(prompt: str, limit: int, asked: Sequence[tuple[str, int]]) -> str:
    if asked and prompt == asked[-1][0]:
        return "second attempt" if limit == asked[-1][1] else "wider limit"
    return "" if _is_first(prompt) else "re-ask"


def _is_first(prompt: str) -> bool:
    return "Your last reply could not be " not in prompt


def _rules(result: dict[str, Any]) -> int:
    """Programs that were mended without a model, before a run or after one."""
    before: int = sum(change["by"] == "rule" for change in result["modifications"])
    after: int = sum(
        attempt["diagnosis"]["strategy"].startswith("mended by rule")
        for attempt in result["attempts"]
        if attempt["diagnosis"]
    )
    return before + after
