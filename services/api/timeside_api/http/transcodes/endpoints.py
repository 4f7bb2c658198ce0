"""`/v1/items/{item_id}/transcode/{format}`."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.demand.asking import NotYet, Patience
from timeside_api.http.demand.sources import ParametersOf, Span, StartOf, StopOf, built, media_of
from timeside_api.http.media.sending import PIECE_BYTES, StoredFile, send
from timeside_api.http.openapi import errors
from timeside_api.http.pictures.endpoints import MAY_CHANGE
from timeside_api.http.platform import Platform, PlatformOf
from timeside_api.http.tasks.schemas import ResultOfTask
from timeside_api.http.transcodes.relay import End, Relay
from timeside_api.models import Result, ResultState
from timeside_api.plans import asked
from timeside_api.tasks import Part
from timeside_core.pipeline import Encoder

router = APIRouter(prefix="/items", tags=["transcodes"])

Format: TypeAlias = Literal["wav", "flac", "ogg", "opus", "mp3", "m4a", "webm"]
ENCODERS: Mapping[Format, str] = {
    "wav": "wav_encoder",
    "flac": "flac_encoder",
    "ogg": "vorbis_encoder",
    "opus": "opus_encoder",
    "mp3": "mp3_encoder",
    "m4a": "aac_encoder",
    "webm": "webm_encoder",
}
_FROM_THE_START = re.compile(r"(bytes=0-)?")
_TRANSCODE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The transcode, or all that there is so far and then what comes.", "content": {"audio/*": {}}},
    202: {"description": "Nothing of it is there yet: ask again after `Retry-After`.", "model": ResultOfTask},
    206: {"description": "The range that was asked for.", "content": {"audio/*": {}}},
    304: {"description": "The client has it already."},
    **errors(403, 404, 409, 416, 503),
}


class BrokenOffError(Exception):
    """A transcode that was being sent will never be whole: the connection is closed before its end."""


@router.head("/{item_id}/transcode/{format}", operation_id="item_transcode_head", responses=_TRANSCODE)
@router.get(
    "/{item_id}/transcode/{format}",
    operation_id="item_transcode",
    response_class=Response,
    responses=_TRANSCODE,
)
async def item_transcode(
    item_id: UUID,
    format: Annotated[Format, Path()],
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    parameters: ParametersOf = "{}",
    start: StartOf = None,
    stop: StopOf = None,
) -> Response:
    """An item in another format, sent while it is made, and kept.

    Who asks first begins it, everybody else joins in, from the first byte; it goes on when all have left. Once it is
    kept it has a length, an ETag and ranges. Before, a range waits for that, and what is sent has no lengths in its
    header that only the end tells. HEAD begins nothing. With `start` and `stop`, of that part alone.
    """
    encoder = await built("format", ENCODERS[format], parameters)
    assert isinstance(encoder, Encoder)
    media = await media_of(parts, caller, item_id)
    segment = Span(start, stop).checked(media).segment(media)
    part = Part(media.sha256, await asyncio.to_thread(asked, [encoder], segment), segment)
    if request.method == "HEAD":
        kept = await parts.demand.known(part)
        return _begun(encoder) if kept is None else await _kept(request, parts, kept, encoder)
    patience = parts.demand.patience()
    (result,) = await parts.demand.begin(caller.id, part)
    if result.state is ResultState.PENDING and not _FROM_THE_START.fullmatch(request.headers.get("range", "")):
        await parts.demand.settling.wait([result.id], within_s=patience.left_s)
        (result,) = await parts.demand.begin(caller.id, part)
    if result.state is ResultState.PENDING:
        return await _relayed(request, parts, caller, result, encoder, part, patience)
    return await _kept(request, parts, result, encoder)


async def _kept(request: Request, parts: Platform, result: Result, encoder: Encoder) -> Response:
    file = StoredFile(
        name=result.object_name or "",
        size=result.size or 0,
        sha256=result.object_sha256 or "",
        mime_type=result.mime_type,
        file_name=f"{result.id}.{encoder.extension}",
    )
    answer = await send(request, file, parts.store, parts.readers)
    answer.headers["Cache-Control"] = MAY_CHANGE
    return answer


def _begun(encoder: Encoder) -> Response:
    """Facts about what is not kept yet."""
    response = Response(headers={"Accept-Ranges": "none"}, media_type=encoder.mime_type)
    del response.headers["Content-Length"]
    return response


async def _relayed(
    request: Request,
    parts: Platform,
    caller: Caller,
    result: Result,
    encoder: Encoder,
    part: Part,
    patience: Patience,
) -> Response:
    """What is there and what comes, once the first byte is there."""
    relay = parts.relays.join(result)
    try:
        async with asyncio.timeout(patience.left_s):
            first = await relay.read(0, PIECE_BYTES)
        if first and relay.end is not End.BROKEN:
            return _Relayed(parts, relay, result, encoder, first)
    except TimeoutError:
        pass
    except BaseException:
        parts.relays.leave(relay)
        raise
    parts.relays.leave(relay)
    if relay.end is None:
        raise NotYet(result)
    (made,) = await parts.demand.results(caller.id, part, patience)
    return await _kept(request, parts, made, encoder)


class _Relayed(StreamingResponse):
    """An answer of unknown length; it ends without a last chunk where the transcode is not whole."""

    def __init__(self, parts: Platform, relay: Relay, result: Result, encoder: Encoder, first: bytes) -> None:
        headers = {"Cache-Control": "no-store", "Accept-Ranges": "none", "TimeSide-Result": str(result.id)}
        headers["Content-Disposition"] = f'inline; filename="{result.id}.{encoder.extension}"'
        super().__init__(_pieces(parts, relay, result, first), headers=headers, media_type=encoder.mime_type)
        self._parts, self._relay = parts, relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._parts.relays.leave(self._relay)


async def _pieces(parts: Platform, relay: Relay, result: Result, first: bytes) -> AsyncGenerator[bytes]:
    sent, piece = 0, first
    while piece:
        yield piece
        sent += len(piece)
        piece = await relay.read(sent, PIECE_BYTES)
    if relay.end is End.LOST:
        async for piece in _rest(parts, result.id, sent):
            yield piece
    elif relay.end is not End.WHOLE:
        raise BrokenOffError(f"result {result.id} was not made")


async def _rest(parts: Platform, result_id: UUID, sent: int) -> AsyncGenerator[bytes]:
    """From the file that is kept, once it is."""
    await parts.demand.settling.wait([result_id])
    async with parts.database.transaction() as session:
        result = await session.get_one(Result, result_id)
    if result.state is not ResultState.DONE or result.object_name is None or result.size is None:
        raise BrokenOffError(f"result {result_id} was not made")
    loop = asyncio.get_running_loop()
    for start in range(sent, result.size, PIECE_BYTES):
        length = min(PIECE_BYTES, result.size - start)
        yield await loop.run_in_executor(parts.readers, parts.store.read, result.object_name, start, length)
