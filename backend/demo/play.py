"""The demo: real questions on real data, through the ordinary assistant and the real server."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backend.config.settings import Settings
from backend.core.assistant import Assistant, open_assistant
from backend.core.requests import Answer, Ask
from backend.demo.model import choose_model
from backend.demo.over_http import DemoServer, Exchange, start_server
from backend.demo.proof import find_problems
from backend.demo.scenes import HTTP_SCENE, SCENES, WINE, WINE_PROGRAM, Scene
from backend.errors import MachineError, PythonCoderError
from backend.tools.python_executor_engine import PythonExecutor, require_enabled
from backend.types import Emit, ExecutionRequest, Isolation

_DATA_SECONDS = 120.0
"""Importing scikit-learn for the first time takes a while on a slow disk."""


class Show(Protocol):
    """Whoever shows the demo to people."""

    def say(self, text: str) -> None:
        """A line of the demo's own."""

    def scene(self, number: int, scene: Scene) -> AbstractContextManager[Emit]:
        """A request begins; what happens in it is told to what the block gets."""

    def answer(self, text: str, account: str) -> None:
        """It is answered."""

    def problem(self, text: str) -> None:
        """Something did not come out as it must."""


Keep = Callable[[str, bytes], Path]
"""Writes a file for the user and says where."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """A request of the demo and what came of it."""

    title: str
    question: str
    answer: str
    agent: str
    seconds: float
    printed: list[str] = field(default_factory=list)
    """What the programs printed, by use of the coder."""
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole demo."""

    model: str
    recorded: bool
    isolation: Isolation | None
    played: list[Played]
    files: list[str]
    seconds: float

    @property
    def success(self) -> bool:
        """Everything came out as it must."""
        return bool(self.played) and not any(entry.problems for entry in self.played)


async def play(settings: Settings, *, show: Show, keep: Keep) -> Report:
    """Play the demo.

    Args:
        settings: the user's; what the recorded conversation depends on is fixed by the demo.
        show: is told everything as it happens.
        keep: writes what was made.

    Raises:
        PythonCoderError: the sandbox, the server or the code switch do not let it begin.
    """
    require_enabled(settings)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="python-coder-demo-") as folder:
        private = settings.model_copy(
            update={
                "data_dir": Path(folder) / "data",
                "execution_dir": Path(folder) / "runs",
                "database_url": f"sqlite:///{folder}/demo.db",
            }
        )
        cast = await choose_model(private, Path(folder))
        show.say(cast.line)
        stage = _Stage(cast.settings, recorded=cast.recorded, show=show, keep=keep)
        async with start_server(cast.settings) as server:
            await stage.play_all(server)
    return Report(
        model=stage.model,
        recorded=cast.recorded,
        isolation=stage.isolation,
        played=stage.played,
        files=[str(path) for path in stage.files],
        seconds=round(time.monotonic() - started, 2),
    )


