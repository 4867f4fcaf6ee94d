from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.config.settings import load_settings
from backend.store.blobs import BlobStore
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.sessions import SessionStore


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module that says ``ON_BOTH_DATABASES`` on SQLite and PostgreSQL."""
    on_both = getattr(metafunc.module, "ON_BOTH_DATABASES", False)
    if on_both and "database" in metafunc.fixturenames:
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


ON_BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """SQLite; where a test says so (``ON_BOTH``), it is done on PostgreSQL as well."""
    if getattr(request, "param", "sqlite") == "postgresql":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_url"))
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
