"""The bus within one process: for the embedded platform, the fused worker and tests; same meaning as over Kafka.

Nothing is copied. By default a partition keeps `max_partition_bytes`: records that every group has read make room for
new ones, and a sender waits while there is no room; where no group reads, the oldest go. So what a group has read
cannot always be read again: its members must not count on replay beyond that, and are told loudly.

It is deterministic: partitions are dealt out in turn to members in order of joining, rebalances happen at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from timeside_core.bus import (
    Bounds,
    Bus,
    BusSettings,
    Consumer,
    Edge,
    Headers,
    OffsetOutOfRangeError,
    Partition,
    PartitionsCallback,
    Position,
    Reader,
    Record,
    Topic,
    Value,
    number_for,
)
from timeside_core.errors import BusError, MessageSizeError, MissingTopicError, StaleMemberError

_NO_HEADERS: Headers = MappingProxyType({})


class _Log:
    """The records of one partition."""

    def __init__(self, partition: Partition, max_bytes: int | None) -> None:
        self.partition = partition
        self.max_bytes = max_bytes
        self.records: deque[Record] = deque()
        self.first = 0
        self.bytes = 0
        self.sources: set[_Source] = set()
        """Who reads it now, and is woken by a record."""
        self.room = asyncio.Event()
        """Set when a group has read on."""

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.first, self.first + len(self.records))

    def fits(self, size: int) -> bool:
        return self.max_bytes is None or not self.records or self.bytes + size <= self.max_bytes

    def append(self, record: Record) -> None:
        self.records.append(record)
        self.bytes += len(record.value)
        for source in self.sources:
            source.wakeup.set()

    def read(self, offset: int, max_records: int) -> list[Record]:
        start = offset - self.first
        return [self.records[i] for i in range(start, min(len(self.records), start + max_records))]

    def drop_before(self, offset: int) -> None:
        while self.records and self.first < offset:
            self.bytes -= len(self.records.popleft().value)
            self.first += 1


class _Group:
    """Members that share the partitions of their topics."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[MemoryConsumer] = []
        self.offsets: dict[Partition, int] = {}
        self.rebalancing = asyncio.Lock()

    def shares(self, counts: Mapping[str, int]) -> "dict[MemoryConsumer, list[Partition]]":
        """Each topic's partitions in turn to the members that read it, in order of joining."""
        shares: dict[MemoryConsumer, list[Partition]] = {member: [] for member in self.members}
        for topic in sorted({topic for member in self.members for topic in member.topics}):
            readers = [member for member in self.members if topic in member.topics]
            for number in range(counts[topic]):
                shares[readers[number % len(readers)]].append(Partition(topic, number))
        return shares


