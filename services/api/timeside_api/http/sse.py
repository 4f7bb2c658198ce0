"""Server-sent events: streams over plain HTTP that a browser takes up again by itself, where it was."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel

from timeside_api.http.access import Caller, still
from timeside_api.http.looks import look
from timeside_api.http.platform import Platform, platform
from timeside_api.http.problems import Problem, busy
from timeside_api.metrics import STREAMS

SILENCE_S = 15.0
"""After which something is sent, so that nobody in between believes that the connection is dead."""
STOPPING = "timeside_stopping"
"""Of a scope: an event that is set when the process is to end; streams end then, and clients go on elsewhere."""
HEADERS = {"X-Accel-Buffering": "no"}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


def message(event: str, id: int, data: BaseModel) -> bytes:
    """As it is sent; `id` comes back as `Last-Event-ID`."""
    return format_sse_event(event=event, id=str(id), data_str=data.model_dump_json())


def answer(request: Request, caller: Caller, messages: AsyncIterator[bytes]) -> EventSourceResponse:
    """A stream of messages; an empty one means that there is nothing new."""
    open_streams: Counter[UUID] = request.app.state.open_streams
    limit = platform(request).settings.connections
    if open_streams[caller.id] >= limit:
        raise busy(f"{limit} streams are open already", status=429)
    messages = _until(request.scope.get(STOPPING), messages)
    return EventSourceResponse(_counted(open_streams, platform(request), caller, messages), headers=HEADERS)


async def _until(stopping: asyncio.Event | None, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    async for each in messages:
        yield each
        if stopping is not None and stopping.is_set():
            return


async def _counted(
    open_streams: Counter[UUID], parts: Platform, caller: Caller, messages: AsyncIterator[bytes]
) -> AsyncGenerator[bytes]:
    open_streams[caller.id] += 1
    STREAMS.inc()
    try:
        async for each in _kept_alive(parts, caller, messages):
            yield each
    finally:
        STREAMS.dec()
        open_streams[caller.id] -= 1


async def _kept_alive(parts: Platform, caller: Caller, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Until what it is about, or the credential, is not there any more."""
    now = asyncio.get_running_loop().time
    yield KEEPALIVE_COMMENT  # the answer begins at once
    said_at = checked_at = now()
    try:
        async for each in messages:
            if each or now() - said_at > SILENCE_S:
                yield each or KEEPALIVE_COMMENT
                said_at = now()
            if now() - checked_at > parts.settings.stream_recheck_s:
                if not await look(parts, lambda session: still(session, caller)):
                    return
                checked_at = now()
    except Problem:
        return
