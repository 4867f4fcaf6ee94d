"""``/v1/files``: OpenAI's file object, and the bytes behind it."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from backend.api.auth import get_principal
from backend.api.errors import Forbidden
from backend.api.operations import answers, takes
from backend.api.shapes.files import FileDeleted, FileList, FileObject
from backend.api.state import OwnerDep, Server, ServerDep
from backend.api.uploads import UploadForm, receive_form
from backend.errors import RequestError
from backend.store.database import LOCAL_OWNER, Order
from backend.store.files import StoredFile

router = APIRouter(prefix="/v1/files", tags=["files"])

MAX_PAGE = 10_000
DEFAULT_PURPOSE = "assistants"
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_SHOWN_INLINE = ("image/", "text/plain", "text/html", "application/pdf")
_SANDBOXED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
"""For pages and drawings a program wrote: no scripts, and nothing of this server's origin."""

_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_PART: dict[int | str, dict[str, Any]] = {
    206: {"description": "The bytes that `Range` asked for.", "content": _BYTES}
}


@router.post(
    "",
    summary="Upload a file",
    responses=answers(FileObject, 400, 413),
    response_model=None,
    openapi_extra=takes(UploadForm, media_type="multipart/form-data"),
)
async def upload(request: Request, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """Keep a file: the form fields are ``file`` and ``purpose``."""
    async with server.files.receive(max_bytes=server.settings.max_file_bytes) as incoming:
        form = await receive_form(request, incoming)
        assert form.filename is not None
        file = await server.files.keep(
            incoming,
            owner=owner,
            filename=form.filename,
            purpose=_purpose(form.fields.get("purpose")),
            media_type=form.media_type,
        )
    return file_object(file)


@router.get("", summary="List files", responses=answers(FileList, 404), response_model=None)
async def list_files(
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    order: Order = "desc",
    purpose: str | None = None,
) -> dict[str, Any]:
    """The owner's files, newest first, those that follow ``after``."""
    page = await server.files.list(
        owner=owner, after=after, limit=limit, order=order, purpose=purpose
    )
    return {
        "object": "list",
        "data": [file_object(file) for file in page.files],
        "first_id": page.files[0].id if page.files else None,
        "last_id": page.files[-1].id if page.files else None,
        "has_more": page.has_more,
    }


@router.get(
    "/{file_id}",
    summary="Describe a file",
    responses=answers(FileObject, 404),
    response_model=None,
)
async def retrieve(file_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """One file, without its bytes."""
    return file_object(await server.files.get(file_id, owner=owner))


@router.get(
    "/{file_id}/content",
    summary="Download a file",
    responses=answers(None, 404, 416, content=_BYTES) | _PART,
    response_model=None,
)
async def content(
    file_id: str,
    request: Request,
    server: ServerDep,
    expires: int | None = None,
    by: str | None = None,
    signature: str | None = None,
) -> FileResponse:
    """A file's bytes: for its owner, and for whoever has a signed link that is still good."""
    if signature is None:
        owner = (await get_principal(request)).owner
    else:
        owner = _signer(server, file_id, expires, by, signature)
    return await download(await server.files.get(file_id, owner=owner), server)


async def download(file: StoredFile, server: Server) -> FileResponse:
    """A file's bytes as they are sent: shown by a browser where that is safe, else saved."""
    path = await asyncio.to_thread(server.files.path, file)
    inline = file.media_type.startswith(_SHOWN_INLINE)
    headers = (
        {} if file.media_type == "application/pdf" else {"Content-Security-Policy": _SANDBOXED}
    )
    return FileResponse(
        path,
        media_type=file.media_type,
        filename=file.filename,
        content_disposition_type="inline" if inline else "attachment",
        headers=headers | {"Cache-Control": "private, max-age=3600"},
    )


@router.delete(
    "/{file_id}",
    summary="Delete a file and its bytes",
    responses=answers(FileDeleted, 404),
    response_model=None,
)
async def delete(file_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """Forget a file."""
    await server.files.delete(file_id, owner=owner)
    return {"id": file_id, "object": "file", "deleted": True}


def file_object(file: StoredFile) -> dict[str, Any]:
    """A file as OpenAI's clients know it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "expires_at": None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "media_type": file.media_type,
    }


def _purpose(value: str | None) -> str:
    purpose = value or DEFAULT_PURPOSE
    if not _PURPOSE.fullmatch(purpose):
        raise RequestError(
            f"{purpose[:80]!r} is not a purpose.", "Use 'assistants'.", param="purpose"
        )
    return purpose


def _signer(
    server: Server, file_id: str, expires: int | None, by: str | None, signature: str
) -> str:
    """The owner who a good link was made for."""
    owner = by or LOCAL_OWNER
    if expires is None or not server.links.allows(
        file_id, owner=owner, expires=expires, signature=signature
    ):
        raise Forbidden("The link is not valid, or not any more.", "Ask for a new one.")
    return owner
