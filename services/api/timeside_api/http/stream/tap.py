"""One reading of the bus for all subscriptions of a process, with a memory of what came last.

A subscription reads at its own pace. What it wants next it gets from memory, as long as that is there; who reads more
slowly, or begins earlier, is served from the bus again, by a few readers that nobody holds meanwhile: so a slow client
costs its own time only. A partition is read from where the first who asks wants to begin, and left once nobody has
wanted it for a while.
"""

import asyncio
import contextlib
import logging
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

from timeside_core.bus import Bus, OffsetOutOfRangeError, Partition, Reader, Record
from timeside_core.messages import decode

TURN_S = 1.0
"""How long the bus is waited for at a time."""
RECORDS = 500
"""Read from the bus at once."""
AGAIN = 128
"""Read at once for who is behind, and held for them: about half a MiB."""
IDLE_S = 30.0
"""A partition that nobody has wanted for so long is read no more."""
RETRY_S = 1.0
_log = logging.getLogger(__name__)


class Heard:
    """A record, decoded once for all who want it."""

    BYTES = 1024
    """What it takes beside its value."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @cached_property
    def message(self) -> Any:
        """What it says; raises `PoisonError`."""
        return decode(self.record.partition.topic, self.record.value)

    @property
    def size(self) -> int:
        """Bytes; its message may take as many again."""
        return 2 * len(self.record.value) + self.BYTES


class _Log:
    """What came last of a partition: all there is from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.heard: deque[Heard] = deque()
        self.bytes = 0
        self.readings: set[Reading] = set()
        self.left_at = 0.0
        """When the last who wanted it went."""

    @property
    def next(self) -> int:
        return self.heard[-1].record.offset + 1 if self.heard else self.first

    def append(self, heard: Heard) -> None:
        self.heard.append(heard)
        self.bytes += heard.size

    def drop(self) -> None:
        """Forget the oldest."""
        heard = self.heard.popleft()
        self.first = heard.record.offset + 1
        self.bytes -= heard.size

    def begin_again(self, first: int) -> None:
        """Forget all: what was before is not to be had any more."""
        self.heard.clear()
        self.first, self.bytes = first, 0

    def read(self, offset: int, at_most: int) -> list[Heard]:
        if offset >= self.next:
            return []
        begin = bisect_left(self.heard, offset, key=lambda heard: heard.record.offset)
        return [self.heard[i] for i in range(begin, min(len(self.heard), begin + at_most))]

    def wake(self) -> None:
        for reading in self.readings:
            reading.wakeup.set()


