"""HTTP servers on loopback that do as a test says, byte by byte, and keep count of who came."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer to a request, of which it is given the path."""


@dataclass
class Server:
    """What a server has seen."""

    port: int = 0
    connections: int = 0
    requests: list[str] = field(default_factory=list[str])
    """Request lines and headers."""

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """URL of something on it."""
        return f"http://{host}:{self.port}{path}"


def head(status: int = 200, **headers: str) -> bytes:
    """A status line and headers; `content_type` is Content-Type."""
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def body(content: bytes, **headers: str) -> Answer:
    """Always the same sound answer."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_length=str(len(content)), **headers) + content)

    return answer


def raw(*pieces: bytes) -> Answer:
    """Always the same bytes, sound or not."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


def redirect(location: Callable[[str], str], status: int = 302) -> Answer:
    """Redirects from each path to a place."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, location=location(path), set_cookie="id=1", content_length="0"))

    return answer


@asynccontextmanager
async def serving(
    answer: Answer, *hosts: str, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server on loopback addresses, 127.0.0.1 unless told, all on one port."""
    seen = Server(port)
    open: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        open.add(asyncio.current_task())
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            seen.requests.append(request)
            await answer(request.split()[1], writer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    async with AsyncExitStack() as stack:
        for host in hosts or ("127.0.0.1",):
            server = await stack.enter_async_context(await asyncio.start_server(serve, host, seen.port, ssl=tls))
            seen.port = server.sockets[0].getsockname()[1]
        yield seen
        for task in filter(None, open):
            task.cancel()
        await asyncio.gather(*filter(None, open), return_exceptions=True)
