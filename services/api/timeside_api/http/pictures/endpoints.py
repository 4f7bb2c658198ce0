"""`…/image` and `…/waveform` of items and results."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.demand.asking import Patience
from timeside_api.http.demand.schemas import ProcessorId
from timeside_api.http.demand.sources import ParametersOf, Span, StartOf, StopOf, built, media_of
from timeside_api.http.media.sending import FOR_EVER, StoredFile, is_fresh, send
from timeside_api.http.openapi import errors
from timeside_api.http.pictures import waveform
from timeside_api.http.platform import Platform, PlatformOf
from timeside_api.http.problems import Problem, invalid
from timeside_api.http.processors.schemas import output_path
from timeside_api.http.results import repository
from timeside_api.http.results.states import done
from timeside_api.http.tasks.schemas import ResultOfTask
from timeside_api.models import Media, Result
from timeside_api.plans import asked
from timeside_api.tasks import Part
from timeside_api.views import Drawing, Frame, PictureFormat
from timeside_core.errors import TimesideError
from timeside_core.pipeline import Grapher
from timeside_core.processor import Analyzer, Processor, inputs_of
from timeside_core.registry import get_processor

items = APIRouter(prefix="/items", tags=["pictures"])
results = APIRouter(prefix="/results", tags=["pictures"])

ANY_GRAPHER = "result_grapher"
"""Draws the result of any analyzer."""
MAX_SIDE_PX = 16_384
MAX_POINTS = 16_384
MAY_CHANGE = "private, no-cache"
"""Kept, but asked for again: an item may get other media."""

Side = Annotated[int, Query(ge=1, le=MAX_SIDE_PX, description="Pixels.")]
_MADE: dict[int | str, dict[str, Any]] = {
    202: {"description": "It is on its way: ask again after `Retry-After`.", "model": ResultOfTask},
    304: {"description": "The client has it already."},
    **errors(403, 404, 409),
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/png": {}, "image/svg+xml": {}}},
    **_MADE,
}


class WaveformOut(BaseModel):
    """Points of a waveform."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    start_s: float
    """Where the first point begins: it may be somewhat before what was asked for."""
    stop_s: float
    """Where the last point ends; all are equally long, to a row of the level that they are read from."""
    channels: int
    pixels: int
    """Count of the points: fewer than were asked for where the span is shorter than a row for each."""
    min: list[list[float | None]]
    """By channel, full scale ±1."""
    max: list[list[float | None]]
    rms: list[list[float | None]]


_WAVEFORM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The points.",
        "model": WaveformOut,
        "content": {"application/octet-stream": {}},
    },
    **_MADE,
}


@items.get(
    "/{item_id}/image",
    operation_id="item_image",
    response_class=Response,
    responses=_PICTURE,
)
async def item_image(
    item_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    grapher: Annotated[ProcessorId, Query(description="Of `GET /v1/processors`.")] = "waveform_simple",
    parameters: ParametersOf = "{}",
    width: Side = 1024,
    height: Side = 256,
    start: StartOf = None,
    stop: StopOf = None,
    format: PictureFormat = "png",
) -> Response:
    """A picture of an item, of any size and span.

    It is drawn from what is in the store; what it needs and is not there is computed first, once however many ask.
    """
    drawn = _grapher(await built("grapher", grapher, parameters), "grapher")
    media = await media_of(parts, caller, item_id)
    frame = _frame(parts, media, Span(start, stop), width, height, format)
    analyzers = [each for each in inputs_of(drawn) if isinstance(each, Analyzer)]
    part = Part(media.sha256, await asyncio.to_thread(asked, analyzers))
    patience = parts.demand.patience()
    shown = await parts.demand.results(caller.id, part, patience)
    answer = await _drawn(request, parts, caller, Drawing(grapher=drawn, shown=shown, frame=frame), patience)
    answer.headers["Cache-Control"] = MAY_CHANGE
    return answer


@results.get(
    "/{result_id}/image",
    operation_id="result_image",
    response_class=Response,
    responses=_PICTURE,
)
async def result_image(
    result_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    grapher: Annotated[ProcessorId, Query(description="One that draws such a result, and nothing else.")] = ANY_GRAPHER,
    parameters: ParametersOf = "{}",
    output: Annotated[str, Query(pattern=r"^([a-z][a-z0-9_-]{0,63})?$", description="The first if not given.")] = "",
    width: Side = 1024,
    height: Side = 256,
    start: StartOf = None,
    stop: StopOf = None,
    format: PictureFormat = "png",
) -> Response:
    """A picture of an analyzer's result, of any size and span; drawn once however many ask."""
    async with parts.database.transaction() as session:
        result = done(await repository.get(session, caller, result_id))
        media = await session.get_one(Media, result.media_sha256)
    frame = _frame(parts, media, Span(start, stop), width, height, format)
    drawn = await _grapher_of(result, grapher, parameters, output)
    drawing = Drawing(grapher=drawn, shown=[result], frame=frame)
    return await _drawn(request, parts, caller, drawing, parts.demand.patience())


