"""How the I/O process and its children talk: over a socket, a header of JSON, then bytes that nobody copies twice.

Never pickles: what comes out of a child that decoded hostile media is not trusted.
"""

import asyncio
import json
import select
import socket
import struct
from typing import Any, TypeAlias

from timeside_core.errors import PoisonError

Header: TypeAlias = dict[str, Any]

MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 22
"""A message of the bus is at most a quarter of it."""
_LENGTHS = struct.Struct("<II")


def _head(header: Header, payload: "bytes | bytearray | memoryview") -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text


def _lengths(head: memoryview) -> tuple[int, int]:
    header, payload = _LENGTHS.unpack(head)
    if header > MAX_HEADER_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise PoisonError(f"a frame of {header} + {payload} bytes is longer than a child may send")
    return header, payload


class Pipe:
    """The child's end: it blocks."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, header: Header, payload: "bytes | bytearray | memoryview" = b"") -> None:
        """Send a frame; waits while the other end does not read."""
        self._socket.sendall(_head(header, payload))
        if payload:
            self._socket.sendall(payload)

    def receive(self) -> tuple[Header, memoryview] | None:
        """The next frame; None where the other end is gone."""
        if (head := self._exactly(_LENGTHS.size)) is None:
            return None
        header_length, payload_length = _lengths(head)
        header, payload = self._exactly(header_length), self._exactly(payload_length)
        return None if header is None or payload is None else (json.loads(bytes(header)), payload)

    def is_waiting(self) -> bool:
        """Whether there is something to receive."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _exactly(self, count: int) -> memoryview | None:
        buffer = memoryview(bytearray(count))
        filled = 0
        while filled < count:
            if not (received := self._socket.recv_into(buffer[filled:])):
                return None
            filled += received
        return buffer


class AsyncPipe:
    """The I/O process's end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._loop = asyncio.get_running_loop()

    async def send(self, header: Header, payload: "bytes | bytearray | memoryview" = b"") -> None:
        """Send a frame; only one task at a time may."""
        await self._loop.sock_sendall(self._socket, _head(header, payload))
        if payload:
            await self._loop.sock_sendall(self._socket, payload)

    async def receive(self) -> tuple[Header, memoryview] | None:
        """The next frame; None where the other end is gone. Raises `PoisonError` where it is none."""
        try:
            if (head := await self._exactly(_LENGTHS.size)) is None:
                return None
            header_length, payload_length = _lengths(head)
            header, payload = await self._exactly(header_length), await self._exactly(payload_length)
        except ConnectionError:
            return None
        if header is None or payload is None:
            return None
        try:
            decoded: Any = json.loads(bytes(header))
        except ValueError as error:
            raise PoisonError(f"a child sent a header that is no JSON: {error}") from None
        if not isinstance(decoded, dict):
            raise PoisonError(f"a child sent a header that is no object: {decoded!r}")
        return decoded, payload  # pyright: ignore[reportUnknownVariableType]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    async def _exactly(self, count: int) -> memoryview | None:
        buffer = memoryview(bytearray(count))
        filled = 0
        while filled < count:
            if not (received := await self._loop.sock_recv_into(self._socket, buffer[filled:])):
                return None
            filled += received
        return buffer