class _Stage:
    """Where the requests are played one after the other."""

    def __init__(self, settings: Settings, *, recorded: bool, show: Show, keep: Keep) -> None:
        self._settings = settings
        self._recorded = recorded
        self._show = show
        self._keep = keep
        self._wine = Path()
        self.model = ""
        self.isolation: Isolation | None = None
        self.played: list[Played] = []
        self.files: list[Path] = []

    async def play_all(self, server: DemoServer) -> None:
        """Every request, then one over HTTP."""
        async with open_assistant(self._settings) as assistant:
            self.model = assistant.models.get().name
            self.isolation = assistant.engine.isolation
            await self._write_wine(assistant.engine)
            for number, scene in enumerate(SCENES, 1):
                async with self._assistant_for(scene, assistant) as fitting:
                    await self._play(number, scene, fitting)
        await self._play_over_http(len(SCENES) + 1, server)

    async def _write_wine(self, engine: PythonExecutor) -> None:
        """Make the data, in the sandbox: a first program, without a model."""
        request = ExecutionRequest(code=WINE_PROGRAM, timeout_s=_DATA_SECONDS)
        result = await engine.execute(request)
        made = next((file for file in result.artifacts if file.name == WINE), None)
        if made is None:
            raise MachineError(
                f"{WINE} could not be made: {result.stderr.strip()[-300:] or result.stopped_by}.",
                "Run: python-coder doctor",
            )
        self._wine = self._put(made.name, made.content)
        self._show.say(f"Data: {result.stdout.strip()}, from scikit-learn, in {self._wine}")

    def _put(self, name: str, content: bytes) -> Path:
        path = self._keep(name, content)
        self.files.append(path)
        return path

    @asynccontextmanager
    async def _assistant_for(self, scene: Scene, usual: Assistant) -> AsyncIterator[Assistant]:
        """The usual one, or one with the scene's own limits."""
        if scene.timeout_s is None or not self._recorded:
            yield usual
            return
        limited = self._settings.model_copy(update={"timeout_s": scene.timeout_s})
        async with open_assistant(limited) as assistant:
            yield assistant

    async def _play(self, number: int, scene: Scene, assistant: Assistant) -> None:
        files = {WINE: self._wine} if scene.has_file else {}
        started = time.monotonic()
        try:
            ask = Ask(question=scene.question, agent_type=scene.agent, files=files)
            with self._show.scene(number, scene) as emit:
                answer = await assistant.run(ask, emit)
        except PythonCoderError as error:
            self._finish(scene, started, text=str(error), agent="", problems=[str(error)])
            return
        kept = [
            self._put(made["name"], await assistant.blobs.get(made["sha256"]))
            for made in answer.artifacts
        ]
        problems = find_problems(
            scene,
            text=answer.text,
            success=answer.success,
            agent=answer.agent,
            results=answer.python_coder_results,
            recorded=self._recorded,
        )
        self._finish(
            scene,
            started,
            text=answer.text,
            agent=answer.agent,
            problems=list(problems),
            printed=_printed(answer.python_coder_results),
            files=[path.name for path in kept],
            account=_account(answer),
        )

    async def _play_over_http(self, number: int, server: DemoServer) -> None:
        started = time.monotonic()
        wine = await asyncio.to_thread(self._wine.read_bytes)
        try:
            with self._show.scene(number, HTTP_SCENE):
                exchange = await server.ask(HTTP_SCENE, self.model, wine)
        except PythonCoderError as error:
            self._finish(HTTP_SCENE, started, text=str(error), agent="", problems=[str(error)])
            return
        metadata = exchange.metadata
        results = metadata.get("python_coder_results", [])
        problems = [] if exchange.status == 200 else [f"HTTP status {exchange.status}"]
        if not problems:
            problems += find_problems(
                HTTP_SCENE,
                text=exchange.text,
                success=metadata.get("success") is not False,
                agent=str(metadata.get("agent_selected")),
                results=results,
                recorded=self._recorded,
            )
        self._finish(
            HTTP_SCENE,
            started,
            text=exchange.text,
            agent=str(metadata.get("agent_selected", "")),
            problems=problems,
            printed=_printed(results),
            account=_http_account(exchange),
        )

    def _finish(
        self,
        scene: Scene,
        started: float,
        *,
        text: str,
        agent: str,
        problems: list[str],
        printed: Sequence[str] = (),
        files: Sequence[str] = (),
        account: str = "",
    ) -> None:
        seconds = round(time.monotonic() - started, 2)
        self._show.answer(text, f"{account}, {seconds:.1f} s" if account else f"{seconds:.1f} s")
        for problem in problems:
            self._show.problem(problem)
        self.played.append(
            Played(
                title=scene.title,
                question=scene.question,
                answer=text,
                agent=agent,
                seconds=seconds,
                printed=list(printed),
                files=list(files),
                problems=problems,
            )
        )


def _printed(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(result["output"]) for result in results]


def _account(answer: Answer) -> str:
    usage = answer.usage
    return (
        f"agent {answer.agent}, model {answer.model}, {usage['calls']} calls, "
        f"{usage['input_tokens']:,} + {usage['output_tokens']:,} tokens"
    )


def _http_account(exchange: Exchange) -> str:
    usage = exchange.body.get("usage") or {}
    return (
        f"{exchange.url}, status {exchange.status}, agent "
        f"{exchange.metadata.get('agent_selected', '-')}, {usage.get('total_tokens', 0):,} tokens"
    )
