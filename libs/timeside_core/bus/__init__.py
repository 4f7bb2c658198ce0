"""The bus: topics of ordered partitions, groups that share them, replay; one interface, in memory and over Kafka.

- A topic is a number of partitions; a partition is a sequence of records with dense, rising offsets. Records of one
  key go to one partition, and keep the order in which one sender sent them.
- A group shares the partitions of its topics among its consumers. When one comes, leaves or dies, all partitions are
  taken away (`on_revoked`) and dealt out again (`on_assigned`); each starts at the offset its group has committed,
  unless `on_assigned` seeks elsewhere.
- Delivery is at least once. The log is the checkpoint: a consumer commits the first offset it may need again, and
  whoever gets the partition next replays from there.
- Loss is loud: records that are no longer kept raise `OffsetOutOfRangeError`; a commit of a partition that has gone to
  another member raises `StaleMemberError`.
- Not reading is backpressure: leave a partition out of `getmany`, and nothing of it is dropped or read twice.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_core.bus.access import KafkaAccess
from timeside_core.errors import BusError, BusUnavailableError, ParameterError
from timeside_core.settings import BusSettings

__all__ = [
    "Bounds",
    "Bus",
    "BusSettings",
    "Consumer",
    "Edge",
    "Headers",
    "KafkaAccess",
    "OffsetOutOfRangeError",
    "Partition",
    "PartitionsCallback",
    "Position",
    "Reader",
    "Record",
    "Topic",
    "Value",
    "connect",
    "number_for",
    "partition_for",
    "patiently",
]

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_ASK_AGAIN_S = 0.1

Value: TypeAlias = bytes | bytearray | memoryview
"""What is sent: it is not copied until it must be, so it must not change afterwards."""
Headers: TypeAlias = Mapping[str, bytes]
Edge: TypeAlias = Literal["first", "last"]
"""The oldest record that is kept, or the next that will come."""


class Partition(NamedTuple):
    """One sequence of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"


class Position(NamedTuple):
    """Where a record lies."""

    partition: Partition
    offset: int


class Bounds(NamedTuple):
    """What a partition holds: offsets from `first` to before `next`."""

    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Record:
    """A message as it lies in its partition."""

    partition: Partition
    offset: int
    timestamp_ms: int
    """When it was sent, Unix time."""
    key: bytes | None
    value: memoryview
    """Read only."""
    headers: Headers = field(default_factory=lambda: MappingProxyType({}))

    @property
    def position(self) -> Position:
        """Where it lies."""
        return Position(self.partition, self.offset)


class Topic(BaseModel):
    """A topic as it is declared in `topics.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._{}-]{1,249}$")]
    """In `topics.yaml` a pattern: {lane} and {pool} stand for each of them."""
    why: str = ""
    """What it is for, and why its bounds are what they are."""
    partitions: Annotated[int, Field(ge=1, le=1024)]
    retention_s: Annotated[int, Field(ge=60)] = 86_400
    """Records older than this are dropped."""
    retention_bytes: Annotated[int, Field(ge=1 << 20)] | None = None
    """So much is kept of a partition; None is no limit."""
    max_message_bytes: Annotated[int, Field(ge=1024)] = 1_000_000
    compact: bool = False
    """Whether the last record of each key outlives the others (until `retention_s`)."""
    replicas: Annotated[int, Field(ge=1)] = 3
    min_in_sync: Annotated[int, Field(ge=1)] = 2
    """Replicas that have a record before it counts as sent."""
    segment_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    segment_s: Annotated[int, Field(ge=60)] = 3600
    """Records are dropped by whole segments: short ones follow the retention closely."""


class OffsetOutOfRangeError(BusError):
    """Records that are no longer kept: a loss, to be reported before one seeks to what is left of the partition."""

    def __init__(self, partition: Partition, offset: int | None, bounds: Bounds) -> None:
        wanted = "nothing was ever committed" if offset is None else f"offset {offset} is not there"
        super().__init__(f"{partition}: {wanted}, and offsets {bounds.first} up to {bounds.next} are what is kept")
        self.partition = partition
        self.offset = offset
        """Offset that was wanted; None where the group had none although records had been dropped already."""
        self.bounds = bounds


class _Closing(ABC):
    """Started and closed by `async with`."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def start(self) -> None:
        """Begin; raises `BusUnavailableError` where the bus does not answer in time."""

    @abstractmethod
    async def close(self) -> None:
        """End within a time limit; does nothing the second time."""


class Reader(_Closing):
    """Reads partitions of its choice, in no group: nothing is committed, nobody else gets less."""

    @property
    @abstractmethod
    def positions(self) -> Mapping[Partition, int]:
        """Partitions that are read, with the offset of the next record handed out of each."""

    @abstractmethod
    async def getmany(
        self, partitions: Collection[Partition] | None = None, *, timeout_s: float = 0.0, max_records: int | None = None
    ) -> dict[Partition, list[Record]]:
        """The next records of these partitions (by default of all that are read), waiting for the first of them.

        Partitions left out keep their records for later: that is how a full consumer holds back its senders. Those
        that are not (or no longer) read are passed over. With none at all it waits, and returns nothing.

        Raises `OffsetOutOfRangeError` for a partition whose next records are gone, each time until one seeks.
        """

    @abstractmethod
    def seek(self, partition: Partition, offset: int) -> None:
        """Go on from that offset; raises `StaleMemberError` where the partition is not read."""

    @abstractmethod
    async def assign(self, positions: Mapping[Partition, int | Edge]) -> None:
        """Read exactly these partitions, from these offsets; `{**reader.positions, more: offset}` adds one."""


