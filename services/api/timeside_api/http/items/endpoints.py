"""`/v1/items`, and the plain upload of their media."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import CallerOf
from timeside_api.http.items import repository
from timeside_api.http.items.schemas import ItemChange, ItemOut, NewItem
from timeside_api.http.media import repository as media
from timeside_api.http.media.intake import described
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, PageOf
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.models import Item, Media
from timeside_api.sharing import Level

router = APIRouter(prefix="/items", tags=["items"])

_BYTES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {}, "audio/*": {}, "video/*": {}}}
}


@router.post("", operation_id="item_create", status_code=201)
async def item_create(body: NewItem, caller: CallerOf, session: Session, response: Response) -> ItemOut:
    """Make an item."""
    item = await repository.add(session, caller.id, body.model_dump())
    response.headers["Location"] = f"/v1/items/{item.id}"
    return ItemOut.of((item, None))


@router.get("", operation_id="items_list")
async def items_list(caller: CallerOf, session: Session, turn: PageOf) -> Page[ItemOut]:
    """List my items."""
    found, next_cursor = await turn.rows(session, repository.owned(caller), Item.id)
    return Page(items=await _out(session, found), next_cursor=next_cursor)


@router.get("/{item_id}", operation_id="item_get", responses=errors(404))
async def item_get(item_id: UUID, caller: CallerOf, session: Session) -> ItemOut:
    """Get an item."""
    return ItemOut.of(await repository.with_media(session, await repository.get(session, caller, item_id)))


@router.patch("/{item_id}", operation_id="item_change", responses=errors(403, 404))
async def item_change(item_id: UUID, body: ItemChange, caller: CallerOf, session: Session) -> ItemOut:
    """Say something else of an item."""
    item = await repository.get(session, caller, item_id, Level.EDITOR)
    await repository.change(session, item, body.model_dump(exclude_none=True))
    return ItemOut.of(await repository.with_media(session, item))


@router.delete("/{item_id}", operation_id="item_delete", status_code=204, responses=errors(403, 404))
async def item_delete(item_id: UUID, caller: CallerOf, session: Session) -> None:
    """Remove an item."""
    await repository.remove(session, await repository.get(session, caller, item_id, Level.OWNER))


@router.put(
    "/{item_id}/media",
    operation_id="item_upload",
    responses=errors(403, 404, 408, 413, 503),
    openapi_extra=_BYTES,
)
async def item_upload(item_id: UUID, request: Request, caller: CallerOf, parts: PlatformOf) -> ItemOut:
    """Upload the media of an item.

    The body is the file, as it is. It takes the place of what the item had.
    """
    async with parts.database.transaction() as session:
        await repository.get(
            session, caller, item_id, Level.EDITOR
        )  # before a byte is read, and no transaction waits for them
    sha256, size = await parts.uploads.take(request)
    facts = await described(parts, sha256)
    async with parts.database.transaction() as session:
        item = await repository.get(session, caller, item_id, Level.EDITOR)
        await media.keep(session, sha256, size, facts)
        await repository.change(session, item, {"media_sha256": sha256})
        return ItemOut.of(await repository.with_media(session, item))


async def _out(session: AsyncSession, items: Sequence[Item]) -> list[ItemOut]:
    hashes = {item.media_sha256 for item in items if item.media_sha256}
    known = {each.sha256: each for each in await session.scalars(select(Media).where(Media.sha256.in_(hashes)))}
    return [ItemOut.of((item, known.get(item.media_sha256 or ""))) for item in items]
