"""`/v1/media`."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from timeside_api.http.access import CallerOf
from timeside_api.http.media import repository
from timeside_api.http.media.sending import StoredFile, send
from timeside_api.http.openapi import errors
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import not_found
from timeside_core.store.store import media_name

router = APIRouter(prefix="/media", tags=["media"])

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes, hexadecimal.")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"audio/*": {}}},
    206: {"description": "The range that was asked for.", "content": {"audio/*": {}}},
    304: {"description": "The client has it already."},
    **errors(404, 416),
}


@router.head("/{sha256}", operation_id="media_head", responses=_FILE)
@router.get(
    "/{sha256}",
    operation_id="media_get",
    response_class=Response,
    responses=_FILE,
)
async def media_get(
    sha256: Sha256, request: Request, caller: CallerOf, session: Session, parts: PlatformOf
) -> Response:
    """Bytes of a media, also by range.

    For those who may read an item with it.
    """
    media = await repository.readable(session, caller, sha256)
    if media is None:
        raise not_found("media", sha256)
    file = StoredFile(
        name=media_name(sha256),
        size=media.size,
        sha256=sha256,
        mime_type=media.mime_type,
        file_name=sha256[:16],
    )
    return await send(request, file, parts.store, parts.readers)