class MemoryBus(Bus):
    """Topics in the memory of this process."""

    def __init__(self, topics: Iterable[Topic] = (), *, settings: BusSettings | None = None) -> None:
        self._settings = settings or BusSettings()
        self._counts: dict[str, int] = {}
        self._logs: dict[Partition, _Log] = {}
        self._groups: dict[str, _Group] = {}
        self._rebalances: set[asyncio.Task[None]] = set()
        self._closed = False
        for topic in topics:
            self.add(topic)

    def add(self, topic: Topic) -> None:
        """Declare a topic; one that is there already stays as it is."""
        if topic.name in self._counts:
            return
        self._counts[topic.name] = topic.partitions
        for number in range(topic.partitions):
            partition = Partition(topic.name, number)
            self._logs[partition] = _Log(partition, self._settings.max_partition_bytes)

    async def start(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """Refuse everything from now on, also to those that wait for room or for records."""
        self._closed = True
        for log in self._logs.values():
            log.room.set()
            for source in log.sources:
                source.wakeup.set()

    async def check(self, *topics: str) -> None:
        if missing := [topic for topic in topics if topic not in self._counts]:
            raise MissingTopicError(f"the memory bus has no topics {', '.join(missing)}")

    async def partition_count(self, topic: str) -> int:
        await self.check(topic)
        return self._counts[topic]

    async def send(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[Position]:
        view = memoryview(value).toreadonly().cast("B")
        if len(view) > self._settings.max_message_bytes:
            raise MessageSizeError(
                f"a message of {len(view)} bytes for {topic!r} is longer than {self._settings.max_message_bytes} bytes"
            )
        number = number_for(topic, await self.partition_count(topic), key=key, partition=partition)
        log = self._logs[Partition(topic, number)]
        while not self._make_room(log, len(view)):
            log.room.clear()
            await log.room.wait()
        offset, now_ms = log.bounds.next, time.time_ns() // 1_000_000
        frozen = MappingProxyType(dict(headers)) if headers else _NO_HEADERS
        log.append(Record(log.partition, offset, now_ms, key, view, frozen))
        sent: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        sent.set_result(Position(log.partition, offset))
        return sent

    async def flush(self) -> None:
        """Nothing is ever on its way."""

    def consumer(
        self,
        *topics: str,
        group: str,
        start: Edge = "first",
        on_revoked: PartitionsCallback | None = None,
        on_assigned: PartitionsCallback | None = None,
    ) -> "MemoryConsumer":
        joined = self._groups.setdefault(group, _Group(group))
        return MemoryConsumer(self, topics, joined, start, on_revoked or _nothing, on_assigned or _nothing)

    def reader(self) -> "MemoryReader":
        return MemoryReader(self)

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        return {partition: self.log(partition).bounds for partition in partitions}

    async def offsets_for_times(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int | None]:
        return {
            partition: next((each.offset for each in self.log(partition).records if each.timestamp_ms >= time_ms), None)
            for partition, time_ms in times_ms.items()
        }

    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        offsets = self._groups[group].offsets if group in self._groups else {}
        return {partition: offsets[partition] for partition in partitions if partition in offsets}

    async def trim(self, before: Mapping[Partition, int]) -> None:
        for partition, offset in before.items():
            log = self.log(partition)
            log.drop_before(offset)
            log.room.set()

    async def evict(self, consumer: "MemoryConsumer") -> None:
        """Treat a member as dead, as a broker does when it hears nothing of it: others get its partitions.

        It does not know, and goes on with what it has; its commits are refused. Should it ask for records again, it
        joins anew.
        """
        await self.leave(consumer)

    # What readers and consumers need of it.

    def log(self, partition: Partition) -> _Log:
        """The records of a partition; raises `MissingTopicError`."""
        if (log := self._logs.get(partition)) is None:
            raise MissingTopicError(f"the memory bus has no partition {partition}")
        return log

    async def join(self, consumer: "MemoryConsumer") -> None:
        """Make it a member of its group, unless it is one."""
        await self.check(*consumer.topics)
        await self._rebalance(consumer, [consumer])

    async def leave(self, consumer: "MemoryConsumer") -> None:
        """Make it a member no more."""
        await self._rebalance(consumer, [])

    async def _rebalance(self, changed: "MemoryConsumer", put: "list[MemoryConsumer]") -> None:
        """Put or drop a member; once begun it goes on to the end, though its caller be cancelled."""
        task = asyncio.create_task(self._rebalance_to_the_end(changed, put))
        self._rebalances.add(task)
        task.add_done_callback(self._rebalances.discard)
        await asyncio.shield(task)

    async def _rebalance_to_the_end(self, changed: "MemoryConsumer", put: "list[MemoryConsumer]") -> None:
        group = changed.group
        async with group.rebalancing:
            stay = [member for member in group.members if member is not changed]
            if len(stay) + len(put) == len(group.members):
                return  # it was there already, or gone
            group.members = stay + put
            for member in stay:
                await member.revoke()
            for member, share in group.shares(self._counts).items():
                await member.begin(share)
            for log in self._logs.values():
                log.room.set()

    def check_open(self) -> None:
        """Raise `BusError` once closed."""
        if self._closed:
            raise BusError("the memory bus is closed")

    def _make_room(self, log: _Log, size: int) -> bool:
        """Drop the oldest records that no group has yet to read, until so many bytes fit; whether they do."""
        self.check_open()
        unread = log.bounds.next if log.fits(size) else self._unread(log)
        while not log.fits(size) and log.first < unread:
            log.drop_before(log.first + 1)
        return log.fits(size)

    def _unread(self, log: _Log) -> int:
        """The oldest offset that a group with members has yet to read."""
        unread = log.bounds.next
        for group in self._groups.values():
            if any(log.partition.topic in member.topics for member in group.members):
                held = [m.positions[log.partition] for m in group.members if log.partition in m.positions]
                unread = min(unread, *(held or [group.offsets.get(log.partition, log.first)]))
        return unread


class _Source(Reader):
    """What readers and consumers have in common: partitions, where they are in each, and how they wait."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._positions: dict[Partition, int] = {}
        self._lost: set[Partition] = set()
        """Partitions whose records were dropped before their group had ever committed."""
        self.wakeup = asyncio.Event()

    @property
    def positions(self) -> Mapping[Partition, int]:
        return MappingProxyType(self._positions)

    def seek(self, partition: Partition, offset: int) -> None:
        if partition not in self._positions:
            raise StaleMemberError(f"{partition} is not read here: it cannot be sought in")
        self._positions[partition] = offset
        self._lost.discard(partition)
        self._bus.log(partition).room.set()
        self.wakeup.set()

    async def getmany(
        self, partitions: Collection[Partition] | None = None, *, timeout_s: float = 0.0, max_records: int | None = None
    ) -> dict[Partition, list[Record]]:
        await asyncio.sleep(0)  # others run too, however much there is to read
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            self.wakeup.clear()
            if await self._ready() and (taken := self._take(partitions, max_records)):
                return taken
            try:
                async with asyncio.timeout_at(deadline):
                    await self.wakeup.wait()
            except TimeoutError:
                return {}

    async def _ready(self) -> bool:
        """Whether records may be handed out now."""
        self._bus.check_open()
        return True

    def _take(self, partitions: Collection[Partition] | None, max_records: int | None) -> dict[Partition, list[Record]]:
        taken: dict[Partition, list[Record]] = {}
        left = 1 << 62 if max_records is None else max_records
        wanted = set(self._positions) if partitions is None else set(partitions)
        for partition in [each for each in self._positions if each in wanted]:
            log, offset = self._bus.log(partition), self._positions[partition]
            if partition in self._lost or not log.first <= offset <= log.bounds.next:
                if taken:
                    break  # told next time
                raise OffsetOutOfRangeError(partition, None if partition in self._lost else offset, log.bounds)
            if left and (records := log.read(offset, left)):
                taken[partition] = records
                left -= len(records)
                del self._positions[partition]  # its turn comes after the others'
                self._positions[partition] = records[-1].offset + 1
                log.room.set()
        return taken

    def _read(self, positions: Mapping[Partition, int]) -> None:
        for partition in self._positions:
            self._bus.log(partition).sources.discard(self)
        self._positions = dict(positions)
        self._lost.clear()
        for partition in positions:
            self._bus.log(partition).sources.add(self)
        self.wakeup.set()


class MemoryReader(_Source):
    """Reads partitions of its choice."""

    async def start(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        self._read({})

    async def assign(self, positions: Mapping[Partition, int | Edge]) -> None:
        bounds = await self._bus.bounds(positions)
        self._read({partition: _offset(at, bounds[partition]) for partition, at in positions.items()})


class MemoryConsumer(_Source, Consumer):
    """A member of a group."""

    def __init__(
        self,
        bus: MemoryBus,
        topics: tuple[str, ...],
        group: _Group,
        start: Edge,
        on_revoked: PartitionsCallback,
        on_assigned: PartitionsCallback,
    ) -> None:
        super().__init__(bus)
        self.topics = topics
        self.group = group
        self._start: Edge = start
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        self._settled = False
        self._failure: Exception | None = None
        self._closed = False

    async def start(self) -> None:
        await self._bus.join(self)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._read({})
            await self._bus.leave(self)

    async def _ready(self) -> bool:
        self._bus.check_open()
        if self._closed:
            raise BusError(f"a consumer of group {self.group.name!r} is closed")
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self not in self.group.members:  # evicted
            await self.revoke()
            await self._bus.join(self)
        return self._settled

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        for partition in offsets:
            if self not in self.group.members or partition not in self._positions:
                raise StaleMemberError(f"{partition} is not (or no longer) this member's of group {self.group.name!r}")
        self.group.offsets.update(offsets)

    async def committed(self, partition: Partition) -> int | None:
        return self.group.offsets.get(partition)

    async def revoke(self) -> None:
        """Give up all partitions: the first half of a rebalance."""
        self._settled = False
        if self._positions:
            await self._call(self._on_revoked, self._positions)
        self._read({})

    async def begin(self, partitions: Iterable[Partition]) -> None:
        """Begin with the partitions dealt out: the second half of a rebalance."""
        bounds, offsets = await self._bus.bounds(partitions), self.group.offsets
        fresh = {partition for partition in bounds if partition not in offsets}
        lost = {partition for partition in fresh if self._start == "first" and bounds[partition].first}
        offsets.update({partition: _offset(self._start, bounds[partition]) for partition in fresh - lost})
        self._read({partition: offsets.get(partition, bounds[partition].first) for partition in bounds})
        self._lost.update(lost)
        await self._call(self._on_assigned, bounds)
        self._settled = True
        self.wakeup.set()

    async def _call(self, callback: PartitionsCallback, partitions: Iterable[Partition]) -> None:
        """Call back; what fails is raised to who reads here, not to who came or left."""
        try:
            await callback(self, frozenset(partitions))
        except Exception as error:
            self._failure = error


def _offset(at: int | Edge, bounds: Bounds) -> int:
    if at == "first":
        return bounds.first
    return bounds.next if at == "last" else at


async def _nothing(_: Consumer, __: frozenset[Partition]) -> None:
    """What happens when nobody asked to be called."""
