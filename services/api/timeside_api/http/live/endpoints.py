"""`/v1/live`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from timeside_api import listening
from timeside_api.http.access import CallerOf
from timeside_api.http.live import repository
from timeside_api.http.live.schemas import LiveOut, LiveWithTracks, NewLive, SegmentOut
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import Problem, invalid
from timeside_api.http.processors import repository as processors
from timeside_api.http.settings import HttpSettings
from timeside_api.listening import Wanted
from timeside_api.live import LiveSegment, LiveSession
from timeside_api.plans import Asked, asked
from timeside_api.sharing import Level
from timeside_core.errors import FetchError, ParameterError
from timeside_core.fetch.urls import vetted_url

router = APIRouter(prefix="/live", tags=["live"])
TurnOf = Annotated[Turn, Depends(turning(Orders(LiveSession.id)))]
SegmentsTurnOf = Annotated[Turn, Depends(turning(Orders(LiveSegment.result_id)))]


@router.post("", operation_id="live_create", status_code=202, responses=errors(409))
async def live_create(
    body: NewLive, caller: CallerOf, session: Session, parts: PlatformOf, response: Response
) -> LiveWithTracks:
    """Listen to a source.

    It is heard until it ends, is stopped or is cancelled. Each processor is a track, cut into segments of equal length;
    each segment is a result when it is over. Rows come before that over `WS /v1/stream`.
    """
    if not parts.runs.live_runs:
        raise Problem(409, "no-live-sources", "this installation listens to no live sources")
    source = _vetted(body.source, parts.settings)
    wanted = await asyncio.to_thread(_asked, body)  # before the transaction has a connection: it may import much
    live = await listening.begin(
        session,
        Wanted(owner_id=caller.id, source=source, asked=wanted, segment_s=body.segment_s, title=body.title),
    )
    response.headers["Location"] = f"/v1/live/{live.id}"
    return await repository.whole(session, live)


@router.get("", operation_id="live_list")
async def live_list(caller: CallerOf, session: Session, turn: TurnOf) -> Page[LiveOut]:
    """List my live sessions."""
    found = await turn.found(session, repository.owned(caller))
    return Page[LiveOut].of(found, await repository.out(session, found.rows))


@router.get("/{live_id}", operation_id="live_get", responses=errors(404))
async def live_get(live_id: UUID, caller: CallerOf, session: Session) -> LiveWithTracks:
    """Get a live session, its tracks and its attempts."""
    return await repository.whole(session, await repository.get(session, caller, live_id))


@router.get("/{live_id}/segments", operation_id="live_segments", responses=errors(404))
async def live_segments(
    live_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: SegmentsTurnOf,
    track: Annotated[UUID | None, Query(description="Of this track only: its `result_id`.")] = None,
) -> Page[SegmentOut]:
    """Segments that are over, the newest first.

    Where nothing was heard, between two attempts, segments are missing.
    """
    live = await repository.get(session, caller, live_id)
    found = await turn.found(session, repository.segments(live, track))
    return Page[SegmentOut].of(found, await repository.segments_out(session, live, found.rows))


@router.post("/{live_id}:stop", operation_id="live_stop", responses=errors(403, 404))
async def live_stop(live_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> LiveWithTracks:
    """End a session as if its source had ended.

    Its last segment is as long as what was heard, and is kept. It takes a moment; one that has ended stays as it is.
    """
    live = await repository.get(session, caller, live_id, Level.EDITOR)
    await listening.stop(session, live, parts.runs)
    return await repository.whole(session, live)


@router.post("/{live_id}:cancel", operation_id="live_cancel", responses=errors(403, 404))
async def live_cancel(live_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> LiveWithTracks:
    """Give a session up.

    Segments that are over are kept, the one at hand is dropped; one that has ended stays as it is.
    """
    live = await repository.get(session, caller, live_id, Level.EDITOR)
    await listening.cancel(session, live, parts.runs)
    return await repository.whole(session, live)


def _vetted(source: str, settings: HttpSettings) -> str:
    """The URL, if it may be fetched at all; where its name leads is looked at each time a connection is made."""
    try:
        return str(vetted_url(source, settings.live_fetch))
    except FetchError as error:
        raise invalid("/source", str(error)) from None


def _asked(body: NewLive) -> tuple[Asked, ...]:
    wanted = asked(processors.built([(each.processor, each.parameters) for each in body.processors]))
    try:
        listening.check(wanted)
    except ParameterError as error:
        raise invalid("/processors", str(error)) from None
    return wanted
