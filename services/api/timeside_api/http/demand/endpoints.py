"""`/v1/items/{item_id}/results/{processor}`: what a processor makes of an item, whether or not it was made before."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from timeside_api.http.access import CallerOf
from timeside_api.http.demand.schemas import ProcessorId
from timeside_api.http.demand.sources import ParametersOf, Span, StartOf, StopOf, built, media_of
from timeside_api.http.openapi import errors
from timeside_api.http.platform import PlatformOf
from timeside_api.http.results.schemas import ResultOut, manifest_of
from timeside_api.http.tasks.schemas import ResultOfTask
from timeside_api.plans import asked
from timeside_api.tasks import Part

router = APIRouter(prefix="/items", tags=["results"])

_ASKED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The result is there."},
    202: {"description": "It is on its way: `Location` tells where it will be.", "model": ResultOfTask},
    **errors(403, 404, 409),
}


@router.get("/{item_id}/results/{processor}", operation_id="item_result", responses=_ASKED)
async def item_result(
    item_id: UUID,
    processor: ProcessorId,
    caller: CallerOf,
    parts: PlatformOf,
    parameters: ParametersOf = "{}",
    start: StartOf = None,
    stop: StopOf = None,
    wait_s: Annotated[
        float, Query(ge=0, le=3600, description="How long to wait for it; the platform has a limit.")
    ] = 0,
) -> ResultOut:
    """Ask for what a processor makes of an item.

    Where it is not there, what it needs is begun, once however many ask; the answer is then 202 with the result as it
    is now, whose id `WS /v1/stream` takes. With `start` and `stop`, of that part of the media alone.
    """
    wanted = await built("processor", processor, parameters)
    media = await media_of(parts, caller, item_id)
    segment = Span(start, stop).checked(media).segment(media)
    part = Part(media.sha256, await asyncio.to_thread(asked, [wanted], segment), segment)
    *_, result = await parts.demand.results(caller.id, part, parts.demand.patience(wait_s))
    return ResultOut.of(result, {} if result.mime_type else await parts.library.read(result, manifest_of))
