"""`/v1/uploads`: tus 1.0 with creation (also with bytes), expiration, checksums and termination."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from sqlalchemy import select

from timeside_api import quotas
from timeside_api.http import ownership
from timeside_api.http.access import CallerOf
from timeside_api.http.items import repository as items
from timeside_api.http.media.body import too_large
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Platform, PlatformOf, Session
from timeside_api.http.problems import CHECKSUM_MISMATCH, Problem, invalid
from timeside_api.http.uploads import repository, tus
from timeside_api.http.uploads.finishing import finish
from timeside_api.http.uploads.keeping import remove
from timeside_api.http.uploads.receiving import receive, remove_objects, renewed
from timeside_api.http.uploads.repository import Claim
from timeside_api.http.uploads.schemas import Metadata, UploadOut
from timeside_api.models import Project
from timeside_api.sharing import Level
from timeside_api.uploads import Upload, UploadState

router = APIRouter(prefix="/uploads", tags=["uploads"])
TurnOf = Annotated[Turn, Depends(turning(Orders(Upload.id)))]
_SPOKEN = [Depends(tus.check_version)]
_BYTES: dict[str, Any] = {"requestBody": {"content": {tus.MEDIA_TYPE: {}}}}
_OFFSET = {"Upload-Offset": {"description": "Bytes that are kept.", "schema": {"type": "integer"}}}

Resumable = Annotated[str | None, Header(description=f"`{tus.VERSION}`.")]
Length = Annotated[str | None, Header(description="Bytes of the file.")]
Offset = Annotated[str | None, Header(description="Bytes that are kept already, as `HEAD` says.")]
Described = Annotated[
    str | None,
    Header(description="`filename`, `title`, `artist`, `album`, `description`, `item_id` or `project_id`, in base64."),
]
Sum = Annotated[str | None, Header(description="Of this body: `sha1` or `sha256`, and the digest in base64.")]


@router.options("", operation_id="uploads_options", status_code=204)
async def uploads_options(parts: PlatformOf) -> Response:
    """What of tus is spoken here."""
    headers = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": tus.EXTENSIONS,
        "Tus-Max-Size": str(parts.settings.max_upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    operation_id="upload_create",
    status_code=201,
    response_class=Response,
    dependencies=_SPOKEN,
    responses={
        201: {"description": "Made.", "headers": _OFFSET},
        **errors(400, 403, 404, 408, 409, 412, 413, 429, 503),
    },
    openapi_extra=_BYTES,
)
async def upload_create(
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    tus_resumable: Resumable = None,
    upload_length: Length = None,
    upload_metadata: Described = None,
    upload_checksum: Sum = None,
) -> Response:
    """Begin an upload that can be gone on with.

    Once all bytes are there it becomes an item, or the media of the item that `item_id` names. The body may hold the
    first bytes already, as `application/offset+octet-stream`.
    """
    length = tus.number(request, "Upload-Length")
    if length > parts.settings.max_upload_bytes:
        raise too_large(parts.settings.max_upload_bytes)
    if not length:
        raise invalid("Upload-Length", "must be positive: an empty file is no media")
    known = Metadata.read(tus.metadata(upload_metadata or ""))
    checksum = tus.Checksum.of(request)
    async with parts.database.transaction() as session:
        if known.item_id is not None:
            await items.get(session, caller, known.item_id, Level.EDITOR)
        elif known.project_id is not None:
            await ownership.get(session, caller, Project, known.project_id, Level.EDITOR)
        await quotas.check_items(session, caller.id, parts.settings.quotas, coming_bytes=length)
        row: dict[str, Any] = {
            "owner_id": caller.id,
            "project_id": None if known.item_id is not None else known.project_id,
            "length": length,
            "header": upload_metadata or "",
            "said": known.said,
            "is_for_item": known.item_id is not None,
            "item_id": known.item_id,
        }
        upload = await repository.add(session, parts.settings, row)
        claim = await repository.claim(session, upload, 0, parts.settings) if tus.has_bytes(request) else None
    if claim is not None:
        upload = await _taken(parts, request, claim, checksum)
    return Response(status_code=201, headers={"Location": f"/v1/uploads/{upload.id}", **_facts(upload)})


@router.get("", operation_id="uploads_list")
async def uploads_list(caller: CallerOf, session: Session, turn: TurnOf) -> Page[UploadOut]:
    """List my uploads."""
    found = await turn.found(session, select(Upload).where(Upload.owner_id == caller.id))
    return Page[UploadOut].of(found, [UploadOut.of(each) for each in found.rows])


@router.get("/{upload_id}", operation_id="upload_get", responses=errors(404))
async def upload_get(upload_id: UUID, caller: CallerOf, session: Session) -> UploadOut:
    """Get an upload, and the item that it has become."""
    return UploadOut.of(await ownership.get(session, caller, Upload, upload_id))


@router.head(
    "/{upload_id}",
    operation_id="upload_head",
    dependencies=_SPOKEN,
    response_class=Response,
    responses={200: {"description": "How far it is.", "headers": _OFFSET}, **errors(404, 412)},
)
async def upload_head(upload_id: UUID, caller: CallerOf, session: Session, tus_resumable: Resumable = None) -> Response:
    """How many bytes are kept."""
    upload = await ownership.get(session, caller, Upload, upload_id)
    more = {"Upload-Length": str(upload.length)}
    if upload.header:
        more["Upload-Metadata"] = upload.header
    return Response(status_code=200, headers={**_facts(upload), **more})


@router.patch(
    "/{upload_id}",
    operation_id="upload_patch",
    status_code=204,
    dependencies=_SPOKEN,
    responses={
        204: {"description": "The bytes are kept.", "headers": _OFFSET},
        **errors(400, 403, 404, 408, 409, 412, 413, 415, 423, CHECKSUM_MISMATCH, 503),
    },
    openapi_extra=_BYTES,
)
async def upload_patch(
    upload_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    tus_resumable: Resumable = None,
    upload_offset: Offset = None,
    upload_checksum: Sum = None,
) -> Response:
    """Go on with an upload.

    The answer to the last bytes names the item in `TimeSide-Item-Id`, where the file could be looked at in time; else
    `GET` tells later.
    """
    if not tus.has_bytes(request):
        raise Problem(415, "media-type", f"the body must be {tus.MEDIA_TYPE}")
    offset, checksum = tus.number(request, "Upload-Offset"), tus.Checksum.of(request)
    async with parts.database.transaction() as session:
        upload = await ownership.get(session, caller, Upload, upload_id, Level.EDITOR)
        claim = await repository.claim(session, upload, offset, parts.settings)
    return Response(status_code=204, headers=_facts(await _taken(parts, request, claim, checksum)))


@router.delete(
    "/{upload_id}", operation_id="upload_delete", status_code=204, dependencies=_SPOKEN, responses=errors(403, 404, 412)
)
async def upload_delete(
    upload_id: UUID, caller: CallerOf, parts: PlatformOf, tus_resumable: Resumable = None
) -> Response:
    """Give an upload up, also while bytes of it come; an item that it has become stays."""
    async with parts.database.transaction() as session:
        await ownership.get(session, caller, Upload, upload_id, Level.OWNER)
        names = await remove(session, upload_id)
    await remove_objects(parts, names)
    return Response(status_code=204)


async def _taken(parts: Platform, request: Request, claim: Claim, checksum: tus.Checksum | None) -> Upload:
    """The upload after the body of a request."""
    is_whole = False
    try:
        with parts.uploads.place():
            async with renewed(parts, claim):
                is_whole = await receive(parts, request, claim, checksum) == claim.length
    finally:
        if not is_whole:
            async with parts.database.transaction() as session:
                await repository.release(session, claim)
    if is_whole:
        await _finished(parts, claim)
    async with parts.database.transaction() as session:
        upload = await session.get(Upload, claim.upload_id)
    if upload is None:
        raise repository.lost(claim)
    if upload.state is UploadState.FAILED:
        raise Problem(422, "media", f"the upload cannot become an item: {upload.reason}")
    return upload


async def _finished(parts: Platform, claim: Claim) -> None:
    """Wait for a while until the upload has become an item; it goes on to do so."""
    finishing = parts.duties.start(finish(parts, claim))
    await asyncio.wait([finishing], timeout=parts.settings.upload_finish_s)
    if finishing.done():
        finishing.result()


def _facts(upload: Upload) -> dict[str, str]:
    facts = {"Upload-Offset": str(upload.received), "Upload-Expires": tus.expires(upload.expires_at)}
    if upload.state is UploadState.DONE and upload.item_id is not None:
        facts["TimeSide-Item-Id"] = str(upload.item_id)
    return facts
