"""What works at the moment, looked at seldom however often it is asked for.

Each part is looked at by one at a time, and what was found holds for a moment. Who asks while
another look is under way gets what the last one found, if that is not old; so a probe that hangs
makes nobody wait, and a thousand questions a second cost one look.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from backend.core.assistant import Assistant
from backend.errors import PythonCoderError, StoreUnavailable
from backend.store.database import Database
from backend.store.keys import KeyStore
from backend.store.told import for_anybody
from backend.types import ExecutionRequest

FRESH_S: Final = 2.0
"""For how long what was found is simply believed."""
OLD_S: Final = 15.0
"""After which it is not told any more while another look is under way."""
PATIENCE_S: Final = 1.0
"""How long a look is waited for: whoever asks for health gives up soon."""
_RAN_LATELY_S: Final = 10.0
"""A program that came back so lately shows that the sandbox works."""
_ROOM_BYTES: Final = 2**16
"""What must find room in the data folder: about a small run with its steps."""

State = dict[str, Any]
Look = Callable[[], Awaitable[State]]


class Probe:
    """Looks at one part."""

    def __init__(
        self, look: Look, too_slow: State, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Say how to look, and what is the matter where that takes too long."""
        self._look = look
        self._clock = clock
        self._too_slow = too_slow
        self._found: State | None = None
        self._found_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def state(self) -> State:
        """What was found, at once where it is known."""
        age = self._clock() - self._found_at
        if self._found is not None and age < FRESH_S:
            return self._found
        if self._looking is None:
            self._looking = asyncio.create_task(self._renew())
        if self._found is None or age > OLD_S:
            await asyncio.wait({self._looking}, timeout=PATIENCE_S)
        is_known = self._found is not None and self._clock() - self._found_at <= OLD_S
        return self._found if is_known and self._found is not None else self._too_slow

    async def aclose(self) -> None:
        """End a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _renew(self) -> None:
        try:
            self._found = await self._look()
            self._found_at = self._clock()
        finally:
            self._looking = None


class Probes:
    """One for each thing that a question needs. Use as an async context manager."""

    def __init__(self, assistant: Assistant, database: Database, keys: KeyStore) -> None:
        self._assistant = assistant
        self._database = database
        self._keys = keys
        model = assistant.models.get()
        self._about_model = {"name": model.name, "provider": model.provider}
        slow = f"did not answer within {PATIENCE_S:g} s."
        self.model = Probe(self._model, self._about_model | _gone(f"The model server {slow}"))
        self.sandbox = Probe(
            self._sandbox,
            assistant.engine.isolation.as_dict()
            | _failed(f"A program of one line {slow} Others may be running."),
        )
        self.store = Probe(self._store, _failed(f"The database {slow}"))
        self._folder = assistant.settings.data_dir

    async def __aenter__(self) -> Probes:
        return self

    async def __aexit__(self, *_: object) -> None:
        for probe in (self.model, self.sandbox, self.store):
            await probe.aclose()

    async def _model(self) -> State:
        try:
            await self._assistant.models.check()
        except PythonCoderError as error:
            words = for_anybody(error) if await self._asks_anybody() else str(error)
            return self._about_model | _gone(words)
        return self._about_model | {"state": "ok", "reachable": True, "error": None}

    async def _asks_anybody(self) -> bool:
        """Whether others than the operator ask: what is told here is told without a key."""
        try:
            return await self._keys.are_wanted()
        except StoreUnavailable:
            return True

    async def _sandbox(self) -> State:
        engine = self._assistant.engine
        about = engine.isolation.as_dict()
        if not self._assistant.settings.enabled:
            return about | {"state": "disabled", "error": "PYTHON_CODE_ENABLED is false."}
        if time.monotonic() - engine.answered_at < _RAN_LATELY_S:
            return about | {"state": "ok", "error": None}
        try:
            result = await engine.execute(ExecutionRequest(code="print(6 * 7)", on_record=""))
        except PythonCoderError as error:
            return about | _failed(str(error))
        if result.stdout.strip() != "42":
            return about | _failed("A program of one line did not work.")
        return about | {"state": "ok", "error": None}

    async def _store(self) -> State:
        wrong = await asyncio.to_thread(self._wrong_on_disk)
        wrong = wrong or await self._database.fault()
        return _failed(wrong) if wrong else {"state": "ok", "error": None}

    def _wrong_on_disk(self) -> str:
        """Why nothing new would be kept; '' where it would. An open file can be read all the same."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.write(bytes(_ROOM_BYTES))
        except OSError as error:
            return f"Nothing can be written where the data lies: {error.strerror}."
        return ""


def _failed(error: str) -> State:
    return {"state": "failed", "error": error}


def _gone(error: str) -> State:
    return {"state": "failed", "reachable": False, "error": error}
