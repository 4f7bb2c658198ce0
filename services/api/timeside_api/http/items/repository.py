"""SQL of items: every read begins with what the caller may see."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.items.filters import ItemFilter, key
from timeside_api.http.items.schemas import ItemOut
from timeside_api.http.pages import Orders
from timeside_api.models import Item, Media
from timeside_api.sharing import Level

ORDERS = Orders(
    Item.id,
    {
        "updated_at": Item.updated_at,
        "title": key(Item.shown_title),
        "artist": key(Item.shown_artist),
        "album": key(Item.shown_album),
    },
)


def found(caller: Caller, filter: ItemFilter) -> Select[Item]:
    """Items that a filter of the caller's finds, of those that they may see."""
    return ownership.visible(caller, Item).where(*filter.conditions(caller.id))


def parts(caller: Caller, filter: ItemFilter) -> list[Select[Item]]:
    """The same, in parts that can each be read in order."""
    if not filter.shared:
        return []
    return [way.where(*filter.conditions(caller.id)) for way in ownership.ways(caller, Item)]


async def get(session: AsyncSession, caller: Caller, item_id: UUID, level: Level = Level.VIEWER) -> Item:
    """An item; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    return await ownership.get(session, caller, Item, item_id, level)


async def out(session: AsyncSession, items: Sequence[Item]) -> list[ItemOut]:
    """Items as they go out, with their media."""
    hashes = {item.media_sha256 for item in items if item.media_sha256}
    known = {each.sha256: each for each in await session.scalars(select(Media).where(Media.sha256.in_(hashes)))}
    return [ItemOut.of((item, known.get(item.media_sha256 or ""))) for item in items]


async def add(session: AsyncSession, owner_id: UUID, said: dict[str, Any]) -> Item:
    """Make an item."""
    item = Item(owner_id=owner_id, **said)
    session.add(item)
    await session.flush()
    await session.refresh(item)
    _note(session, "item.created", item)
    return item


async def change(session: AsyncSession, item: Item, said: dict[str, Any]) -> None:
    """Say something else of it."""
    await session.execute(update(Item).where(Item.id == item.id).values(**said, updated_at=func.now()))
    await session.refresh(item)
    _note(session, "item.uploaded" if "media_sha256" in said else "item.changed", item)


async def remove(session: AsyncSession, item: Item) -> None:
    """Remove it; its media and results stay, for others who have them."""
    await session.execute(delete(Item).where(Item.id == item.id))
    _note(session, "item.removed", item)


def _note(session: AsyncSession, kind: str, item: Item) -> None:
    events.note(session, kind, owner_id=item.owner_id, project_id=item.project_id, subject_id=item.id)
