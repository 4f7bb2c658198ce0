"""SQL of items: every read begins with what the caller may see."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.models import Item, Media
from timeside_api.sharing import Level


def owned(caller: Caller) -> Select[Item]:
    """Items of the caller's own."""
    return select(Item).where(Item.owner_id == caller.id)


async def get(session: AsyncSession, caller: Caller, item_id: UUID, level: Level = Level.VIEWER) -> Item:
    """An item; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    return await ownership.get(session, caller, Item, item_id, level)


async def with_media(session: AsyncSession, item: Item) -> tuple[Item, Media | None]:
    """An item and its media."""
    return item, None if item.media_sha256 is None else await session.get(Media, item.media_sha256)


async def add(session: AsyncSession, owner_id: UUID, said: dict[str, Any]) -> Item:
    """Make an item."""
    item = Item(owner_id=owner_id, **said)
    session.add(item)
    await session.flush()
    await session.refresh(item)
    return item


async def change(session: AsyncSession, item: Item, said: dict[str, Any]) -> None:
    """Say something else of it."""
    await session.execute(update(Item).where(Item.id == item.id).values(**said, updated_at=func.now()))
    await session.refresh(item)


async def remove(session: AsyncSession, item: Item) -> None:
    """Remove it; its media and results stay, for others who have them."""
    await session.execute(delete(Item).where(Item.id == item.id))