class Consumer(Reader):
    """A member of a group: reads the partitions that the group deals out to it."""

    async def assign(self, positions: Mapping[Partition, int | Edge]) -> None:
        """A group's business: raises `BusError`."""
        raise BusError("a consumer's partitions are dealt out by its group: a reader has those of its choice")

    @abstractmethod
    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Say from where whoever has the partition next is to read: the first offset that may be needed again.

        Raises `StaleMemberError` if one of them has gone to another member (nothing of what this one holds of it
        counts any more) and `BusUnavailableError` if there is no answer in time (commit again later).
        """

    @abstractmethod
    async def committed(self, partition: Partition) -> int | None:
        """The offset its group has committed, by whichever member."""


PartitionsCallback: TypeAlias = Callable[[Consumer, frozenset[Partition]], Awaitable[None]]
"""Called with the member and the partitions that it loses or gets."""


class Bus(_Closing):
    """Where services send and read; made by `connect`."""

    @abstractmethod
    async def check(self, *topics: str) -> None:
        """Raise `MissingTopicError`, naming all that are missing."""

    @abstractmethod
    async def partition_count(self, topic: str) -> int:
        """Count of a topic's partitions; raises `MissingTopicError`."""

    @abstractmethod
    async def send(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[Position]:
        """Send to the partition given, else to that of the key; wait for room, not for the acknowledgement.

        Await what is returned to know that the record is kept. Awaited or not, records of one sender to one partition
        keep their order, and each is there once.
        """

    async def publish(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> Position:
        """Send, and wait until the record is kept."""
        return await (await self.send(topic, value, key=key, partition=partition, headers=headers))

    @abstractmethod
    async def flush(self) -> None:
        """Wait until everything sent is acknowledged or has failed."""

    @abstractmethod
    def consumer(
        self,
        *topics: str,
        group: str,
        start: Edge = "first",
        on_revoked: PartitionsCallback | None = None,
        on_assigned: PartitionsCallback | None = None,
    ) -> Consumer:
        """A member of a group, not yet started.

        `start` says where a partition begins of which the group has committed nothing; that offset is committed at
        once. With `first`, where older records were dropped already, `getmany` raises `OffsetOutOfRangeError` instead.

        `on_revoked` may commit; what is not committed when it returns is replayed by another. `on_assigned` may seek,
        say to an offset kept elsewhere, or to where this member was if nobody has committed past it. While either
        runs nothing is handed out, and it must end well within a session. A close calls neither.
        """

    @abstractmethod
    def reader(self) -> Reader:
        """A reader of no partitions, not yet started."""

    @abstractmethod
    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """What each partition holds."""

    @abstractmethod
    async def offsets_for_times(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int | None]:
        """The first offset sent at that time or later, Unix time in milliseconds; None where there is none yet."""

    @abstractmethod
    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offsets a group has committed, seen from outside; partitions without one are left out."""

    @abstractmethod
    async def trim(self, before: Mapping[Partition, int]) -> None:
        """Drop the records before these offsets."""


def connect(
    url: str,
    *,
    topics: Iterable[Topic] = (),
    settings: BusSettings | None = None,
    access: KafkaAccess | None = None,
) -> Bus:
    """The bus at `memory://` (a new one, with these topics) or `kafka://host:port,…` (which must have them)."""
    settings = settings or BusSettings()
    scheme, address = urlsplit(url).scheme, urlsplit(url).netloc
    if scheme == "memory":
        from timeside_core.bus.memory import MemoryBus

        return MemoryBus(topics, settings=settings)
    if scheme == "kafka" and address:
        from timeside_core.bus.kafka import KafkaBus

        return KafkaBus(address, topics=[topic.name for topic in topics], settings=settings, access=access)
    raise ParameterError(f"bus {url!r} is neither memory:// nor kafka://host:port")


async def patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What a bus answers, however long it is away; each `BusUnavailableError` is logged, others are raised."""
    while True:
        try:
            return await ask()
        except BusUnavailableError as error:
            _log.warning("the bus is waited for: %s", error)
        await asyncio.sleep(_ASK_AGAIN_S)


def number_for(topic: str, count: int, *, key: bytes | None, partition: int | None) -> int:
    """Number of the partition, of `count`, that a record goes to: the one given, else that of its key."""
    if partition is None:
        if key is None:
            raise BusError(f"a record for {topic!r} needs a key or a partition")
        return partition_for(key, count)
    if not 0 <= partition < count:
        raise BusError(f"{topic!r} has {count} partitions: partition={partition} is none of them")
    return partition


def partition_for(key: bytes, count: int) -> int:
    """Number of the partition of a key among `count`: murmur2, as all Kafka clients compute it by default."""
    return (_murmur2(key) & 0x7FFFFFFF) % count


def _murmur2(data: bytes) -> int:
    """MurmurHash2 of Austin Appleby, 32 bits, with the seed of Kafka's clients."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    whole = len(data) & ~3
    h = 0x9747B28C ^ len(data)
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
