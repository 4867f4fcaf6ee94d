"""``/v1/files``: OpenAI's file object, and the bytes behind it."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from backend.api.auth import get_principal
from backend.api.body import read_json
from backend.api.downloads import DOWNLOADS, download
from backend.api.errors import Forbidden
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.schemas import LinkRequest
from backend.api.shapes.files import FileDeleted, FileLink, FileList, FileObject
from backend.api.state import OwnerDep, Server, ServerDep, base_url_of
from backend.api.uploads import UploadForm, receive_form
from backend.store.database import LOCAL_OWNER, Order
from backend.store.file_records import StoredFile

router = APIRouter(prefix="/v1/files", tags=["files"])

MAX_PAGE = 10_000
_MAX_BODY = 64 * 1024


@router.post(
    "",
    summary="Upload a file",
    responses=answers(FileObject, 400, 413),
    response_model=None,
    openapi_extra=takes(UploadForm, media_type="multipart/form-data"),
)
async def upload(request: Request, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """Keep a file.

    All bytes that an owner keeps, whichever way they came, may be ``PYTHON_CODER_MAX_STORAGE`` MiB
    together; the same bytes count once.
    """
    await server.files.require_room([], owner=owner)
    async with server.files.receive(max_bytes=server.settings.max_file_bytes) as incoming:
        form = await receive_form(request, incoming)
        fields = form.read_fields()
        assert form.filename is not None
        file = await server.files.keep(
            incoming,
            owner=owner,
            filename=form.filename,
            purpose=fields.purpose,
            media_type=form.media_type,
            expires_at=None if fields.seconds is None else time.time() + fields.seconds,
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
    return list_body([file_object(file) for file in page.files], has_more=page.has_more)


@router.get(
    "/{file_id}",
    summary="Describe a file",
    responses=answers(FileObject, 404),
    response_model=None,
)
async def retrieve(file_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """One file, without its bytes."""
    return file_object(await server.files.get(file_id, owner=owner))


@router.head("/{file_id}/content", include_in_schema=False)
@router.get(
    "/{file_id}/content",
    summary="Download a file",
    responses=DOWNLOADS,
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


@router.post(
    "/{file_id}/link",
    summary="Make a link to a file",
    responses=answers(FileLink, 400, 404, 413),
    response_model=None,
    openapi_extra=takes(LinkRequest, required=False),
)
async def make_link(
    file_id: str, request: Request, server: ServerDep, owner: OwnerDep
) -> dict[str, Any]:
    """A link that opens the file without a key until its time is over or the file is deleted."""
    asked = await read_json(request, LinkRequest, max_bytes=_MAX_BODY, may_be_empty=True)
    file = await server.files.get(file_id, owner=owner)
    base_url = base_url_of(request, server.settings)
    expires = int(time.time()) + asked.lifetime_s
    url = server.links.url(base_url, file.id, owner=owner, expires=expires)
    return {"id": file.id, "object": "file.link", "url": url, "expires_at": expires}


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
        "expires_at": None if file.expires_at is None else int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "media_type": file.media_type,
    }


def _signer(
    server: Server, file_id: str, expires: int | None, by: str | None, signature: str
) -> str:
    """The owner who a good link was made for."""
    owner = by or LOCAL_OWNER
    if expires is None or not server.links.allows(
        file_id, owner=owner, expires=expires, signature=signature
    ):
        raise Forbidden(
            "The link is not valid, or not any more.",
            f"Its owner makes another one with POST /v1/files/{file_id[:80]}/link.",
        )
    return owner
