"""`/v1/selections`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from timeside_api.collections import Selection
from timeside_api.http import collected, ownership
from timeside_api.http.access import CallerOf
from timeside_api.http.collected import WantedOf
from timeside_api.http.etags import UNCHANGED, TagOf, lock
from timeside_api.http.items import repository as items
from timeside_api.http.items.schemas import ItemOut
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, Turn, turning
from timeside_api.http.platform import Session
from timeside_api.http.selections import repository
from timeside_api.http.selections.schemas import (
    Members,
    NewSelection,
    SelectionChange,
    SelectionOut,
    SelectionWithMembers,
)
from timeside_api.sharing import Level

router = APIRouter(prefix="/selections", tags=["selections"])

TurnOf = Annotated[Turn, Depends(turning(collected.orders(Selection)))]
ItemsTurnOf = Annotated[Turn, Depends(turning(items.ORDERS))]


@router.post("", operation_id="selection_create", status_code=201)
async def selection_create(
    body: NewSelection, caller: CallerOf, session: Session, response: Response, tag: TagOf
) -> SelectionWithMembers:
    """Make a selection."""
    selection = await repository.add(session, caller.id, body.title, body.description, body.filter)
    response.headers["Location"] = f"/v1/selections/{selection.id}"
    return tag.changed(await repository.whole(session, selection))


@router.get("", operation_id="selections_list", responses=errors(404))
async def selections_list(
    caller: CallerOf,
    session: Session,
    turn: TurnOf,
    wanted: WantedOf,
    item_id: Annotated[UUID | None, Query(description="That was put into them.")] = None,
) -> Page[SelectionOut]:
    """List selections."""
    selections = wanted.of(caller, Selection)
    if item_id is not None:
        item = await items.get(session, caller, item_id)
        selections = selections.where(Selection.id.in_(repository.of_item(item.id)))
    found = await turn.found(session, selections)
    return Page[SelectionOut].of(found, [SelectionOut.model_validate(each) for each in found.rows])


@router.get("/{selection_id}", operation_id="selection_get", responses=UNCHANGED | errors(404))
async def selection_get(selection_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> SelectionWithMembers:
    """Get a selection."""
    selection = await ownership.get(session, caller, Selection, selection_id)
    return tag.shown(await repository.whole(session, selection))


@router.patch("/{selection_id}", operation_id="selection_change", responses=errors(403, 404, 412))
async def selection_change(
    selection_id: UUID, body: SelectionChange, caller: CallerOf, session: Session, tag: TagOf
) -> SelectionWithMembers:
    """Change a selection's name or filter."""
    await lock(session, Selection, selection_id)
    selection = await ownership.get(session, caller, Selection, selection_id, Level.EDITOR)
    tag.expect(await repository.whole(session, selection))
    said = body.model_dump(exclude={"filter"}, exclude_none=True)
    if "filter" in body.model_fields_set:
        said["filter"] = None if body.filter is None else body.filter.stored()
    await collected.change(session, selection, said)
    return tag.changed(await repository.whole(session, selection))


@router.delete("/{selection_id}", operation_id="selection_delete", status_code=204, responses=errors(403, 404, 412))
async def selection_delete(selection_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> None:
    """Remove a selection.

    Its items stay; where it was put into other selections, it belongs to them no more.
    """
    await lock(session, Selection, selection_id)
    selection = await ownership.get(session, caller, Selection, selection_id, Level.OWNER)
    tag.expect(await repository.whole(session, selection))
    await session.delete(selection)


@router.post("/{selection_id}/members:add", operation_id="selection_add", responses=errors(403, 404, 409))
async def selection_add(
    selection_id: UUID, body: Members, caller: CallerOf, session: Session, tag: TagOf
) -> SelectionWithMembers:
    """Put items, and other selections, into a selection.

    What is in it already stays. No selection can hold itself, by whatever way round.
    """
    await lock(session, Selection, selection_id)
    selection = await ownership.get(session, caller, Selection, selection_id, Level.EDITOR)
    await repository.put_in(session, caller, selection, body)
    await collected.change(session, selection, {})
    return tag.changed(await repository.whole(session, selection))


@router.post("/{selection_id}/members:remove", operation_id="selection_remove", responses=errors(403, 404))
async def selection_remove(
    selection_id: UUID, body: Members, caller: CallerOf, session: Session, tag: TagOf
) -> SelectionWithMembers:
    """Take items, and other selections, out of a selection."""
    await lock(session, Selection, selection_id)
    selection = await ownership.get(session, caller, Selection, selection_id, Level.EDITOR)
    await repository.take_out(session, selection, body)
    await collected.change(session, selection, {})
    return tag.changed(await repository.whole(session, selection))


@router.get("/{selection_id}/items", operation_id="selection_items", responses=errors(404, 409))
async def selection_items(selection_id: UUID, caller: CallerOf, session: Session, turn: ItemsTurnOf) -> Page[ItemOut]:
    """List all items of a selection.

    Those that were put in, those that its filter finds, and those of the selections in it, each once; of all these,
    those that the caller may see.
    """
    selection = await ownership.get(session, caller, Selection, selection_id)
    found = await turn.found(session, await repository.items(session, caller, selection))
    return Page[ItemOut].of(found, await items.out(session, found.rows))
