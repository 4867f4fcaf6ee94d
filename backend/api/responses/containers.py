"""``/v1/containers``: where programs of responses run, and the files in there."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from backend.api.body import read_json
from backend.api.downloads import DOWNLOADS, download
from backend.api.errors import UnsupportedParameter
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.responses.container_schemas import (
    ContainerFileRequest,
    ContainerRequest,
    refuse_network,
)
from backend.api.responses.preparing import memory_mb_of
from backend.api.shapes.containers import (
    ContainerDeleted,
    ContainerFileDeleted,
    ContainerFileList,
    ContainerFileObject,
    ContainerList,
    ContainerObject,
)
from backend.api.state import OwnerDep, Server, ServerDep
from backend.api.uploads import receive_form
from backend.store.container_files import INPUT_PURPOSE
from backend.store.containers import DEFAULT_EXPIRY_MIN, Container
from backend.store.database import Order
from backend.store.file_records import OUTPUT_PURPOSE, StoredFile
from backend.store.sessions import new_session_id

router = APIRouter(prefix="/v1/containers", tags=["containers"])

MAX_PAGE = 100
FOLDER: Final = "/mnt/data"
"""Where programs find the files of a container; their working directory is the same place."""

_MAX_BODY = 2**20
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


@router.post(
    "",
    summary="Make a container",
    responses=answers(ContainerObject, 400, 404, 413),
    response_model=None,
    openapi_extra=takes(ContainerRequest),
)
async def create_container(request: Request, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """An empty session for programs, with copies of files in it."""
    body = await read_json(request, ContainerRequest, max_bytes=_MAX_BODY)
    memory_mb_of(body.memory_limit, server, param="memory_limit")
    refuse_network(body.network_policy, "network_policy")
    if body.skills:
        raise UnsupportedParameter(
            "Skills are not offered here.", "Put what programs need in as files.", param="skills"
        )
    files = [
        await server.files.get(each, owner=owner, param="file_ids") for each in body.file_ids or ()
    ]
    container = await server.containers.create(
        owner=owner,
        name=body.name,
        session_id=new_session_id(),
        memory_limit=body.memory_limit,
        expires_after_min=body.expires_after.minutes if body.expires_after else DEFAULT_EXPIRY_MIN,
    )
    await server.container_files.copy(files, container.session_id, owner=owner)
    return container_object(container)


@router.get(
    "", summary="List containers", responses=answers(ContainerList, 404), response_model=None
)
async def list_containers(
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: _Limit = 20,
    order: Order = "desc",
    name: str | None = None,
) -> dict[str, Any]:
    """The owner's containers, newest first, those that follow ``after``."""
    page = await server.containers.list(
        owner=owner, after=after, limit=limit, order=order, name=name
    )
    return list_body([container_object(each) for each in page.containers], has_more=page.has_more)


