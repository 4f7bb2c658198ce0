"""What an encoder makes right now, from the bus into a file, for any number of clients, each at its own pace.

A relay reads the bus once, and holds all of it until the transcode is kept: who comes late begins at the first byte,
who is slow delays nobody, and no client costs more memory than the piece that it is being sent. What the bus has
dropped before it was read is not to be had any more; clients then go on with the file that is kept, which has the same
bytes but for lengths in its header that only the end tells.

A run that is handed out again encodes the same once more. Those bytes are compared with what was sent already; where
they differ, the relay breaks off.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from timeside_api.database import Database
from timeside_api.http.demand.settling import Settling
from timeside_api.http.problems import busy
from timeside_api.http.settings import HttpSettings
from timeside_api.models import Result, ResultState, Run
from timeside_core import topics
from timeside_core.bus import Bus, Edge, OffsetOutOfRangeError, Partition, Reader, Record, partition_for
from timeside_core.errors import BusError, PoisonError
from timeside_core.messages import EncodedChunk, decode

CLOCKS_DIFFER = timedelta(seconds=5)
"""Between PostgreSQL, brokers and us."""
POLL_S = 0.5
RETRY_S = 1.0
RECORDS = 16
"""Read at once: up to 256 KiB each."""
_log = logging.getLogger(__name__)


class End(Enum):
    """How a relay ended."""

    WHOLE = "whole"
    """All that was encoded is there."""
    LOST = "lost"
    """Some of it was not to be had: the rest is in the file that is kept, or will be."""
    BROKEN = "broken"
    """There will be no such file."""


class _Encoding(NamedTuple):
    """An attempt that encodes, and which of its processors is ours."""

    attempt: int
    processor: int


class Relay:
    """Of one result that is not settled yet."""

    def __init__(
        self, bus: Bus, database: Database, settling: Settling, settings: HttpSettings, writer: Executor, folder: Path
    ) -> None:
        self._bus, self._database, self._settling, self._settings = bus, database, settling, settings
        self._writer = writer
        folder.mkdir(parents=True, exist_ok=True)
        self._file, name = tempfile.mkstemp(dir=folder, prefix="relay-")
        os.unlink(name)  # it is gone with us, however we end
        self._changed = asyncio.Event()
        self._encoding: _Encoding | None = None
        self._next_seq = self._position = 0
        """Of the chunk that follows, and where its bytes belong."""
        self._sent, self._again = hashlib.sha256(), hashlib.sha256()
        """Of all bytes, and of those that have come again."""
        self.size = 0
        """Bytes that are there."""
        self.end: End | None = None
        self.clients = 0

    async def run(self, result: Result) -> None:
        """Follow it until it is settled."""
        settled = asyncio.create_task(self._settling.wait([result.id]))
        try:
            await self._follow(result, settled)
            await settled
            if self.end is None or (self.end is End.LOST and await self._state(result.id) is not ResultState.DONE):
                self._finish(End.BROKEN)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("the relay of result %s failed", result.id)
            self._finish(End.LOST)
        finally:
            settled.cancel()
            if self.end is None:
                self._finish(End.BROKEN)

    async def read(self, start: int, most: int) -> bytes:
        """Bytes from there on, waiting for the first of them; none where there will be no more: `end` tells why."""
        while self.size <= start and self.end is None:
            await self._changed.wait()
        length = min(most, self.size - start)
        if length <= 0:
            return b""
        return await asyncio.get_running_loop().run_in_executor(self._writer, os.pread, self._file, length, start)

    def close(self) -> None:
        """Drop the file."""
        os.close(self._file)

    async def _follow(self, result: Result, settled: "asyncio.Task[bool]") -> None:
        async with self._bus.reader() as reader:
            partition = await self._attach(reader, result.run_id)
            while self.end is None and not settled.done():
                await self._batch(reader, result)
            stop = (await self._bus.bounds([partition]))[partition].next
            while self.end is None and reader.positions[partition] < stop:
                await self._batch(reader, result)
        if self.end is None and await self._state(result.id) is ResultState.DONE:
            self._finish(End.LOST)

    async def _attach(self, reader: Reader, run_id: UUID) -> Partition:
        """Read the partition of the run, from where its present attempt may begin."""
        count = await self._bus.partition_count(topics.ENCODED)
        partition = Partition(topics.ENCODED, partition_for(run_id.bytes, count))
        now = datetime.now(UTC)
        async with self._database.transaction() as session:
            run = await session.get_one(Run, run_id)
        since_ms = int((min(run.dispatched_at or now, now) - CLOCKS_DIFFER).timestamp() * 1000)
        bounds = (await self._bus.bounds([partition]))[partition]  # before the search: what comes in between is read
        found = (await self._bus.offsets_for_times({partition: since_ms}))[partition]
        begin: dict[Partition, int | Edge] = {partition: bounds.next if found is None else found}
        await reader.assign(begin)
        return partition

    async def _batch(self, reader: Reader, result: Result) -> None:
        try:
            found = await reader.getmany(timeout_s=POLL_S, max_records=RECORDS)
        except OffsetOutOfRangeError as error:
            reader.seek(error.partition, error.bounds.first)  # whether any of it was ours, the next chunk tells
            return
        except BusError as error:
            _log.warning("a relay waits: %s", error)
            await asyncio.sleep(RETRY_S)
            return
        for record in (each for records in found.values() for each in records):
            if record.key == result.run_id.bytes and self.end is None:
                await self._take(record, result)

    async def _take(self, record: Record, result: Result) -> None:
        try:
            chunk = decode(record.partition.topic, record.value)
        except PoisonError as error:
            _log.warning("poison at %s %d: %s", record.partition, record.offset, error)
            return
        if not isinstance(chunk, EncodedChunk) or not await self._is_ours(chunk, result):
            return
        if chunk.begins:  # of a new attempt, or of one that is replayed
            self._next_seq = self._position = 0
            self._again = hashlib.sha256()
        if chunk.seq < self._next_seq:
            return
        if chunk.seq > self._next_seq:
            self._finish(End.LOST)
            return
        self._next_seq += 1
        await self._keep(bytes(chunk.data))
        if chunk.ends and self.end is None:
            self._finish(End.WHOLE if self._position == self.size else End.BROKEN)

    async def _is_ours(self, chunk: EncodedChunk, result: Result) -> bool:
        """Whether it is of our result, and of the run's present attempt."""
        if self._encoding is None or self._encoding.attempt != chunk.attempt:
            async with self._database.transaction() as session:
                run = await session.get_one(Run, result.run_id)
            if run.attempt != chunk.attempt or result.id not in run.planned:
                return False
            self._encoding = _Encoding(run.attempt, run.planned.index(result.id))
        return chunk.processor == self._encoding.processor

    async def _keep(self, data: bytes) -> None:
        """Write what is new; compare what has come again."""
        again = data[: max(0, self.size - self._position)]
        self._position += len(data)
        if again:
            self._again.update(again)
            if self._position >= self.size and self._again.digest() != self._sent.digest():
                _log.error("what is encoded again differs from what was sent")
                self._finish(End.BROKEN)
                return
        if not (new := data[len(again) :]):
            return
        if self.size + len(new) > self._settings.relay_bytes:
            self._finish(End.LOST)
            return
        await asyncio.get_running_loop().run_in_executor(self._writer, _write, self._file, new, self.size)
        self._sent.update(new)
        self.size += len(new)
        self._tell()

    async def _state(self, result_id: UUID) -> ResultState:
        async with self._database.transaction() as session:
            return (await session.get_one(Result, result_id)).state

    def _finish(self, end: End) -> None:
        self.end = end
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Relays:
    """Those of this process, each shared by all clients of its result."""

    def __init__(
        self, bus: Bus, database: Database, settling: Settling, settings: HttpSettings, writer: Executor, folder: Path
    ) -> None:
        self._parts = bus, database, settling, settings, writer, folder
        self._settings = settings
        self._open: dict[UUID, tuple[Relay, asyncio.Task[None]]] = {}

    def join(self, result: Result) -> Relay:
        """The relay of a result that is pending, until `leave`; raises a problem where there are too many."""
        if result.id not in self._open:
            if len(self._open) >= self._settings.relays:
                raise busy(f"{self._settings.relays} transcodes are being sent while they are made")
            relay = Relay(*self._parts)
            task = asyncio.create_task(relay.run(result))
            self._open[result.id] = relay, task
            task.add_done_callback(lambda _: self._ended(result.id))
        relay, _ = self._open[result.id]
        relay.clients += 1
        return relay

    def leave(self, relay: Relay) -> None:
        """A client has gone; the relay goes on until its result is settled."""
        relay.clients -= 1
        if not relay.clients and all(relay is not each for each, _ in self._open.values()):
            relay.close()

    async def close(self) -> None:
        """End all of them."""
        tasks: Sequence[asyncio.Task[None]] = [task for _, task in self._open.values()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, result_id: UUID) -> None:
        relay, _ = self._open.pop(result_id)
        if not relay.clients:
            relay.close()


def _write(descriptor: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written