@items.get(
    "/{item_id}/waveform",
    operation_id="item_waveform",
    response_class=Response,
    responses=_WAVEFORM,
)
async def item_waveform(
    item_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    start: StartOf = None,
    stop: StopOf = None,
    pixels: Annotated[int, Query(ge=1, le=MAX_POINTS, description="Points, at most.")] = 1024,
    format: waveform.Format = "json",
) -> Response:
    """Minimum, maximum and RMS of an item's channels over a span, in as many points as there are pixels.

    Raw numbers are little-endian float32 of the shape `(3, channels, points)`, which headers `TimeSide-…` tell.
    """
    media = await media_of(parts, caller, item_id)
    span = Span(start, stop).checked(media)
    (result,) = await parts.demand.results(caller.id, await _waveform_of(media), parts.demand.patience())
    headers = {"ETag": f'"{result.object_sha256}"', "Cache-Control": MAY_CHANGE}
    if is_fresh(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    body, more = await parts.library.read(result, lambda stored: waveform.encoded(stored, *span, pixels, format))
    return Response(body, headers=headers | more, media_type=waveform.MEDIA_TYPES[format])


async def _waveform_of(media: Media) -> Part:
    analyzer = await built("waveform", waveform.ANALYZER, "{}")
    return Part(media.sha256, asked([analyzer]))


def _frame(parts: Platform, media: Media, span: Span, width: int, height: int, format: PictureFormat) -> Frame:
    most = parts.settings.max_picture_pixels
    if width * height > most:
        raise invalid("width", f"width={width} by height={height} is more than {most} pixels: make either smaller")
    start_s, stop_s = span.checked(media)
    return Frame(width=width, height=height, start_s=start_s, stop_s=stop_s, format=format)


def _grapher(processor: Processor, field: str) -> Grapher:
    if not isinstance(processor, Grapher):
        raise invalid(field, f"{processor.id!r} is no grapher")
    return processor


async def _grapher_of(result: Result, id: str, parameters: str, output: str) -> Grapher:
    """The grapher that draws that result, by its id; raises a problem where it draws anything else."""
    analyzer = await asyncio.to_thread(_analyzer, result)
    more: dict[str, Any] = {}
    if id == ANY_GRAPHER:
        more["analyzer"] = {"id": analyzer.id, **analyzer.parameters()}
    if output:
        more["output"] = _output_named(result.outputs, output)
    grapher = _grapher(await built("grapher", id, parameters, **more), "grapher")
    if tuple(inputs_of(grapher)) != (analyzer,):
        raise invalid("grapher", f"{id} does not draw this result of {result.processor}, or not it alone")
    return grapher


def _analyzer(result: Result) -> Analyzer:
    """What made a result; raises a problem where that is not to be had."""
    try:
        kind = get_processor(result.processor)
        made_by = kind.from_parameters(result.parameters) if kind.version == result.version else None
    except TimesideError:
        made_by = None
    if made_by is None:
        raise Problem(409, "version", f"{result.processor} {result.version}, which made it, is not installed")
    if not isinstance(made_by, Analyzer):
        raise Problem(409, "no-rows", "it is a file: GET …/file")
    return made_by


def _output_named(outputs: Sequence[str], path: str) -> str:
    for name in outputs:
        if output_path(name) == path:
            return name
    raise invalid("output", f"is none of {', '.join(map(output_path, outputs))}")


async def _drawn(request: Request, parts: Platform, caller: Caller, drawing: Drawing, patience: Patience) -> Response:
    picture = await parts.demand.picture(caller.id, drawing, patience)
    file = StoredFile(
        name=picture.object_name or "",
        size=picture.size or 0,
        sha256=picture.object_sha256 or "",
        mime_type=picture.mime_type,
        file_name=f"{picture.processor}-{picture.id}.{drawing.frame.format}",
    )
    answer = await send(request, file, parts.store, parts.readers)
    answer.headers["Cache-Control"] = FOR_EVER
    return answer
