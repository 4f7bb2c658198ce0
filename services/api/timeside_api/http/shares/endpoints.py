"""`/v1/shares`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from timeside_api import events
from timeside_api.http import things
from timeside_api.http.access import CallerOf
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Session
from timeside_api.http.problems import Problem
from timeside_api.http.shares import repository
from timeside_api.http.shares.schemas import NewShare, ShareList, ShareOut
from timeside_api.http.trail import TrailOf
from timeside_api.sharing import Grant, Level

router = APIRouter(prefix="/shares", tags=["shares"])
TurnOf = Annotated[Turn, Depends(turning(Orders(Grant.thing_id)))]

_KIND = r"^[a-z][a-z_]{0,63}$"


@router.post("", operation_id="share_create", status_code=201, responses=errors(403, 404, 409))
async def share_create(body: NewShare, caller: CallerOf, session: Session, trail: TrailOf) -> ShareOut:
    """Let somebody have a thing of mine, or have it at another level."""
    thing = await things.get(session, caller, body.kind, body.id, Level.OWNER)
    account = await things.account_named(session, body.account)
    if account.id == thing.owner_id:
        raise Problem(409, "owner", f"{body.account} owns it already")
    share = await repository.give(session, body.kind, thing, account, body.level, caller)
    about: dict[str, Any] = {"kind": body.kind, "level": body.level}
    events.note(session, "share.given", owner_id=account.id, subject_id=thing.id, share=about)
    trail.note(session, "share.given", thing.id, account=account.name, **about)
    return share


@router.get("", operation_id="shares_list", responses=errors(403, 404))
async def shares_list(
    caller: CallerOf,
    session: Session,
    kind: Annotated[str, Query(pattern=_KIND, description="`item`, `selection`, `preset` …")],
    id: Annotated[UUID, Query(description="Of the thing.")],
) -> ShareList:
    """With whom a thing of mine is shared."""
    await things.get(session, caller, kind, id, Level.OWNER)
    return ShareList(items=await repository.of_thing(session, kind, id))


@router.get("/received", operation_id="shares_received")
async def shares_received(caller: CallerOf, session: Session, turn: TurnOf) -> Page[ShareOut]:
    """What is shared with me."""
    found = await turn.found(session, repository.received(caller))
    return Page[ShareOut].of(found, [repository.out(each, caller.name) for each in found.rows])


@router.delete("/{kind}/{thing_id}/{account}", operation_id="share_delete", status_code=204, responses=errors(403, 404))
async def share_delete(
    kind: Annotated[str, Path(pattern=_KIND)],
    thing_id: UUID,
    account: Annotated[str, Path(max_length=64)],
    caller: CallerOf,
    session: Session,
    trail: TrailOf,
) -> None:
    """Let somebody have a thing no more; everybody may do without."""
    level = Level.VIEWER if account == caller.name else Level.OWNER
    await things.get(session, caller, kind, thing_id, level)
    who = await things.account_named(session, account, or_disabled=True)
    await repository.revoke(session, kind, thing_id, who.id)
    events.note(session, "share.revoked", owner_id=who.id, subject_id=thing_id, share={"kind": kind})
    trail.note(session, "share.revoked", thing_id, account=account, kind=kind)
