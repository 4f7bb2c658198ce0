"""SQL of selections: what was put in, and which items belong to one, of those that the caller may see."""

from uuid import UUID

from sqlalchemy import Select, delete, func, literal, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import Selection, SelectionItem, SelectionPart
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.collected import SELECTIONS, check_seen, lock_links, too_many
from timeside_api.http.items.filters import ItemFilter
from timeside_api.http.selections.schemas import Members, SelectionOut, SelectionWithMembers
from timeside_api.models import Item

MAX_FILTERS = 32
"""Of a selection and those that it holds: each is a query of its own."""


async def add(
    session: AsyncSession, owner_id: UUID, title: str, description: str, filter: ItemFilter | None
) -> Selection:
    """Make a selection."""
    stored = None if filter is None else filter.stored()
    selection = Selection(owner_id=owner_id, title=title, description=description, filter=stored)
    session.add(selection)
    await session.flush()
    await session.refresh(selection)
    return selection


async def whole(session: AsyncSession, selection: Selection) -> SelectionWithMembers:
    """A selection, as it goes out, with what was put in."""
    of_it = SelectionItem.selection_id == selection.id
    items = await session.scalar(select(func.count()).select_from(SelectionItem).where(of_it))
    parts = select(SelectionPart.part_id).where(SelectionPart.selection_id == selection.id)
    return SelectionWithMembers(
        **SelectionOut.model_validate(selection).model_dump(),
        items=items or 0,
        selections=list(await session.scalars(parts.order_by(SelectionPart.part_id))),
    )


async def put_in(session: AsyncSession, caller: Caller, selection: Selection, members: Members) -> None:
    """Have items and selections that the caller may see belong to it; raises a problem where it would hold itself."""
    await check_seen(session, caller, Item, members.items)
    await check_seen(session, caller, Selection, members.selections)
    if members.items:
        rows = [{"selection_id": selection.id, "item_id": id} for id in sorted(set(members.items))]
        await session.execute(insert(SelectionItem).on_conflict_do_nothing(), rows)
    if members.selections:
        await lock_links(session)
        rows = [{"selection_id": selection.id, "part_id": id} for id in sorted(set(members.selections))]
        await session.execute(insert(SelectionPart).on_conflict_do_nothing(), rows)
        await SELECTIONS.check(session, selection.id)


async def take_out(session: AsyncSession, selection: Selection, members: Members) -> None:
    """Have these belong to it no more, unless they do by another way."""
    of_items = SelectionItem.selection_id == selection.id, SelectionItem.item_id.in_(members.items)
    await session.execute(delete(SelectionItem).where(*of_items))
    of_parts = SelectionPart.selection_id == selection.id, SelectionPart.part_id.in_(members.selections)
    await session.execute(delete(SelectionPart).where(*of_parts))


async def items(session: AsyncSession, caller: Caller, selection: Selection) -> Select[Item]:
    """Items that belong to it by whatever way, each once, of those that the caller may see."""
    below = SELECTIONS.below(selection.id)
    ids = select(literal(selection.id)).union(select(below.c.id))
    filters = select(Selection.owner_id, Selection.filter).where(Selection.id.in_(ids), Selection.filter.is_not(None))
    found = (await session.execute(filters.limit(MAX_FILTERS + 1))).all()
    if len(found) > MAX_FILTERS:
        raise too_many(f"selection {selection.id} has more than {MAX_FILTERS} filters, in those that it holds")
    ways: list[Select[UUID]] = [select(SelectionItem.item_id).where(SelectionItem.selection_id.in_(ids))]
    for owner_id, filter in found:
        ways.append(select(Item.id).where(*ItemFilter.model_validate(filter).conditions(owner_id)))
    return ownership.visible(caller, Item).where(Item.id.in_(union(*ways)))


def of_item(item_id: UUID) -> Select[UUID]:
    """Ids of selections into which an item was put."""
    return select(SelectionItem.selection_id).where(SelectionItem.item_id == item_id)
