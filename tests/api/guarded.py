"""A server that asks for keys, and people who have some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from backend.config.settings import Settings, load_settings
from backend.store.database import open_database
from backend.store.key_records import Key
from backend.store.keys import KeyStore, open_keys
from tests.api.conftest import running
from tests.scripts import write_script


def with_keys(settings: Settings, work: Any) -> Any:
    """What ``work(keys)`` gives, with the keys opened as another process would."""

    async def opened() -> Any:
        async with (
            open_database(settings) as database,
            open_keys(database, settings) as keys,
        ):
            return await work(keys)

    return asyncio.run(opened())


def new_key(settings: Settings, name: str, **more: Any) -> tuple[Key, str]:
    """A new key and what opens."""

    async def create(keys: KeyStore) -> tuple[Key, str]:
        return await keys.create(name=name, **more)

    made: tuple[Key, str] = with_keys(settings, create)
    return made


def revoke(settings: Settings, reference: str) -> None:
    """End a key."""

    async def end(keys: KeyStore) -> None:
        await keys.revoke(reference)

    with_keys(settings, end)


def expired_key(settings: Settings, name: str) -> str:
    """A key whose time is over."""
    end = time.time() + 0.05
    _, text = new_key(settings, name, expires_at=end)
    while time.time() <= end:
        pass
    return text


class Guarded:
    """A running server with keys: a client for each."""

    def __init__(self, settings: Settings, url: str, stack: ExitStack) -> None:
        self.settings = settings
        self.url = url
        self._stack = stack

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """A client with a key, or with none."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)
        return self._stack.enter_context(client)

    def user(self, name: str, **more: Any) -> httpx.Client:
        """A client with a new key."""
        return self.client(new_key(self.settings, name, **more)[1])


@contextmanager
def guarded_server(folder: Path, *lines: dict[str, Any], **more: Any) -> Iterator[Guarded]:
    """A server with one key, ``admin``; its model plays these lines."""
    given = {
        "model": f"scripted:{write_script(folder / 'script.jsonl', *lines)}",
        "data_dir": folder / "data",
        "execution_dir": folder / "data" / "code_execution",
    }
    settings = load_settings(**given | more)
    with ExitStack() as stack:
        new_key(settings, "first", role="admin")
        url = stack.enter_context(running(settings))
        yield Guarded(settings, url, stack)
