"""The server: uvicorn, but for its handling of signals, under sockets of our own."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from timeside_api.http.sse import STOPPING
from timeside_api.http.stream.schemas import MAX_MESSAGE_BYTES
from timeside_core.errors import TimesideError

BACKLOG = 1024
MAX_CONNECTIONS = 2048
"""Of this process, streams among them; more are answered with 503."""
CLOSE_S = 5
"""How long open requests and streams may take to end."""


class ListenError(TimesideError):
    """An address that cannot be listened on."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them to the process: uvicorn would raise them again, and end it before the others have drained."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket; port 0 picks a free one. Raises `ListenError`.

    Its connections inherit that what is written leaves at once: asyncio sees to that only of sockets that name their
    protocol, and an answer of two parts would wait some 40 ms for the acknowledgement of the first.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ListenError(f"{host}:{port} cannot be listened on: {error}") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def serve(app: ASGIApp, listening: socket.socket, stop: asyncio.Event) -> None:
    """Until told to stop."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, STOPPING: stop}, receive, send)

    config = uvicorn.Config(
        told,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=CLOSE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        serving.cancel()
        await asyncio.gather(serving, stopping, return_exceptions=True)
