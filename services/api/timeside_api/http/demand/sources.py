"""What requests say of a source and of a processor: its media, a span in seconds, parameters as JSON."""

import asyncio
import json
from typing import Annotated, Any, NamedTuple, cast
from uuid import UUID

from fastapi import Query

from timeside_api.http.access import Caller
from timeside_api.http.items import repository as items
from timeside_api.http.platform import Platform
from timeside_api.http.problems import Problem, invalid
from timeside_api.http.processors import repository as processors
from timeside_api.models import Media
from timeside_core.audio import Segment
from timeside_core.processor import Processor

MAX_PARAMETERS = 8192
MAX_S = 1e7
"""Longest time that a span can name, s: four months."""

ParametersOf = Annotated[
    str, Query(max_length=MAX_PARAMETERS, description="JSON object; parameters left out have their defaults.")
]
StartOf = Annotated[float | None, Query(ge=0, le=MAX_S, description="Begin of the span, s.")]
StopOf = Annotated[float | None, Query(gt=0, le=MAX_S, description="End of the span, s.")]


class Span(NamedTuple):
    """A part of a signal, s; the begin and the end of all of it where not given."""

    start_s: float | None
    stop_s: float | None

    def checked(self, media: Media) -> "Span":
        """The same; raises a problem where it has no length, or lies beyond the media as far as that is known."""
        if self.stop_s is not None and self.stop_s <= (self.start_s or 0.0):
            raise invalid("stop", f"must be more than start={self.start_s or 0:g}")
        if media.decoded and media.samples and media.samplerate and self.start_s is not None:
            length_s = media.samples / media.samplerate
            if self.start_s >= length_s:
                raise invalid("start", f"must be less than {length_s:g} s, where the signal ends")
        return self

    def segment(self, media: Media) -> Segment:
        """In samples of the media."""
        if self.start_s is None and self.stop_s is None:
            return Segment()
        if media.samplerate is None:
            raise Problem(409, "unknown-samplerate", "nobody has looked at the media's header yet: ask for all of it")
        first = round((self.start_s or 0.0) * media.samplerate)
        return Segment(first, None if self.stop_s is None else max(1, round(self.stop_s * media.samplerate) - first))


async def media_of(parts: Platform, caller: Caller, item_id: UUID) -> Media:
    """That of an item; raises a problem where the caller may not see the item, or it has none."""
    async with parts.database.transaction() as session:
        item = await items.get(session, caller, item_id)
        media = None if item.media_sha256 is None else await session.get(Media, item.media_sha256)
    if media is None:
        raise Problem(409, "no-media", f"item {item_id} has no media yet: PUT /v1/items/{item_id}/media")
    return media


async def built(named: str, id: str, parameters: str, **more: Any) -> Processor:
    """A processor by its id, which field `named` has, and parameters in JSON; in a thread, as it may import much."""
    given = _object(parameters)
    return await asyncio.to_thread(processors.build, id, given | more, named)


def _object(parameters: str) -> dict[str, Any]:
    try:
        given: Any = json.loads(parameters)
    except (ValueError, RecursionError):
        raise invalid("parameters", "is not JSON") from None
    if not isinstance(given, dict):
        raise invalid("parameters", "must be a JSON object")
    return cast("dict[str, Any]", given)
