from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.store.blobs import BlobStore
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.sessions import SessionStore


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with open_database(load_settings()) as opened:
        yield opened


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "data" / "blobs")


@pytest.fixture
def files(database: Database, blobs: BlobStore) -> FileStore:
    return FileStore(database, blobs)


@pytest.fixture
def sessions(database: Database) -> SessionStore:
    return SessionStore(database)
