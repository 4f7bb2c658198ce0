"""`/v1/events`."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from timeside_api.events import TOPIC
from timeside_api.http import sse
from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.changes import pause
from timeside_api.http.events import repository
from timeside_api.http.events.schemas import EventList, EventOut
from timeside_api.http.looks import look
from timeside_api.http.openapi import errors
from timeside_api.http.platform import Platform, PlatformOf, Session

router = APIRouter(prefix="/events", tags=["events"])

MAX_EVENTS = 1000
_After = Annotated[int | None, Query(ge=0, le=1 << 62, description="Number of the last event that was seen.")]
_Kind = Annotated[
    str | None,
    Query(pattern=r"^[a-z_]+\.[a-z_]*$", max_length=64, description="`task.settled`, or `task.` for all of tasks."),
]


@router.get("", operation_id="events_list", responses=errors(410))
async def events_list(
    caller: CallerOf,
    session: Session,
    after: _After = None,
    kind: _Kind = None,
    limit: Annotated[int, Query(ge=1, le=MAX_EVENTS, description="Most events in the answer.")] = 100,
) -> EventList:
    """What has happened to my things, and to those of my projects, oldest first."""
    seen = after or 0
    found = [EventOut.of(each) for each in await repository.after(session, caller, seen, kind, limit + 1)]
    shown = found[:limit]
    return EventList(items=shown, after=shown[-1].id if shown else seen, is_last=len(found) <= limit)


@router.get(
    "/stream",
    operation_id="events_stream",
    response_class=Response,
    responses={**sse.STREAM, **errors(410, 429)},
)
async def events_stream(
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    after: _After = None,
    kind: _Kind = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=1 << 62)] = None,
) -> Response:
    """What happens to my things, as it happens.

    Server-sent events, named by their kind; the id is the number, so that a browser goes on where it was. Without a
    number it begins now. Browsers send `?ticket=…` of `POST /v1/stream-tickets`.
    """
    seen = after if last_event_id is None else last_event_id
    async with parts.database.transaction() as session:
        seen = await repository.last(session) if seen is None else seen
        await repository.after(session, caller, seen, kind, 1)  # raises where they are not kept
    return sse.answer(request, caller, _messages(parts, caller, seen, kind))


async def _messages(parts: Platform, caller: Caller, seen: int, kind: str | None) -> AsyncGenerator[bytes]:
    with parts.changes.watch(TOPIC) as changed:
        while True:
            found = await look(
                parts, lambda session, seen=seen: repository.after(session, caller, seen, kind, MAX_EVENTS)
            )
            for each in found:
                yield sse.message(each.kind, each.id, EventOut.of(each))
                seen = each.id
            if not found:
                yield b""
                await pause(changed, parts.settings.stream_check_s)
