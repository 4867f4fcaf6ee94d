"""The files of a chat request: what its messages carry, and what came in earlier turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from backend.api.approvals import SessionUse
from backend.api.conversation import Attachment, Conversation
from backend.api.state import Server
from backend.errors import NotFound, RequestError, StoreUnavailable, TooLarge
from backend.sandbox.file_types import require_supported
from backend.store.endings import to_its_end
from backend.store.file_names import safe_name, working_names
from backend.store.file_records import INLINE_PURPOSE, StoredFile
from backend.store.stray_files import forget_unanswered

_MOST_FILES = 100
"""In a message, as in ``file_ids``; of those of earlier messages so many of the newest."""


async def check_attachments(conversation: Conversation, server: Server, owner: str) -> None:
    """See that all of them can be used, before any is kept.

    Raises:
        RequestError: a name or type is of no use, a file is empty, or there are too many.
        NotFound: a file that is named is not there.
        TooLarge: one is over ``PYTHON_CODE_MAX_FILE_SIZE``.
    """
    if len(conversation.attachments) > _MOST_FILES:
        raise RequestError(
            f"The message has {len(conversation.attachments)} files, the limit is {_MOST_FILES}.",
            "Put them into an archive, or send fewer.",
            param="messages",
        )
    limit = server.settings.max_file_bytes
    for attachment in (*conversation.earlier_attachments, *conversation.attachments):
        if attachment.file_id is not None:
            continue
        safe_name(attachment.filename)
        require_supported(attachment.filename, len(attachment.content))
        if len(attachment.content) > limit:
            raise TooLarge(
                f"{attachment.filename[:80]!r} has more than the {limit // 2**20} MiB allowed.",
                "Send a smaller one, or raise PYTHON_CODE_MAX_FILE_SIZE.",
                param="messages",
            )
    for attachment in conversation.attachments:
        if attachment.file_id is not None:
            await server.files.get(attachment.file_id, owner=owner)


async def gather_files(
    conversation: Conversation,
    named: Sequence[StoredFile],
    kept_ids: Sequence[str],
    server: Server,
    owner: str,
    *,
    session: SessionUse | None,
    with_earlier: bool,
) -> tuple[list[StoredFile], dict[str, Path]]:
    """The files of a question, and where they lie under their names for programs.

    Args:
        conversation: what was sent, with what is attached to it.
        named: the files that the request names.
        kept_ids: of files that are at hand from before.
        server: what is open.
        owner: whose request it is.
        session: its conversation; a side request has none, and no files beside those it names.
        with_earlier: place those of earlier turns as well.

    Raises:
        TooLarge: they would be more than ``PYTHON_CODER_MAX_STORAGE``.
    """
    carried = conversation.attachments if session else ()
    sent_again = with_earlier and session is not None and session.source != "named"
    before_that = conversation.earlier_attachments[-_MOST_FILES:] if sent_again else ()
    await _require_room((*carried, *before_that), server, owner)
    session_id = session.id if session else None
    try:
        files = [*named, *await _attach(carried, server, owner, session_id)]
        earlier: list[StoredFile] = []
        if with_earlier:
            earlier = await kept_files(kept_ids, server, owner)
            earlier += await _attach(before_that, server, owner, session_id)
        placed: dict[str, Path] = {}
        if session is not None and (files or earlier):
            placed = await asyncio.to_thread(_place, files, earlier, server)
    except BaseException:
        await forget_attached(session, server, owner)
        raise
    return files, placed


async def forget_attached(session: SessionUse | None, server: Server, owner: str) -> None:
    """Let the files go that a request brought which has ended, if nothing of it was kept.

    Those of a conversation that the client named may be another request's as well: they stay, and
    are the same files when they are sent again.
    """
    if session is None or session.source != "new":
        return

    async def do() -> None:
        if not await server.sessions.exists(session.id, owner=owner):
            await forget_unanswered(server.database, server.files, session.id, owner=owner)

    with suppress(OSError, StoreUnavailable):  # whoever cleans up later does it
        await to_its_end(do)


async def _require_room(attachments: Sequence[Attachment], server: Server, owner: str) -> None:
    """See that the owner may keep all of them, before any is kept."""
    contents = [each.content for each in attachments if each.file_id is None]
    if contents:
        await server.files.require_room(contents, owner=owner, param="messages")


async def _attach(
    attachments: Sequence[Attachment], server: Server, owner: str, session_id: str | None
) -> list[StoredFile]:
    """The files of messages: looked up, or kept; those deleted since an earlier turn are left out.

    Those that are kept go with the conversation ``session_id`` when that is deleted.
    """
    files: list[StoredFile] = []
    for attachment in attachments:
        if attachment.file_id is None:
            files.append(
                await server.files.add(
                    attachment.content,
                    owner=owner,
                    filename=attachment.filename,
                    purpose=INLINE_PURPOSE,
                    media_type=require_supported(attachment.filename, len(attachment.content)),
                    session_id=session_id,
                )
            )
            continue
        with suppress(NotFound):
            files.append(await server.files.get(attachment.file_id, owner=owner))
    return files


async def kept_files(ids: Sequence[str], server: Server, owner: str) -> list[StoredFile]:
    """Files of the conversation's earlier turns that are still there, oldest first."""
    found: list[StoredFile] = []
    for file_id in ids:
        with suppress(NotFound):
            found.append(await server.files.get(file_id, owner=owner))
    return found


def _place(files: list[StoredFile], earlier: list[StoredFile], server: Server) -> dict[str, Path]:
    """Names in the working directory; of earlier files with one name only the newest is there.

    Reads the disk.
    """
    newest = {file.filename: file for file in earlier}
    for file in files:
        newest.pop(file.filename, None)
    named = working_names([*files, *newest.values()])
    return {name: server.files.path(file) for name, file in named.items()}
