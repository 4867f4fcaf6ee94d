"""A package index on this machine, with packages that a test makes."""

from __future__ import annotations

import http.server
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.config.install_list import normalised


class Index:
    """What is served, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.url = ""
        self.may_answer = threading.Event()
        """Cleared, it keeps everyone waiting who asks for a file."""
        self.may_answer.set()

    def add(
        self,
        name: str,
        files: Mapping[str, str],
        *,
        version: str = "1.0",
        needs: tuple[str, ...] = (),
    ) -> Path:
        """A wheel with these files."""
        stem = normalised(name).replace("-", "_")
        info = f"{stem}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
        whole = {
            **files,
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{each},,\n" for each in (*whole, f"{info}/RECORD"))
        place = self._place(name) / f"{stem}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as wheel:
            for each, text in {**whole, f"{info}/RECORD": record}.items():
                wheel.writestr(each, text)
        return place

    def add_source(self, name: str, setup: str) -> Path:
        """A source distribution, whose ``setup.py`` runs where it is built."""
        place = self._place(name) / f"{name}-1.0.tar.gz"
        with tarfile.open(place, "w:gz") as archive:
            for each, text in {"setup.py": setup, "PKG-INFO": f"Name: {name}\n"}.items():
                entry = tarfile.TarInfo(f"{name}-1.0/{each}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        return place

    def downloads(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.asked if path.endswith((".whl", ".gz"))]

    def _place(self, name: str) -> Path:
        place = self.folder / normalised(name)
        place.mkdir(exist_ok=True)
        return place


@contextmanager
def only_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that is the only one that pip knows of; it has ``tinypkg``."""
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with _serve_index(folder) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        index.add("tinypkg", {"tinypkg/__init__.py": "WORD = 'tiny'\n"})
        yield index


@contextmanager
def _serve_index(folder: Path) -> Iterator[Index]:
    index = Index(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *of: object) -> None:
            super().__init__(*of, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            index.asked.append(self.path)
            if self.path.endswith(".whl"):
                index.may_answer.wait(60)
            try:
                super().do_GET()
            except ConnectionError:
                return

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        index.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield index
        finally:
            index.may_answer.set()
            server.shutdown()
            thread.join()