class Tap:
    """Reads for all, from when the first wants something."""

    def __init__(self, bus: Bus, *, memory_bytes: int, readers: int, looks: int = 1) -> None:
        self.looks = asyncio.Semaphore(looks)
        """Of its readings at the database: all at once would leave nothing to others."""
        self._bus, self._memory_bytes = bus, memory_bytes
        self._logs: dict[Partition, _Log] = {}
        self._reading: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[dict[Partition, list[Record]]] | None = None
        self._slots = asyncio.Semaphore(readers)
        self._spare: list[Reader] = []

    @contextmanager
    def reading(self) -> "Generator[Reading]":
        """For one subscription."""
        reading = Reading(self)
        try:
            yield reading
        finally:
            for partition in reading.positions:
                self._leave(partition, reading)

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        for reader in self._spare:
            await reader.close()

    def join(self, partition: Partition, offset: int, reading: "Reading") -> None:
        """Read a partition for it too; from that offset on, if nobody else wants it yet."""
        log = self._logs.get(partition)
        if log is None:
            log = self._logs[partition] = _Log(offset)
            self._change()
        log.readings.add(reading)

    def remembered(self, partition: Partition, offset: int, at_most: int) -> list[Heard] | None:
        """Records from an offset on; None where they are not in memory."""
        log = self._logs[partition]
        return log.read(offset, at_most) if offset >= log.first else None

    async def again(self, partition: Partition, offset: int) -> list[Heard]:
        """Records from an offset on that are not in memory; raises `OffsetOutOfRangeError`."""
        async with self._borrowed() as reader:
            await reader.assign({partition: offset})
            found = await reader.getmany(timeout_s=TURN_S, max_records=AGAIN)
            await reader.assign({})
        return [Heard(record) for record in found.get(partition, ())]

    @asynccontextmanager
    async def _borrowed(self) -> AsyncGenerator[Reader]:
        async with self._slots:
            reader = self._spare.pop() if self._spare else await self._started()
            try:
                yield reader
            except BaseException:
                await reader.close()
                raise
            self._spare.append(reader)

    async def _started(self) -> Reader:
        reader = self._bus.reader()
        await reader.start()
        return reader

    def _leave(self, partition: Partition, reading: "Reading") -> None:
        log = self._logs[partition]
        log.readings.discard(reading)
        log.left_at = asyncio.get_running_loop().time()

    def _change(self) -> None:
        """Have it be looked again which partitions are wanted."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        elif self._fetching is not None:
            self._fetching.cancel()  # nothing is lost: each partition is read on from what is in memory

    async def _read(self) -> None:
        """As long as the process lasts."""
        while True:
            try:
                async with self._bus.reader() as reader:
                    while True:
                        await self._turn(reader)
            except Exception as error:
                _log.warning("streams wait: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _turn(self, reader: Reader) -> None:
        self._forget()
        if reader.positions.keys() != self._logs.keys():
            await reader.assign({partition: log.next for partition, log in self._logs.items()})
        self._fetching = asyncio.create_task(reader.getmany(timeout_s=TURN_S, max_records=RECORDS))
        if reader.positions.keys() != self._logs.keys():  # wanted while it was assigned
            self._fetching.cancel()
        try:
            await asyncio.wait([self._fetching])
            if not self._fetching.cancelled():
                self._keep(self._fetching.result())
        except OffsetOutOfRangeError as error:  # who wants what is gone asks the bus again, and is told
            self._logs[error.partition].begin_again(error.bounds.first)
            self._logs[error.partition].wake()
            reader.seek(error.partition, error.bounds.first)
        finally:
            self._fetching.cancel()
            self._fetching = None

    def _keep(self, found: Mapping[Partition, list[Record]]) -> None:
        for partition, records in found.items():
            log = self._logs[partition]
            for record in records:
                log.append(Heard(record))
            log.wake()
        total = sum(log.bytes for log in self._logs.values())
        while total > self._memory_bytes:
            largest = max(self._logs.values(), key=lambda log: log.bytes)
            before = largest.bytes
            largest.drop()
            total -= before - largest.bytes

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        self._logs = {
            partition: log
            for partition, log in self._logs.items()
            if log.readings or not log.left_at or now - log.left_at < IDLE_S
        }


class Reading:
    """What one subscription reads, at its own pace."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._positions: dict[Partition, int] = {}
        self._ahead: dict[Partition, deque[Heard]] = {}
        """Read from the bus again, and not handed out yet."""
        self.wakeup = asyncio.Event()

    @property
    def positions(self) -> Mapping[Partition, int]:
        """Partitions that are read, with the offset of the next record handed out of each."""
        return MappingProxyType(self._positions)

    def follow(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions too; those that are read already go on where they are."""
        for partition, offset in positions.items():
            if partition not in self._positions:
                self._tap.join(partition, offset, self)
                self._positions[partition] = offset

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on from there."""
        self._positions[partition] = offset
        self._ahead.pop(partition, None)

    async def next(self, *, timeout_s: float, at_most: int) -> list[Heard]:
        """The next records, waiting for the first of them; as many of each partition, in the order of partitions.

        Raises `OffsetOutOfRangeError` where the bus has dropped what comes next, until one seeks.
        """
        await asyncio.sleep(0)  # others run too, however much there is to read
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    self.wakeup.clear()
                    await self._catch_up()
                    if taken := self._take(at_most):
                        return taken
                    await self.wakeup.wait()
        return []

    async def _catch_up(self) -> None:
        """Read again what is wanted and no longer in memory; what comes of it is handed out later, so none is lost."""
        for partition, offset in self._positions.items():
            if not self._ahead.get(partition) and self._tap.remembered(partition, offset, at_most=1) is None:
                self._ahead[partition] = deque(await self._tap.again(partition, offset))

    def _take(self, at_most: int) -> list[Heard]:
        taken: list[Heard] = []
        for partition in sorted(self._positions):
            heard = self._of(partition, max(1, at_most // len(self._positions)))
            if heard:
                self._positions[partition] = heard[-1].record.offset + 1
                taken += heard
        return taken

    def _of(self, partition: Partition, at_most: int) -> list[Heard]:
        if ahead := self._ahead.get(partition):
            return [ahead.popleft() for _ in range(min(at_most, len(ahead)))]
        return self._tap.remembered(partition, self._positions[partition], at_most) or []
