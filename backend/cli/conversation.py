"""A conversation that goes on from one command to the next: its turns and files, by its name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import NotFound

if TYPE_CHECKING:
    from backend.core.requests import Answer, Ask
    from backend.store.blobs import BlobStore
    from backend.store.database import Database


class Conversation:
    """One conversation in the store, which the server knows as a session of the same name."""

    def __init__(self, name: str, database: Database, blobs: BlobStore) -> None:
        from backend.store.files import FileStore
        from backend.store.sessions import SessionStore

        self._name = name
        self._sessions = SessionStore(database)
        self._files = FileStore(database, blobs)

    async def continued(self, ask: Ask) -> Ask:
        """The question with what was said before, and with the files that came before."""
        from backend.store.file_names import working_names

        turns = await self._sessions.words(self._name, owner=ask.owner)
        newest = {}
        for file_id in await self._sessions.file_ids(self._name, owner=ask.owner):
            with suppress(NotFound):
                file = await self._files.get(file_id, owner=ask.owner)
                newest[file.filename] = file
        earlier = working_names(list(newest.values()))
        files = {name: self._files.path(file) for name, file in earlier.items()}
        return replace(ask, history=turns, files={**files, **ask.files})

    async def keep(self, ask: Ask, answer: Answer) -> None:
        """Add a turn: the question with the files that came with it, and its answer.

        Args:
            ask: as it was before ``continued``.
            answer: what came of it.
        """
        from backend.store.session_records import ChatTurn

        file_ids = [await self._keep_file(name, path, ask) for name, path in ask.files.items()]
        newest = {reference["name"]: reference for reference in answer.artifacts}
        artifacts = []
        for name, reference in newest.items():
            file = await self._files.add_artifact(reference, owner=ask.owner)
            described = {key: reference[key] for key in ("media_type", "size")}
            artifacts.append({"id": file.id, "name": name, **described})
        question = ChatTurn(role="user", content=ask.question, details={"file_ids": file_ids})
        details = _details(answer) | {"artifacts": artifacts}
        answered = ChatTurn(role="assistant", content=answer.text, details=details)
        await self._sessions.append(self._name, [question, answered], owner=ask.owner)

    async def _keep_file(self, name: str, path: Path, ask: Ask) -> str:
        from backend.sandbox.file_types import require_supported

        content = await asyncio.to_thread(path.read_bytes)
        file = await self._files.add(
            content,
            owner=ask.owner,
            filename=name,
            purpose="user_data",
            media_type=require_supported(name, len(content)),
        )
        return file.id


def _details(answer: Answer) -> dict[str, Any]:
    known: dict[str, Any] = {
        "agent_selected": answer.agent,
        "success": answer.success,
        "run_id": answer.run_id,
    }
    if answer.python_coder_results:
        last = answer.python_coder_results[-1]
        known |= {"code": last["code"], "output": last["output"]}
    return known
