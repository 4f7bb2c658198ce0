"""`/v1/results`."""

import gzip
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from timeside_api.http.access import CallerOf
from timeside_api.http.items import repository as items
from timeside_api.http.media.sending import FOR_EVER, StoredFile, is_fresh, send
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.processors.schemas import output_path
from timeside_api.http.results import repository
from timeside_api.http.results.rows import MEDIA_TYPES, Format, Slice, encoded
from timeside_api.http.results.schemas import ResultOut, manifest_of
from timeside_api.http.results.states import done
from timeside_api.http.tasks.schemas import ResultOfTask
from timeside_api.models import Result
from timeside_core.pyramid import TILE_ROWS, WAVEFORM_ROWS
from timeside_core.store import StoredResult

router = APIRouter(prefix="/results", tags=["results"])
TurnOf = Annotated[Turn, Depends(turning(Orders(Result.id)))]

OutputName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="`result` where there is but one.")]
Row = Annotated[int, Query(ge=0, le=1 << 53)]
_READ = {304: {"description": "The client has it already."}, **errors(404, 409)}
_DATA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The rows.", "content": {each: {} for each in MEDIA_TYPES.values()}},
    **_READ,
}
_TILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The tile.", "content": {"application/octet-stream": {}}},
    **_READ,
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": {}}},
    206: {"description": "The range that was asked for.", "content": {"*/*": {}}},
    **_READ,
    **errors(416),
}


@router.get("", operation_id="results_list", responses=errors(404))
async def results_list(
    item_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: TurnOf,
    processor: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = None,
) -> Page[ResultOfTask]:
    """List results of an item."""
    item = await items.get(session, caller, item_id)
    wanted = repository.readable(caller).where(Result.media_sha256 == item.media_sha256)
    if processor is not None:
        wanted = wanted.where(Result.processor == processor)
    found = await turn.found(session, wanted)
    return Page[ResultOfTask].of(found, [ResultOfTask.of(each) for each in found.rows])


@router.get("/{result_id}", operation_id="result_get", responses=errors(404))
async def result_get(result_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> ResultOut:
    """Facts and provenance."""
    result = await repository.get(session, caller, result_id)
    has_rows = result.object_name is not None and not result.mime_type
    return ResultOut.of(result, await parts.library.read(result, manifest_of) if has_rows else {})


@router.get(
    "/{result_id}/data/{output}",
    operation_id="result_data",
    response_class=Response,
    responses=_DATA,
)
async def result_data(
    result_id: UUID,
    output: OutputName,
    request: Request,
    caller: CallerOf,
    session: Session,
    parts: PlatformOf,
    start: Annotated[Row, Query(description="First row.")] = 0,
    stop: Annotated[Row | None, Query(description="One past the last row; as many as fit where not given.")] = None,
    level: Annotated[int, Query(ge=0, le=64, description="0 is the finest.")] = 0,
    format: Annotated[Format, Query()] = "json",
) -> Response:
    """Rows by slice and level.

    JSON has `first_row`, `total_rows`, `values` (NaN as null) and when they are: `start_s` and `step_s` of
    framewise rows, `times` and `durations` of others. Raw numbers are little-endian, float32, or uint8 where they
    are so in the store; headers `TimeSide-…` tell their shape. Arrow is a stream of one record batch. A row of a
    coarser level has, where the pooling is `summary`, minimum, maximum and mean on a last axis.
    """
    result = await repository.get(session, caller, result_id)
    wanted = Slice(output=_named(result, output), level=level, start=start, stop=stop, format=format)
    headers = {"ETag": f'"{result.object_sha256}"', "Cache-Control": FOR_EVER}
    if is_fresh(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    limit = parts.settings.max_data_bytes
    body, more = await parts.library.read(result, lambda stored: encoded(stored, wanted, limit))
    return Response(body, headers=headers | more, media_type=MEDIA_TYPES[format])


@router.get(
    "/{result_id}/tiles/{output}/{level}/{index}",
    operation_id="result_tile",
    response_class=Response,
    responses=_TILE,
)
async def result_tile(
    result_id: UUID,
    output: OutputName,
    level: Annotated[int, Path(ge=0, le=64)],
    index: Annotated[int, Path(ge=0, le=1 << 31)],
    request: Request,
    caller: CallerOf,
    session: Session,
    parts: PlatformOf,
) -> Response:
    """A tile of what is made for display.

    Raw numbers of up to 1024 rows of a waveform (float32, little-endian) or 256 of a spectrogram (uint8), as they
    lie in the store; the last tile is padded: `TimeSide-Rows` tells how many rows count.
    """
    result = await repository.get(session, caller, result_id)
    name = _named(result, output)
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
    etag = f'"{result.object_sha256}{"-gzip" if takes_gzip else ""}"'
    headers = {"ETag": etag, "Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if is_fresh(request, etag):
        return Response(status_code=304, headers=headers)
    tile, facts = await parts.library.read(result, lambda stored: _tile(stored, name, level, index))
    if takes_gzip:
        headers["Content-Encoding"] = "gzip"
    body = tile if takes_gzip else gzip.decompress(tile)
    return Response(body, headers=headers | facts, media_type="application/octet-stream")


@router.head("/{result_id}/file", operation_id="result_file_head", responses=_FILE)
@router.get(
    "/{result_id}/file",
    operation_id="result_file",
    response_class=Response,
    responses=_FILE,
)
async def result_file(
    result_id: UUID, request: Request, caller: CallerOf, session: Session, parts: PlatformOf
) -> Response:
    """The file of a result that is one, also by range."""
    result = done(await repository.get(session, caller, result_id))
    if not result.mime_type or result.object_name is None:
        raise not_found("file of result", result_id)
    file = StoredFile(
        name=result.object_name,
        size=result.size or 0,
        sha256=result.object_sha256 or "",
        mime_type=result.mime_type,
        file_name=f"{result.processor}-{result.id}",
    )
    return await send(request, file, parts.store, parts.readers)


def _named(result: Result, output: str) -> str:
    """The name of an output that a path has, of a result whose rows can be read."""
    done(result)
    for name in () if result.mime_type else result.outputs:
        if output_path(name) == output:
            return name
    raise not_found(f"output {output!r} of result", result.id)


def _tile(stored: StoredResult, output: str, level: int, index: int) -> tuple[bytes, dict[str, str]]:
    facts = stored.outputs[output]
    if facts["time_mode"] != "framewise" or facts["pooling"] == "summary":
        raise Problem(404, "not-found", f"output {output_path(output)!r} has no tiles: it is not made for display")
    if level > facts["levels"]:
        raise Problem(404, "not-found", f"there are levels 0 to {facts['levels']}")
    tile_rows = TILE_ROWS if facts.get("dtype") == "uint8" else WAVEFORM_ROWS
    if index * tile_rows >= stored.rows(output, level):
        raise Problem(404, "not-found", f"there is no tile {index} at level {level}")
    tile, rows = stored.tile(output, level, index)
    shape = ",".join(map(str, facts["row_shape"]))
    return tile, {"TimeSide-Rows": str(rows), "TimeSide-Dtype": facts["dtype"], "TimeSide-Row-Shape": shape}
