"""What a stream says of a task or a result, to its end, however often the connection breaks."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from timeside.client.connection import Connection
from timeside.client.errors import ApiError, UnreachableError
from timeside_core.messages import PartialRows

SUBPROTOCOL = "timeside.v1"
RETRY_S = 0.5
PATIENCE_S = 60.0
"""How long a server may be away before it is given up."""

Answer = TypeVar("Answer")
Heard: TypeAlias = dict[str, Any] | PartialRows


async def surely(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is asked for, asked again while the server is away."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + PATIENCE_S
    while True:
        try:
            return await ask()
        except UnreachableError:
            if loop.time() > ends_at:
                raise
        await asyncio.sleep(RETRY_S)


async def follow(connection: Connection, **subject: str) -> AsyncGenerator[Heard]:
    """Messages about `task=…` or `result=…`; goes on by the last token after a break, so that some may come twice.

    Raises `ApiError` where there is no (or no more) subscription, `UnreachableError` when nobody has answered for long.
    """
    loop = asyncio.get_running_loop()
    token: str | None = None
    heard_at = loop.time()
    while True:
        try:
            async with aclosing(_once(connection, {**subject, "token": token})) as messages:
                async for message in messages:
                    heard_at = loop.time()
                    if isinstance(message, dict) and message["op"] == "token":
                        token = message["token"]
                        continue
                    yield message
                    if isinstance(message, dict) and message["op"] == "end":
                        return
        except (UnreachableError, WebSocketException, OSError, TimeoutError) as error:
            if loop.time() - heard_at > PATIENCE_S:
                raise UnreachableError(f"{connection.url} has not answered for {PATIENCE_S:g} s: {error}") from error
        await asyncio.sleep(RETRY_S)


async def _once(connection: Connection, subject: dict[str, Any]) -> AsyncGenerator[Heard]:
    """Messages of one connection, as long as it lasts."""
    ticket = (await connection.post("/v1/stream-tickets"))["ticket"]
    url = f"{connection.url.replace('http', 'ws', 1)}/v1/stream?ticket={ticket}"
    try:
        async with connect(url, subprotocols=[SUBPROTOCOL], max_size=None) as socket:  # pyright: ignore[reportArgumentType]
            await socket.send(json.dumps({"op": "subscribe", "id": "a", **subject}))
            async for message in socket:
                if isinstance(message, bytes):
                    yield PartialRows.decode(memoryview(message))
                    continue
                said: dict[str, Any] = json.loads(message)
                if said["op"] == "error":
                    if said["code"] == "internal":
                        return
                    raise ApiError(0, said["code"], said["detail"])
                yield said
    except InvalidHandshake as error:
        raise UnreachableError(f"{connection.url} opens no stream: {error}") from error