@router.get(
    "/{container_id}",
    summary="Describe a container",
    responses=answers(ContainerObject, 404),
    response_model=None,
)
async def read_container(container_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """One container."""
    return container_object(await server.containers.get(container_id, owner=owner))


@router.delete(
    "/{container_id}",
    summary="Delete a container with its files",
    responses=answers(ContainerDeleted, 404),
    response_model=None,
)
async def delete_container(container_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """End what runs in it, and forget its variables and files; the words of responses stay."""
    container = await server.containers.get(container_id, owner=owner)
    session_id = container.session_id
    await server.containers.forget_session(session_id, owner=owner)
    await server.live_sessions.end(session_id, owner=owner)
    await server.container_files.delete_all(session_id, owner=owner)
    return {"id": container_id, "object": "container.deleted", "deleted": True}


@router.post(
    "/{container_id}/files",
    summary="Put a file into a container",
    responses=answers(ContainerFileObject, 400, 404, 413),
    response_model=None,
    openapi_extra=takes(ContainerFileRequest),
)
async def create_container_file(
    container_id: str, request: Request, server: ServerDep, owner: OwnerDep
) -> dict[str, Any]:
    """A form with ``file``, or JSON with the ``file_id`` of a file that is to be copied.

    What is uploaded counts to what an owner may keep, ``PYTHON_CODER_MAX_STORAGE``; a copy does not.
    """
    container = await server.containers.get(container_id, owner=owner)
    session_id = container.session_id
    if request.headers.get("content-type", "").startswith("multipart/"):
        file = await _uploaded(request, server, session_id, owner)
    else:
        body = await read_json(request, ContainerFileRequest, max_bytes=_MAX_BODY)
        given = await server.files.get(body.file_id, owner=owner)
        [file] = await server.container_files.copy([given], session_id, owner=owner)
    await server.containers.touch(container.id, owner=owner)
    return container_file(file, container)


@router.get(
    "/{container_id}/files",
    summary="List the files in a container",
    responses=answers(ContainerFileList, 404),
    response_model=None,
)
async def list_container_files(
    container_id: str,
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: _Limit = 20,
    order: Order = "desc",
) -> dict[str, Any]:
    """What was put into it and what programs wrote; of a name that was written again, the newest."""
    container = await server.containers.get(container_id, owner=owner)
    page = await server.container_files.list(
        container.session_id, owner=owner, after=after, limit=limit, order=order
    )
    shown = [container_file(each, container) for each in page.files]
    return list_body(shown, has_more=page.has_more)


@router.get(
    "/{container_id}/files/{file_id}",
    summary="Describe a file in a container",
    responses=answers(ContainerFileObject, 404),
    response_model=None,
)
async def read_container_file(
    container_id: str, file_id: str, server: ServerDep, owner: OwnerDep
) -> dict[str, Any]:
    """One file, without its bytes."""
    container = await server.containers.get(container_id, owner=owner)
    file = await server.container_files.get(file_id, container.session_id, owner=owner)
    return container_file(file, container)


@router.get(
    "/{container_id}/files/{file_id}/content",
    summary="Download a file of a container",
    responses=DOWNLOADS,
    response_model=None,
)
async def read_container_file_content(
    container_id: str, file_id: str, server: ServerDep, owner: OwnerDep
) -> FileResponse:
    """A file's bytes."""
    container = await server.containers.get(container_id, owner=owner)
    file = await server.container_files.get(file_id, container.session_id, owner=owner)
    return await download(file, server)


@router.delete(
    "/{container_id}/files/{file_id}",
    summary="Delete a file of a container",
    responses=answers(ContainerFileDeleted, 404),
    response_model=None,
)
async def delete_container_file(
    container_id: str, file_id: str, server: ServerDep, owner: OwnerDep
) -> dict[str, Any]:
    """Forget a file; links to it end. A running session still has what its programs wrote."""
    container = await server.containers.get(container_id, owner=owner)
    file = await server.container_files.get(file_id, container.session_id, owner=owner)
    await server.files.delete(file.id, owner=owner)
    return {"id": file_id, "object": "container.file.deleted", "deleted": True}


async def _uploaded(request: Request, server: Server, session_id: str, owner: str) -> StoredFile:
    await server.files.require_room([], owner=owner)
    async with server.files.receive(max_bytes=server.settings.max_file_bytes) as incoming:
        form = await receive_form(request, incoming)
        assert form.filename is not None
        file = await server.files.keep(
            incoming,
            owner=owner,
            filename=form.filename,
            purpose=INPUT_PURPOSE,
            media_type=form.media_type,
        )
    await server.container_files.adopt([file.id], session_id, owner=owner)
    return file


def container_object(container: Container) -> dict[str, Any]:
    """A container as OpenAI's clients know it."""
    return {
        "id": container.id,
        "object": "container",
        "created_at": int(container.created_at),
        "name": container.name,
        "status": "expired" if container.is_expired else "active",
        "expires_after": {"anchor": "last_active_at", "minutes": container.expires_after_min},
        "last_active_at": int(container.last_active_at),
        "memory_limit": container.memory_limit,
        "network_policy": {"type": "disabled"},
        "x_session_id": container.session_id,
    }


def container_file(file: StoredFile, container: Container) -> dict[str, Any]:
    """A file in a container as OpenAI's clients know it."""
    return {
        "id": file.id,
        "object": "container.file",
        "created_at": int(file.created_at),
        "bytes": file.size,
        "container_id": container.id,
        "path": f"{FOLDER}/{file.filename}",
        "source": "assistant" if file.purpose == OUTPUT_PURPOSE else "user",
    }
