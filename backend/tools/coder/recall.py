"""Recognising a request that was served before: its key, and the result that is kept under it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import backend.prompts
from backend.config.settings import Settings
from backend.errors import NotFound
from backend.llm.models import LanguageModel
from backend.store.blobs import BlobStore
from backend.store.run_records import Run, RunKind, artifacts_of
from backend.store.runs import RunStore
from backend.types import Message

_IRRELEVANT = frozenset(
    {
        *("enabled", "data_dir", "execution_dir", "database_url", "host", "port", "log_level"),
        *("public_base_url", "stream_keep_alive_s", "pool_size", "preimport", "max_sessions"),
        *("session_idle_s", "max_parallel_runs", "keep_alive", "connect_timeout_s"),
        *("model_timeout_s", "ollama_host", "openai_api_key", "max_question_chars"),
        *("max_file_size_mb", "model", "cache", "approve", "cors_origins", "rate_limit"),
        *("max_parallel_requests", "max_requests", "max_queue", "queue_timeout_s", "drain_s"),
        *("max_connections", "send_timeout_s", "log_format", "audit", "audit_days"),
        *("max_storage_mb", "keep_runs_days"),
    }
)
"""Settings that do not change what comes of a request. All others do, those to come as well: a
request that is needlessly served anew costs less than a wrong result. The model is told by name."""


class FileMark(TypedDict):
    """What is remembered of an input file: enough to know it again, and to find it."""

    sha256: str
    size: int
    path: str
    """Where it lay; the bytes are not kept with the run."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What identical requests have in common."""

    key: str
    files: Mapping[str, FileMark]
    script: str
    """Of a scripted model, the digest of its file; else ''. It does not count for going on with
    what was interrupted, whose replies so far are known; it does for giving a result again."""


async def identify(
    *,
    kind: RunKind,
    request: str,
    model: LanguageModel,
    settings: Settings,
    background: str = "",
    history: Sequence[Message] = (),
    files: Mapping[str, Path] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Identity:
    """Hash the input files, in a thread, and all else that ``request_key`` takes.

    Raises:
        NotFound: a file is gone.
    """

    def work() -> Identity:
        marks = mark_files(files or {})
        key = request_key(
            kind=kind,
            request=request,
            model=f"{model.provider}:{model.name}",
            templates=templates_digest(),
            settings=relevant_settings(settings),
            background=background,
            history=history,
            files=marks,
            options=options,
        )
        script = _script_digest(settings) if model.provider == "scripted" else ""
        return Identity(key=key, files=marks, script=script)

    return await asyncio.to_thread(work) if files else work()


def mark_files(files: Mapping[str, Path]) -> dict[str, FileMark]:
    """Hash the input files; reads all of them.

    Raises:
        NotFound: one is gone.
    """
    return {name: _mark(name, path) for name, path in files.items()}


def _mark(name: str, path: Path) -> FileMark:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"sha256": digest, "size": file.tell(), "path": str(path.absolute())}
    except FileNotFoundError:
        raise NotFound(f"The file {name!r} does not exist any more.", "Give it again.") from None


def request_key(
    *,
    kind: RunKind,
    request: str,
    model: str,
    templates: str,
    settings: Mapping[str, Any],
    background: str = "",
    history: Sequence[Message] = (),
    files: Mapping[str, FileMark] | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """The digest that identical requests share: of everything that can change their result.

    Args:
        kind: who serves it.
        request: the question.
        model: provider and name of the model that is asked.
        templates: ``templates_digest``.
        settings: ``relevant_settings``.
        background: what else the caller told.
        history: earlier turns.
        files: ``mark_files``; where a file lies does not count, under which name it is seen does.
        options: how it is to be worked on: plain JSON values.

    Returns:
        SHA-256, in hex.
    """
    document = {
        "kind": kind,
        "request": request,
        "model": model,
        "templates": templates,
        "settings": dict(settings),
        "background": background,
        "history": [[turn.role, turn.content] for turn in history],
        "files": {name: mark["sha256"] for name, mark in (files or {}).items()},
        "options": dict(options or {}),
    }
    # Escaped to ASCII: a lone surrogate in a question must not end it. Keys in their order.
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """The settings that can change what comes of a request, as plain JSON values."""
    return settings.model_dump(mode="json", exclude=set(_IRRELEVANT))


def _script_digest(settings: Settings) -> str:
    try:
        content = Path(settings.model.partition(":")[2]).expanduser().read_bytes()
    except OSError:
        content = b""  # it was there when it was opened; its words are in memory
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=1)
def templates_digest() -> str:
    """The digest of all prompt templates; read once, as the templates themselves are."""
    digest = hashlib.sha256()
    for path in sorted(Path(backend.prompts.__file__).parent.glob("*.md")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


async def recall(runs: RunStore, blobs: BlobStore, identity: Identity, *, owner: str) -> Run | None:
    """The newest success of an identical request, if every file that it made is still kept."""
    run = await runs.find_completed(owner=owner, key=identity.key)
    if run is None or run.result is None or run.spec.get("script", "") != identity.script:
        return None
    try:
        await asyncio.to_thread(_find_again, artifacts_of(run.result), blobs)
    except (NotFound, OSError):
        return None
    return run


def _find_again(made: Sequence[MutableMapping[str, Any]], blobs: BlobStore) -> None:
    """Name the files where they lie now: the data folder may have been moved."""
    for entry in made:
        place = blobs.path(entry["sha256"])
        if place.stat().st_size != entry["size"]:
            raise NotFound(f"{entry['name']!r} is no longer whole.")
        if "path" in entry:
            entry["path"] = str(place)


def columns_of(facts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The names of all columns in each file's facts, of every sheet and table in it."""
    found = {str(entry["name"]): list(dict.fromkeys(_columns(entry))) for entry in facts}
    return {name: columns for name, columns in found.items() if columns}


def _columns(facts: Any) -> list[str]:
    if isinstance(facts, list):
        return [name for entry in facts for name in _columns(entry)]
    if not isinstance(facts, Mapping):
        return []
    own = facts.get("columns")
    described = [
        column.get("name") if isinstance(column, Mapping) else None
        for column in (own if isinstance(own, list) else [])
    ]
    # Of a table with very many columns, some are told by name only.
    named = facts.get("column_names")
    names = [*described, *(named if isinstance(named, list) else [])]
    below = [value for key, value in facts.items() if key not in ("columns", "column_names")]
    return [
        *(name for name in names if isinstance(name, str)),
        *(name for value in below for name in _columns(value)),
    ]
