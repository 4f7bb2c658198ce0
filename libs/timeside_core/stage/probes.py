"""Probes and metrics over HTTP: `/livez`, `/readyz`, `/metrics`; a few dozen lines, as a worker serves nothing else."""

import asyncio
import contextlib
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

MAX_REQUEST_BYTES = 8192
PATIENCE_S = 5.0
"""For a request to be said; who says nothing is hung up on."""


class Probes:
    """Answers whether the process lives, whether it is ready, and what it counted."""

    def __init__(self, host: str, port: int, *, is_alive: Callable[[], bool], is_ready: Callable[[], bool]) -> None:
        self._host, self._port = host, port
        self._is_alive, self._is_ready = is_alive, is_ready

    async def __aenter__(self) -> "Probes":
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=MAX_REQUEST_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request))
                await writer.drain()
        writer.close()

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"GET only\n")
        if path == b"/metrics":
            return _response("200 OK", generate_latest(), CONTENT_TYPE_LATEST)
        probe = {b"/livez": self._is_alive, b"/readyz": self._is_ready}.get(path)
        if probe is None:
            return _response("404 Not Found", b"there are /livez, /readyz and /metrics\n")
        return _response("200 OK", b"ok\n") if probe() else _response("503 Service Unavailable", b"not now\n")


def _response(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
