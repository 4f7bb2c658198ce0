"""`WS /v1/stream`; its messages are described in `schemas`."""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from timeside_api.http.access import Caller, CallerOf, still
from timeside_api.http.annotations.following import follow
from timeside_api.http.platform import Platform, PlatformOf
from timeside_api.http.problems import Problem
from timeside_api.http.stream.cursor import Cursor
from timeside_api.http.stream.repository import Subject
from timeside_api.http.stream.schemas import CLIENT_MESSAGE, MAX_MESSAGE_BYTES, Ping, Subscribe, Unsubscribe
from timeside_api.http.stream.subscription import Subscription
from timeside_api.metrics import STREAMS

router = APIRouter()

SUBPROTOCOL = "timeside.v1"
_POLICY, _TRY_LATER = 1008, 1013
_log = logging.getLogger(__name__)


class _HangUpError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@router.websocket("/stream", name="stream")
async def stream(socket: WebSocket, caller: CallerOf, parts: PlatformOf) -> None:
    """Serve a client until it goes, or must."""
    open_streams: Counter[UUID] = socket.app.state.open_streams
    if not _is_origin_ours(socket, parts):
        await socket.close(_POLICY, "this origin is not allowed")
        return
    if open_streams[caller.id] >= parts.settings.connections:
        await socket.close(_TRY_LATER, f"{parts.settings.connections} streams are open already")
        return
    open_streams[caller.id] += 1
    STREAMS.inc()
    try:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await _Connection(socket, caller, parts).serve()
    finally:
        STREAMS.dec()
        open_streams[caller.id] -= 1
        if not open_streams[caller.id]:
            del open_streams[caller.id]


def _is_origin_ours(socket: WebSocket, parts: Platform) -> bool:
    """Browsers always tell where a page comes from; other clients need not."""
    origin = socket.headers.get("origin")
    if origin is None or origin in parts.settings.allowed_origins:
        return True
    return urlsplit(origin).netloc == socket.headers.get("host")


class _Connection:
    """A client with its subscriptions."""

    def __init__(self, socket: WebSocket, caller: Caller, parts: Platform) -> None:
        self._socket, self._caller, self._parts = socket, caller, parts
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Until somebody hangs up."""
        duties = [asyncio.create_task(each) for each in (self._listen(), self._watch())]
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except _HangUpError as error:
            await self._close(error.code, error.reason)
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [*duties, *self._subscriptions.values()]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        await self._take(await self._first())
        while True:
            await self._take(await self._receive())

    async def _first(self) -> str:
        try:
            async with asyncio.timeout(self._parts.settings.stream_first_s):
                return await self._receive()
        except TimeoutError:
            raise _HangUpError(_POLICY, "nothing was subscribed to") from None

    async def _receive(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if (text := message.get("text")) is None:
            raise _HangUpError(_POLICY, "messages are text")
        return text

    async def _watch(self) -> None:
        """Hang up on who may not be here any more."""
        while True:
            await asyncio.sleep(self._parts.settings.stream_recheck_s)
            async with self._parts.database.transaction() as session:
                if not await still(session, self._caller):
                    raise _HangUpError(_POLICY, "the credential is not valid any more")

    async def _take(self, text: str) -> None:
        if len(text) > MAX_MESSAGE_BYTES:
            raise _HangUpError(_POLICY, "the message is too long")
        try:
            message = CLIENT_MESSAGE.validate_json(text)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            raise _HangUpError(_POLICY, f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"[:120]) from None
        match message:
            case Ping():
                await self._say({"op": "pong"})
            case Unsubscribe():
                if (task := self._subscriptions.pop(message.id, None)) is not None:
                    task.cancel()
            case Subscribe():
                await self._subscribe(message)

    async def _subscribe(self, message: Subscribe) -> None:
        self._subscriptions = {id: task for id, task in self._subscriptions.items() if not task.done()}
        limit = self._parts.settings.subscriptions
        if message.id in self._subscriptions:
            await self._refuse(message.id, "id", f"subscription {message.id!r} is open already")
        elif len(self._subscriptions) >= limit:
            await self._refuse(message.id, "too-many", f"{limit} subscriptions are open already")
        else:
            self._subscriptions[message.id] = asyncio.create_task(self._guarded(message.id, self._serve(message)))

    async def _serve(self, message: Subscribe) -> None:
        if message.track is not None:
            await self._follow(message.id, message.track, message.since)
            return
        try:
            cursor = Cursor() if message.token is None else Cursor.of(message.token)
        except ValueError as error:
            await self._refuse(message.id, "token", str(error))
            return

        async def say(what: dict[str, Any] | bytes) -> None:
            await self._say(what if isinstance(what, bytes) else {**what, "id": message.id})

        subject = Subject(message.task, message.result, message.live)
        await Subscription(self._parts, self._caller, subject, cursor, say).run()

    async def _follow(self, id: str, track_id: UUID, since: int | None) -> None:
        is_ready = False
        async for look in follow(self._parts, self._caller, track_id, since):
            if not is_ready:
                await self._say({"op": "snapshot", "id": id, "track": look.track.model_dump(mode="json")})
                await self._say({"op": "ready", "id": id})
                is_ready = True
            if look.changes:
                changes = [each.model_dump(mode="json") for each in look.changes]
                await self._say({"op": "changes", "id": id, "changes": changes, "revision": changes[-1]["revision"]})

    async def _guarded(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Problem as problem:
            await self._refuse(id, problem.code, problem.detail)
        except _HangUpError as error:
            await self._close(error.code, error.reason)
        except WebSocketDisconnect:
            return
        except Exception:
            _log.exception("a subscription failed")
            await self._refuse(id, "internal", "this is our mistake; subscribe again with the last token")

    async def _refuse(self, id: str, code: str, detail: str) -> None:
        await self._say({"op": "error", "id": id, "code": code, "detail": detail})

    async def _say(self, what: dict[str, Any] | bytes) -> None:
        """Send a message, and wait until the client has room for it: that is what bounds what is held for it."""
        try:
            async with asyncio.timeout(self._parts.settings.stream_send_s), self._sending:
                if isinstance(what, bytes):
                    await self._socket.send_bytes(what)
                else:
                    await self._socket.send_text(json.dumps(what, allow_nan=False))
        except TimeoutError:
            raise _HangUpError(_TRY_LATER, "the client reads too slowly") from None

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.client_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._socket.close(code, reason)
