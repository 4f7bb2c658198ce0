"""Following a track: what has changed since a revision, then what changes, exactly once and in order."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.annotations import topic
from timeside_api.http.access import Caller
from timeside_api.http.annotations import repository
from timeside_api.http.annotations.schemas import ChangeOut, TrackOut
from timeside_api.http.changes import pause
from timeside_api.http.looks import look
from timeside_api.http.platform import Platform


class Look(NamedTuple):
    """What a look at a track has found."""

    track: TrackOut
    changes: Sequence[ChangeOut]
    """Since the look before; none where it was for nothing."""


async def follow(parts: Platform, caller: Caller, track_id: UUID, since: int | None) -> AsyncGenerator[Look]:
    """The track, then changes after a revision (by default the present one), until it is not to be seen any more.

    Looks again whenever the track has changed, and every few seconds. Raises a problem where it may not be seen, or
    where changes since then are not kept.
    """
    with parts.changes.watch(topic(track_id)) as changed:
        while True:
            seen = await look(parts, lambda session, since=since: _look(session, caller, track_id, since))
            yield seen
            if seen.changes:
                since = seen.changes[-1].revision
            else:
                since = seen.track.revision if since is None else since
                await pause(changed, parts.settings.stream_check_s)


async def _look(session: AsyncSession, caller: Caller, track_id: UUID, since: int | None) -> Look:
    track = await repository.get(session, caller, track_id)
    found = await repository.changes(session, track, track.revision if since is None else since)
    return Look(TrackOut.of(track), [ChangeOut.of(each) for each in found])
