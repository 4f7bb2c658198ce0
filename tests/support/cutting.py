"""A server between a client and another that hangs up, again and again, in the middle of what is said."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass
class Cutter:
    """What it has done."""

    port: int
    cuts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def cutting(url: str, *, after_bytes: int, times: int) -> AsyncGenerator[Cutter]:
    """Hang up on a client once it was sent so many bytes over a connection, as many times; then no more."""
    host, port = url.removeprefix("http://").split(":")
    cutter = Cutter(0)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        there, there_writer = await asyncio.open_connection(host, int(port))
        ways = [
            asyncio.create_task(each) for each in (_pump(reader, there_writer, None), _pump(there, writer, after_bytes))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            there_writer.transport.abort()
            serving.discard(task)

    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        sent = 0
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 14):
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
                if limit is not None and sent > limit and cutter.cuts < times:
                    cutter.cuts += 1
                    return

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        cutter.port = server.sockets[0].getsockname()[1]
        yield cutter
        for each in tuple(serving):
            each.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
