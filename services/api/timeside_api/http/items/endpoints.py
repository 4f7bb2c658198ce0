"""`/v1/items`, and the plain upload of their media."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events, quotas
from timeside_api.http.access import CallerOf
from timeside_api.http.etags import UNCHANGED, TagOf, lock
from timeside_api.http.items import repository
from timeside_api.http.items.filters import FilterOf
from timeside_api.http.items.schemas import ItemChange, ItemOut, NewItem
from timeside_api.http.media import repository as media
from timeside_api.http.media.intake import described
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, Turn, turning
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.trail import TrailOf
from timeside_api.models import Item
from timeside_api.sharing import Level

router = APIRouter(prefix="/items", tags=["items"])

TurnOf = Annotated[Turn, Depends(turning(repository.ORDERS))]
_BYTES: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}


@router.post("", operation_id="item_create", status_code=201, responses=errors(403))
async def item_create(
    body: NewItem, caller: CallerOf, session: Session, parts: PlatformOf, response: Response, tag: TagOf
) -> ItemOut:
    """Make an item."""
    item = await repository.add(session, caller.id, body.model_dump())
    await quotas.check_items(session, caller.id, parts.settings.quotas)
    response.headers["Location"] = f"/v1/items/{item.id}"
    return tag.changed(await _out(session, item))


@router.get("", operation_id="items_list")
async def items_list(caller: CallerOf, session: Session, turn: TurnOf, filter: FilterOf) -> Page[ItemOut]:
    """List items.

    What is asked of them must hold all together. `details.year=1830` and the like ask for values among their details,
    by a path of names parted by dots: `details.place.city=Lyon`.
    """
    found = await turn.found(session, repository.found(caller, filter), repository.parts(caller, filter))
    return Page[ItemOut].of(found, await repository.out(session, found.rows))


@router.get("/{item_id}", operation_id="item_get", responses=UNCHANGED | errors(404))
async def item_get(item_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> ItemOut:
    """Get an item."""
    return tag.shown(await _out(session, await repository.get(session, caller, item_id)))


@router.patch("/{item_id}", operation_id="item_change", responses=errors(403, 404, 412))
async def item_change(item_id: UUID, body: ItemChange, caller: CallerOf, session: Session, tag: TagOf) -> ItemOut:
    """Say something else of an item."""
    await lock(session, Item, item_id)
    item = await repository.get(session, caller, item_id, Level.EDITOR)
    tag.expect(await _out(session, item))
    await repository.change(session, item, body.model_dump(exclude_none=True))
    return tag.changed(await _out(session, item))


@router.delete("/{item_id}", operation_id="item_delete", status_code=204, responses=errors(403, 404, 412))
async def item_delete(item_id: UUID, caller: CallerOf, session: Session, tag: TagOf, trail: TrailOf) -> None:
    """Remove an item."""
    await lock(session, Item, item_id)
    item = await repository.get(session, caller, item_id, Level.OWNER)
    tag.expect(await _out(session, item))
    await repository.remove(session, item)
    trail.note(session, "item.removed", item.id)


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
        item = await repository.get(session, caller, item_id, Level.EDITOR)  # before a byte is read
        await quotas.check_items(session, item.owner_id, parts.settings.quotas, coming_bytes=_length(request))
    sha256, size = await parts.uploads.take(request)
    facts = await described(parts, sha256)
    async with parts.database.transaction() as session:
        events.by(session, caller.id)
        item = await repository.get(session, caller, item_id, Level.EDITOR)
        await media.keep(session, sha256, size, facts)
        await repository.change(session, item, {"media_sha256": sha256})
        await quotas.check_items(session, item.owner_id, parts.settings.quotas)
        return await _out(session, item)


def _length(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


async def _out(session: AsyncSession, item: Item) -> ItemOut:
    (shown,) = await repository.out(session, [item])
    return shown
