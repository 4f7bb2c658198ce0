"""Bytes of an upload on their way into the store: bounded in length and time, written in a thread."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from timeside_api.http.problems import Problem, busy
from timeside_api.http.settings import HttpSettings
from timeside_core.store import Store

Answer = TypeVar("Answer")
Next: TypeAlias = Callable[[], Coroutine[Any, Any, bytes | None]]
"""Gives the next chunk; None at the end."""


class Uploads:
    """Takes uploads in, as many at a time as there are threads."""

    def __init__(self, store: Store, settings: HttpSettings) -> None:
        self._store, self._settings = store, settings
        self._threads = ThreadPoolExecutor(settings.uploads, thread_name_prefix="uploads")
        self._room = settings.uploads

    async def take(self, request: Request) -> tuple[str, int]:
        """SHA-256 and size of the body, which is then in the store."""
        limit = self._settings.max_upload_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large(limit)
        self._begin()
        loop = asyncio.get_running_loop()
        chunks = Chunks(request, self._settings, limit)
        writing = loop.run_in_executor(self._threads, self._store.put_media, pulled(chunks.next, loop))
        writing.add_done_callback(self._ended)
        sha256, size = await asyncio.shield(writing)
        if not size:
            raise Problem(422, "media", "the body is empty")
        return sha256, size

    async def keep(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """SHA-256 and size of bytes that are then in the store; who is cancelled has nothing of them open any more."""
        is_over, reading = False, None

        async def next() -> bytes | None:
            nonlocal reading
            if is_over:
                raise asyncio.CancelledError
            reading = asyncio.current_task()
            return await anext(chunks, None)

        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._threads, self._store.put_media, pulled(next, loop))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            is_over = True
            if reading is not None:
                reading.cancel()
            await asyncio.wait([writing])
            raise

    @contextmanager
    def place(self) -> Generator[None]:
        """One of the uploads at a time; raises a problem where there are too many."""
        self._begin()
        try:
            yield
        finally:
            self._room += 1

    async def in_thread(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Do something that waits for the store."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._room <= 0:
            raise busy(f"{self._settings.uploads} uploads are under way")
        self._room -= 1

    def _ended(self, writing: "asyncio.Future[tuple[str, int]]") -> None:
        self._room += 1
        if not writing.cancelled():
            writing.exception()  # it was told, or who would have been told has gone


class Chunks:
    """Chunks of a body, one at a time; None at its end."""

    def __init__(self, request: Request, settings: HttpSettings, max_bytes: int) -> None:
        self._stream = aiter(request.stream())
        self._settings, self._max_bytes = settings, max_bytes
        self._ends_at = asyncio.get_running_loop().time() + settings.upload_s
        self._size = 0

    async def next(self) -> bytes | None:
        """The next; raises where there are too many, or it does not come."""
        try:
            async with asyncio.timeout_at(self._ends_at), asyncio.timeout(self._settings.upload_silence_s):
                chunk = await anext(self._stream, None)
        except TimeoutError:
            raise Problem(408, "too-slow", "the upload took too long, or stalled") from None
        except ClientDisconnect:
            raise Problem(400, "broken", "the upload broke off") from None
        self._size += len(chunk or b"")
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes)
        return chunk


def pulled(next: Next, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Chunks, until there is none, for a thread."""
    while (chunk := asyncio.run_coroutine_threadsafe(next(), loop).result()) is not None:
        yield chunk


def too_large(max_bytes: int) -> Problem:
    """For who sends more."""
    return Problem(413, "too-large", f"{max_bytes} bytes may be sent at most")
