"""Bytes of a URL, through the guarded fetcher: its event loop runs in a thread, as decoding waits for bytes."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from timeside_core.errors import FetchError
from timeside_core.fetch import LIVE_FETCH, Fetcher, FetchSettings
from timeside_decoder.bytesource import TICK_S

_CHUNKS = 16
"""Chunks of up to 64 KiB that wait to be decoded: 1 MiB, a minute of 128 kbit/s; then the server waits."""

_Came: TypeAlias = bytes | OSError
"""A chunk, nothing at the end, or why there is no more."""


class Fetched:
    """The body of an answer, as it comes."""

    def __init__(self, url: str, settings: FetchSettings = LIVE_FETCH, *, may_end: bool = False) -> None:
        """With `may_end`, an answer of unknown length is whole when it ends; without, it broke off."""
        self._url, self._settings, self._may_end = url, settings, may_end
        self._queue: queue.SimpleQueue[_Came] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_CHUNKS)
        self._chunk = b""
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="fetch", daemon=True)
        self._thread.start()
        self._started.wait()

    def read(self, size: int, /) -> bytes | None:
        """What came."""
        if not self._chunk:
            try:
                came = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                return None
            self._in_loop(self._room.release)
            if isinstance(came, OSError):
                raise came
            self._chunk = came
        taken, self._chunk = self._chunk[:size], self._chunk[size:]
        return taken

    def close(self) -> None:
        """Hang up."""
        self._in_loop(self._fetching.cancel)
        self._thread.join()

    def _in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has come to its end
            self._loop.call_soon_threadsafe(call)

    async def _run(self) -> None:
        self._loop, self._fetching = asyncio.get_running_loop(), asyncio.ensure_future(self._fetch())
        self._started.set()
        with contextlib.suppress(asyncio.CancelledError):
            self._queue.put(await self._fetching)

    async def _fetch(self) -> _Came:
        """Hand on all chunks; return what ended them."""
        try:
            async with Fetcher(self._settings) as fetcher, fetcher.open(self._url) as body:
                async for chunk in body:
                    await self._room.acquire()
                    self._queue.put(chunk)
        except FetchError as error:
            return ConnectionError(str(error))
        whole = body.length is not None or self._may_end
        return b"" if whole else ConnectionError("the server ended the stream")
