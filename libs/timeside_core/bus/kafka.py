"""The bus over Apache Kafka: the only module that imports aiokafka, and that knows where it needs care.

- An idempotent producer never expires what it holds, so a broker may be away for long: senders wait for room in a
  bounded window. A producer that is not idempotent loses what it holds after `request_s`.
- `pause()` throws away what was fetched; leaving a partition out of `getmany` does not.
- `getmany()` of no partitions means all of them.
- A new assignment is visible before `on_partitions_assigned` has ended. Every assignment therefore begins with an
  explicit seek of each partition, and what was handed out before that is dropped: it will be read again.
- `auto_offset_reset="none"`: what is gone is an error, never a silent jump.
- A commit is refused by the broker for a member whose generation is over.
- A client that is not let in says, as one that finds nobody, that it could not start: why is asked for once more.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Self, TypeVar

import aiokafka
import aiokafka.conn
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from timeside_core.bus import (
    Bounds,
    Bus,
    BusSettings,
    Consumer,
    Edge,
    Headers,
    KafkaAccess,
    OffsetOutOfRangeError,
    Partition,
    PartitionsCallback,
    Position,
    Reader,
    Record,
    Topic,
    Value,
    number_for,
    patiently,
)
from timeside_core.errors import (
    BusAccessError,
    BusError,
    BusUnavailableError,
    MessageSizeError,
    MissingTopicError,
    StaleMemberError,
)

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")

_connections: Any = aiokafka.conn

_FETCH_GRACE_S = 0.5
"""A rebalance can hold up a fetch beyond its own limit; past this grace the fetch is given up, and loses nothing."""
_NUDGE_S = 0.05
_MESSAGE_BYTES = 1024
"""What a message takes of the window beside its value: its futures, key and headers."""
_DYNAMIC_TOPIC_CONFIG = 1
"""Kafka's mark of a setting that was made for this topic."""


class _Brokers:
    """Where the brokers are, and how clients of theirs are started."""

    def __init__(self, bootstrap: str, settings: BusSettings | None, access: KafkaAccess | None) -> None:
        _quiet_aiokafka()
        self.bootstrap = bootstrap
        self.settings = settings or BusSettings()
        self.access = access or KafkaAccess()
        self._security = _security(self.access)

    def options(self) -> dict[str, Any]:
        """What all clients are told."""
        return {
            "bootstrap_servers": self.bootstrap,
            "request_timeout_ms": _ms(self.settings.request_s),
            "retry_backoff_ms": _ms(self.settings.retry_s),
            **self._security,
        }

    def new_reader(self) -> Any:
        """A client that reads without a group, not yet started."""
        return self.new_consumer(fetch_max_wait_ms=_ms(self.settings.reader_wait_s))

    def new_consumer(self, **options: Any) -> Any:
        """A client that reads, not yet started."""
        return aiokafka.AIOKafkaConsumer(
            **self.options(),
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=self.settings.max_partition_fetch_bytes,
            fetch_max_bytes=self.settings.max_fetch_bytes,
            check_crcs=self.settings.check_crcs,
            **options,
        )

    async def started(self, make: Callable[[], Any]) -> Any:
        """A started client; while no broker answers, a new one is tried, within `start_s`.

        Raises `BusAccessError` as soon as a broker does not let us in.
        """
        deadline = time.monotonic() + self.settings.start_s
        said = False
        while True:
            client = make()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await client.start()
                return client
            except (kafka_errors.KafkaError, TimeoutError, OSError) as error:
                await _stop(client, self.settings.stop_s)
                await self._check_access(deadline)
                if time.monotonic() + self.settings.retry_s > deadline:
                    raise BusUnavailableError(
                        f"Kafka at {self.bootstrap} did not answer within {self.settings.start_s:g} s: {error!r}"
                    ) from error
                if not said:
                    _log.warning("Kafka at %s does not answer yet: %r", self.bootstrap, error)
                said = True
            except BaseException:
                await _stop(client, self.settings.stop_s)
                raise
            await asyncio.sleep(self.settings.retry_s)

    async def _check_access(self, deadline: float) -> None:
        """Connect to each broker; raise `BusAccessError` for one that is there, but does not let us in."""
        for host, port, _ in _connections.collect_hosts(self.bootstrap):
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    connection = await _connections.create_conn(host, port, **self._security)
                    await connection.close()
            except (kafka_errors.KafkaError, TimeoutError, OSError, ValueError) as error:
                if reason := _refusal(error):
                    raise BusAccessError(f"Kafka at {host}:{port} {reason}") from error


class KafkaBus(Bus):
    """Topics of the brokers at `bootstrap` (`host:port`, several parted by commas)."""

    def __init__(
        self,
        bootstrap: str,
        *,
        topics: Iterable[str] = (),
        settings: BusSettings | None = None,
        access: KafkaAccess | None = None,
    ) -> None:
        self.brokers = _Brokers(bootstrap, settings, access)
        self.settings = self.brokers.settings
        self._topics = tuple(topics)
        self._producer: Any = None
        self._inspector: Any = None
        self._window = Window(self.settings.max_in_flight_bytes)
        self._waited_for: set[asyncio.Future[Position]] = set()
        self._known: set[str] = set()
        self._closed = False

    async def start(self) -> None:
        try:
            self._inspector = await self.brokers.started(self.brokers.new_reader)
            self._producer = await self.brokers.started(self._new_producer)
            await self.check(*self._topics)
            for topic in self._topics:  # from now on they are known, also while the brokers are away
                await self.partition_count(topic)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._closed = True
        self._window.close()
        producer, inspector, self._producer, self._inspector = self._producer, self._inspector, None, None
        if producer is not None:
            await _stop_producer(producer, self.settings.stop_s)
        for acknowledged in [each for each in self._waited_for if not each.done()]:
            acknowledged.set_exception(BusError("a message was given up: the bus was closed while Kafka was away"))
        if inspector is not None:
            await _stop_consumer(inspector, self.settings.stop_s)

    async def check(self, *topics: str) -> None:
        wanted = set(topics) - self._known
        if not wanted:
            return
        self._known |= await self._all_topics()
        if missing := ", ".join(sorted(wanted - self._known)):
            raise MissingTopicError(f"Kafka at {self.brokers.bootstrap} has no topics {missing}: apply them first")

    async def _all_topics(self) -> set[str]:
        """Names of all that there are; while no broker answers, one is asked again, within `start_s`."""
        deadline = time.monotonic() + self.settings.start_s
        while True:
            try:
                async with _translated(self.settings.request_s, f"topics of Kafka at {self.brokers.bootstrap}"):
                    # All topics are asked for: asking for one by name has some brokers make it.
                    return await self._open(self._inspector).topics()
            except BusUnavailableError as error:
                if time.monotonic() + self.settings.retry_s > deadline:
                    raise
                _log.warning("%s", error)
            await asyncio.sleep(self.settings.retry_s)

    async def partition_count(self, topic: str) -> int:
        await self.check(topic)
        producer = self._open(self._producer)
        known = producer.client.cluster.partitions_for_topic(topic)
        if known is None:  # asked for with each message: a time limit costs more than what the client knows already
            async with _translated(self.settings.request_s, f"partitions of {topic!r}"):
                known = await producer.partitions_for(topic)
        return len(known)

    async def send(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[Position]:
        view = memoryview(value).cast("B")
        if len(view) > self.settings.max_message_bytes:
            raise MessageSizeError(
                f"a message of {len(view)} bytes for {topic!r} is longer than {self.settings.max_message_bytes} bytes"
            )
        count = await patiently(partial(self.partition_count, topic))
        number = number_for(topic, count, key=key, partition=partition)
        size = len(view) + _MESSAGE_BYTES
        await self._window.take(size)
        try:
            sent = await self._enqueue(topic, view, key, number, list(headers.items()) if headers else None)
        except BaseException:
            self._window.give(size)
            raise
        acknowledged: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._waited_for.add(acknowledged)
        acknowledged.add_done_callback(self._waited_for.discard)
        sent.add_done_callback(partial(self._acknowledge, acknowledged, Partition(topic, number), size))
        return acknowledged

    async def _enqueue(
        self, topic: str, value: memoryview, key: bytes | None, number: int, headers: list[tuple[str, bytes]] | None
    ) -> "asyncio.Future[Any]":
        while True:
            try:
                return await self._open(self._producer).send(topic, value, key, partition=number, headers=headers)
            except kafka_errors.KafkaTimeoutError:  # not queued: the broker is away, and the batch before is full
                continue
            except kafka_errors.KafkaError as error:
                raise BusError(f"a message for {topic!r} could not be sent: {error!r}") from error

    def _acknowledge(
        self, acknowledged: asyncio.Future[Position], partition: Partition, size: int, sent: "asyncio.Future[Any]"
    ) -> None:
        self._window.give(size)
        if acknowledged.done():  # cancelled by who waited
            return
        if sent.cancelled():
            acknowledged.cancel()
        elif (error := sent.exception()) is not None:
            acknowledged.set_exception(BusError(f"a message for {partition} was not kept: {error!r}"))
        else:
            acknowledged.set_result(Position(partition, sent.result().offset))

    async def flush(self) -> None:
        await self._open(self._producer).flush()

    def consumer(
        self,
        *topics: str,
        group: str,
        start: Edge = "first",
        on_revoked: PartitionsCallback | None = None,
        on_assigned: PartitionsCallback | None = None,
    ) -> "KafkaConsumer":
        return KafkaConsumer(self, topics, group, start, on_revoked, on_assigned)

    def reader(self) -> "KafkaReader":
        return KafkaReader(self)

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        wanted = [_tp(partition) for partition in await self._existing(partitions)]
        if not wanted:
            return {}
        async with _translated(self.settings.request_s, "bounds of partitions"):
            first = await self._open(self._inspector).beginning_offsets(wanted)
            next = await self._open(self._inspector).end_offsets(wanted)
        return {_partition(each): Bounds(first[each], next[each]) for each in wanted}

    async def offsets_for_times(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int | None]:
        wanted = {_tp(partition): times_ms[partition] for partition in await self._existing(times_ms)}
        if not wanted:
            return {}
        async with _translated(self.settings.request_s, "offsets for times"):
            found = await self._open(self._inspector).offsets_for_times(wanted)
        return {_partition(each): at.offset if at is not None else None for each, at in found.items()}

    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        async with self._admin() as admin:
            return await admin.committed(group, partitions)

    async def trim(self, before: Mapping[Partition, int]) -> None:
        if before:
            async with self._admin() as admin:
                await admin.trim(before)

    def _admin(self) -> "KafkaAdmin":
        return KafkaAdmin(self.brokers.bootstrap, settings=self.settings, access=self.brokers.access)

    async def _existing(self, partitions: Iterable[Partition]) -> list[Partition]:
        """The partitions; raises `MissingTopicError` for one that is not there: aiokafka would wait for it."""
        existing: list[Partition] = []
        for partition in partitions:
            if partition.number >= await self.partition_count(partition.topic):
                raise MissingTopicError(f"Kafka at {self.brokers.bootstrap} has no partition {partition}")
            existing.append(partition)
        return existing

    def _new_producer(self) -> Any:
        return aiokafka.AIOKafkaProducer(
            **self.brokers.options(),
            enable_idempotence=True,
            compression_type=None,  # PCM does not shrink, and codecs run on the event loop
            max_batch_size=self.settings.max_message_bytes,
            max_request_size=self.settings.max_message_bytes + 1024,  # the key and the headers come on top
            linger_ms=0,
        )

    def _open(self, client: Any) -> Any:
        if self._closed or client is None:
            state = "closed" if self._closed else "not started"
            raise BusError(f"the bus over Kafka at {self.brokers.bootstrap} is {state}")
        return client


class _Source(Reader):
    """What readers and consumers have in common: partitions, where they are in each, what is lost of them."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus = bus
        self._settings = bus.settings
        self._client: Any = None
        self._positions: dict[Partition, int] = {}
        self._lost: dict[Partition, OffsetOutOfRangeError] = {}
        self._settled = asyncio.Event()
        """Set while the partitions are ours and each has its first offset."""
        self._failure: Exception | None = None
        self._closed = False

    @property
    def positions(self) -> Mapping[Partition, int]:
        return MappingProxyType(self._positions)

    async def close(self) -> None:
        self._closed = True
        self._positions = {}
        if self._client is not None:
            client, self._client = self._client, None
            await _stop_consumer(client, self._settings.stop_s)

    def seek(self, partition: Partition, offset: int) -> None:
        if partition not in self._positions:
            raise StaleMemberError(f"{partition} is not read here: it cannot be sought in")
        self._positions[partition] = offset
        self._lost.pop(partition, None)
        if self._settled.is_set():
            self._client.seek(_tp(partition), offset)

    async def getmany(
        self, partitions: Collection[Partition] | None = None, *, timeout_s: float = 0.0, max_records: int | None = None
    ) -> dict[Partition, list[Record]]:
        deadline = time.monotonic() + timeout_s
        if not await self._is_settled(timeout_s):
            return {}
        wanted = [each for each in (self._positions if partitions is None else partitions) if each in self._positions]
        for partition in wanted:
            if partition in self._lost:
                raise self._lost[partition].with_traceback(None)
        left_s = max(0.0, deadline - time.monotonic())
        if not wanted:
            await asyncio.sleep(left_s)
            return {}
        fetched = await self._fetch(wanted, left_s, max_records)
        if not self._settled.is_set():
            return {}  # of an assignment whose first offsets are yet to be set, from where they are read again
        records = {_partition(tp): [_record(each) for each in batch] for tp, batch in fetched.items()}
        self._positions.update({partition: batch[-1].offset + 1 for partition, batch in records.items()})
        return records

    async def _is_settled(self, timeout_s: float) -> bool:
        if not self._settled.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._settled.wait()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        self._open()
        return self._settled.is_set()

    def _open(self) -> Any:
        if self._closed or self._client is None:
            raise BusError(f"a reader of Kafka is {'closed' if self._closed else 'not started'}")
        return self._client

    async def _fetch(self, wanted: list[Partition], timeout_s: float, max_records: int | None) -> dict[Any, list[Any]]:
        tps = [_tp(partition) for partition in wanted]
        try:
            async with asyncio.timeout(timeout_s + _FETCH_GRACE_S):
                return await self._open().getmany(*tps, timeout_ms=_ms(timeout_s), max_records=max_records)
        except (TimeoutError, kafka_errors.NoOffsetForPartitionError):  # a rebalance is going on
            return {}
        except kafka_errors.OffsetOutOfRangeError as error:
            await self._lose(error.args[0])
        except (kafka_errors.KafkaError, kafka_errors.ConsumerStoppedError) as error:
            raise BusError(f"records could not be fetched: {error!r}") from error
        return {}

    async def _lose(self, offsets: Mapping[Any, int]) -> None:
        for tp, offset in offsets.items():
            partition = _partition(tp)
            position = self._positions.get(partition)
            bounds = (await patiently(partial(self._bus.bounds, [partition])))[partition]
            if position is not None and position == self._positions.get(partition):  # nobody sought meanwhile
                self._lost[partition] = OffsetOutOfRangeError(partition, offset, bounds)
                raise self._lost[partition]

    def _settle(self, positions: Mapping[Partition, int]) -> None:
        """Seek every partition to its first offset, without a pause in which anything could be handed out."""
        for partition, offset in positions.items():
            self._client.seek(_tp(partition), offset)
        self._settled.set()


class KafkaReader(_Source):
    """Reads partitions of its choice."""

    async def start(self) -> None:
        self._client = await self._bus.brokers.started(self._bus.brokers.new_reader)
        self._settled.set()

    async def assign(self, positions: Mapping[Partition, int | Edge]) -> None:
        bounds = await self._bus.bounds(positions)
        self._positions = {partition: _offset(at, bounds[partition]) for partition, at in positions.items()}
        self._lost.clear()
        self._open().assign([_tp(partition) for partition in positions])
        self._settle(self._positions)


class KafkaConsumer(_Source, Consumer):
    """A member of a group."""

    def __init__(
        self,
        bus: KafkaBus,
        topics: tuple[str, ...],
        group: str,
        start: Edge,
        on_revoked: PartitionsCallback | None,
        on_assigned: PartitionsCallback | None,
    ) -> None:
        super().__init__(bus)
        self.topics = topics
        self.group = group
        self._start: Edge = start
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned

    async def start(self) -> None:
        await self._bus.check(*self.topics)
        self._client = await self._bus.brokers.started(self._new_client)

    def _new_client(self) -> Any:
        settings = self._settings
        self._settled.clear()
        self._client = self._bus.brokers.new_consumer(
            group_id=self.group,
            fetch_max_wait_ms=_ms(settings.fetch_wait_s),
            session_timeout_ms=_ms(settings.session_s),
            heartbeat_interval_ms=_ms(settings.heartbeat_s),
            rebalance_timeout_ms=_ms(settings.rebalance_s),
            max_poll_interval_ms=_ms(settings.poll_s),
            partition_assignment_strategy=(_own_assignor(),),  # each one listed costs a join of its own
        )
        self._client.subscribe(self.topics, listener=_Listener(self))  # it is called before `start` has returned
        return self._client

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        for partition in offsets:
            if partition not in self._positions:
                raise StaleMemberError(f"{partition} is not (or no longer) this member's of group {self.group!r}")
        if not offsets:
            return
        try:
            async with _translated(self._settings.commit_s, f"a commit of group {self.group!r}"):
                await self._open().commit({_tp(partition): offset for partition, offset in offsets.items()})
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            raise StaleMemberError(f"group {self.group!r} has dealt out its partitions anew: {error}") from error

    async def committed(self, partition: Partition) -> int | None:
        async with _translated(self._settings.request_s, f"what group {self.group!r} has committed"):
            return await self._open().committed(_tp(partition))

    async def revoke(self) -> None:
        """Give up all partitions, before a rebalance, while commits still count."""
        self._settled.clear()
        if self._on_revoked is not None and self._positions:
            try:
                await self._on_revoked(self, frozenset(self._positions))
            except Exception as error:
                self._fail(error)
        self._positions = {}

    async def begin(self, partitions: frozenset[Partition]) -> None:
        """Begin with the partitions dealt out, after a rebalance."""
        try:
            if await self._find_offsets(partitions):
                if self._on_assigned is not None:
                    await self._on_assigned(self, partitions)
                self._settle(
                    {partition: at for partition, at in self._positions.items() if partition not in self._lost}
                )
        except Exception as error:
            self._fail(error)

    async def _find_offsets(self, partitions: frozenset[Partition]) -> bool:
        """Set where each partition begins; False where the group has moved on meanwhile."""
        while not self._closed:
            try:
                committed = dict(zip(partitions, await asyncio.gather(*map(self.committed, partitions)), strict=True))
                bounds = await self._bus.bounds(partitions)
                self._begin(committed, bounds)
                fresh = {p: self._positions[p] for p in partitions - self._lost.keys() if committed[p] is None}
                if fresh:
                    await self.commit(fresh)
                return True
            except StaleMemberError:
                return False
            except BusUnavailableError as error:  # a rebalance is repeated if this takes too long
                _log.warning("group %s waits for its offsets: %s", self.group, error)
        return False

    def _begin(self, committed: Mapping[Partition, int | None], bounds: Mapping[Partition, Bounds]) -> None:
        self._positions, self._lost = {}, {}
        for partition, offset in committed.items():
            kept = bounds[partition]
            if offset is None and self._start == "first" and kept.first > 0:
                self._lost[partition] = OffsetOutOfRangeError(partition, None, kept)
            self._positions[partition] = _offset(self._start, kept) if offset is None else offset

    def _fail(self, error: Exception) -> None:
        """Keep what a callback raised for who reads here: aiokafka would only log it."""
        self._failure = error
        self._settled.set()


class _Listener(aiokafka.ConsumerRebalanceListener):
    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Any:
        return self._consumer.revoke()

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> Any:
        return self._consumer.begin(frozenset(_partition(tp) for tp in assigned))


def _own_assignor() -> type[StickyPartitionAssignor]:
    """An assignor class of its own: aiokafka keeps there what a member had, and members of a process would share it."""
    return type("OwnAssignor", (StickyPartitionAssignor,), {})


class KafkaAdmin:
    """What `topics.apply` needs: to see topics, make them, change them. An async context manager."""

    def __init__(
        self, bootstrap: str, *, settings: BusSettings | None = None, access: KafkaAccess | None = None
    ) -> None:
        self._brokers = _Brokers(bootstrap, settings, access)
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._client = await self._brokers.started(lambda: AIOKafkaAdminClient(**self._brokers.options()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await _stop(self._client, self._brokers.settings.stop_s)

    async def brokers(self) -> int:
        """Count of the brokers."""
        async with self._asking("for its brokers"):
            return len((await self._client.describe_cluster())["brokers"])

    async def topics(self) -> dict[str, tuple[int, int]]:
        """All topics whose partitions have a leader: counts of partitions and of replicas."""
        async with self._asking("for its topics"):
            described = await self._client.describe_topics()
        return {
            each["topic"]: (len(partitions), len(partitions[0]["replicas"]))
            for each in described
            if (partitions := each["partitions"]) and all(one["leader"] >= 0 for one in partitions)
        }

    async def configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """What was set for each topic itself."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        if not resources:
            return {}
        async with self._asking("for its topics' settings"):
            responses = await self._client.describe_configs(resources)
        found: dict[str, dict[str, str]] = {}
        for response in responses:
            for code, message, _, topic, entries in response.resources:
                _raise_for(code, f"settings of {topic!r}", message)
                found[topic] = {
                    name: value for name, value, _, source, *_ in entries if source == _DYNAMIC_TOPIC_CONFIG
                }
        return found

    async def create(self, topic: Topic, configs: Mapping[str, str], *, replicas: int) -> None:
        """Make a topic, and wait until it can be used; one that somebody else made meanwhile is fine."""
        new = NewTopic(topic.name, topic.partitions, replicas, topic_configs=dict(configs))
        async with self._asking(f"to make {topic.name!r}"):
            response = await self._client.create_topics([new])
        for name, code, *message in response.topic_errors:
            if code != kafka_errors.TopicAlreadyExistsError.errno:
                _raise_for(code, f"making {name!r}", message[0] if message else None)
        async with self._asking(f"for {topic.name!r}"):
            await self._seen(lambda found: topic.name in found, self.topics)

    async def add_partitions(self, topic: str, count: int) -> None:
        """Raise the count of a topic's partitions."""
        async with self._asking(f"for partitions of {topic!r}"):
            await self._client.create_partitions({topic: NewPartitions(count)})
            await self._seen(lambda found: topic in found and found[topic][0] == count, self.topics)

    async def set_configs(self, topic: str, configs: Mapping[str, str]) -> None:
        """Set all that is set for a topic itself: what is not among it goes back to the broker's default."""
        async with self._asking(f"to set {topic!r}"):
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))
            responses = await self._client.alter_configs([resource])
        for response in responses:
            for code, message, *_ in response.resources:
                _raise_for(code, f"setting {topic!r}", message)
        async with self._asking(f"for what is set for {topic!r}"):
            await self._seen(lambda found: found[topic] == configs, lambda: self.configs([topic]))

    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offsets a group has committed."""
        wanted = [_tp(partition) for partition in partitions]
        if not wanted:
            return {}
        async with self._asking(f"what group {group!r} has committed"):
            found = await self._client.list_consumer_group_offsets(group, partitions=wanted)
        return {_partition(tp): each.offset for tp, each in found.items() if each.offset >= 0}

    async def trim(self, before: Mapping[Partition, int]) -> None:
        """Drop the records before these offsets."""
        async with self._asking("to drop records"):
            await self._client.delete_records({_tp(p): RecordsToDelete(offset) for p, offset in before.items()})

    async def _seen(self, wanted: Callable[[_Found], bool], look: Callable[[], Awaitable[_Found]]) -> None:
        """Wait until brokers show what a controller has accepted: they learn of it a little later."""
        while True:
            if wanted(await look()):
                return
            await asyncio.sleep(self._brokers.settings.retry_s)

    def _asking(self, what: str) -> "contextlib.AbstractAsyncContextManager[None]":
        return _translated(self._brokers.settings.request_s, f"Kafka at {self._brokers.bootstrap} was asked {what}")


class Window:
    """Bytes on their way: who sends waits for its turn, and until its bytes fit."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait for room; what is larger than the window waits until it is empty."""
        size = min(size, self._limit)
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)  # it was just given what it no longer wants
            raise

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._free += min(size, self._limit)
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._free):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)

    def close(self) -> None:
        """Turn away who waits."""
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(BusError("the bus was closed before there was room to send"))


class _Sparse(logging.Filter):
    """Lets a message through once in 30 s: while a broker is away, aiokafka says the same ten times a second."""

    every_s = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, message = time.monotonic(), str(record.msg)
        if now - self._said.get(message, -self.every_s) < self.every_s:
            return False
        if len(self._said) > 1000:  # a few dozen, were none of them put together before they are logged
            self._said.clear()
        self._said[message] = now
        return True


_sparse = _Sparse()


def _quiet_aiokafka() -> None:
    """Warnings and errors only (at DEBUG it formats whole blocks of PCM), and none of them in torrents."""
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.split(".")[0] == "aiokafka" and isinstance(logger, logging.Logger):
            logger.addFilter(_sparse)  # the same one is added once only


def _security(access: KafkaAccess) -> dict[str, Any]:
    """What all clients are told of TLS and passwords."""
    told: dict[str, Any] = {"security_protocol": access.protocol}
    if access.kafka_tls:
        told["ssl_context"] = access.ssl_context()
    if access.kafka_password is not None:
        told["sasl_mechanism"] = access.kafka_mechanism
        told["sasl_plain_username"] = access.kafka_username
        told["sasl_plain_password"] = access.kafka_password.get_secret_value()
    return told


def _refusal(error: BaseException | None) -> str:
    """Why a broker does not let us in; empty where the error says no more than that it is away."""
    while error is not None:
        match error:
            case kafka_errors.SaslAuthenticationFailed():
                return "does not accept this username with this password"
            case kafka_errors.UnsupportedSaslMechanismError() | kafka_errors.IllegalSaslStateError():
                return f"does not log in by this mechanism: {error}"
            case ssl.SSLCertVerificationError():
                return f"is not trusted: {error.verify_message}"
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ssl.SSLSyscallError():
                return ""
            case ssl.SSLError():
                return f"refuses TLS as it is spoken here: {error.reason or error}"
            case ValueError():
                return f"does not know this password itself: {error}"
            case _:
                error = error.__cause__
    return ""


@contextlib.asynccontextmanager
async def _translated(limit_s: float, what: str) -> AsyncGenerator[None]:
    """Ask within a time limit; say what failed in our own words."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except (TimeoutError, kafka_errors.KafkaTimeoutError) as error:
        raise BusUnavailableError(f"{what}: no answer within {limit_s:g} s") from error
    except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError):
        raise
    except kafka_errors.UnknownTopicOrPartitionError as error:
        raise MissingTopicError(f"{what}: {error!r}") from error
    except kafka_errors.KafkaError as error:
        unavailable = error.retriable or type(error) is kafka_errors.KafkaError  # no broker gave an answer
        raise (BusUnavailableError if unavailable else BusError)(f"{what}: {error!r}") from error


def _raise_for(code: int, what: str, message: str | None) -> None:
    if code:
        raise BusError(f"{what}: {message or kafka_errors.for_code(code).__name__}")


async def _limited(closing: Awaitable[object], limit_s: float) -> bool:
    """Whether it ended within its limit. aiokafka lets the cancellation of its own tasks out: that is no failure."""
    try:
        async with asyncio.timeout(limit_s):
            await closing
    except TimeoutError:
        return False
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    except kafka_errors.KafkaError as error:
        _log.warning("Kafka's client did not stop in order: %r", error)
    return True


async def _stop(client: Any, limit_s: float) -> None:
    if isinstance(client, aiokafka.AIOKafkaProducer):
        await _stop_producer(client, limit_s)
    elif isinstance(client, aiokafka.AIOKafkaConsumer):
        await _stop_consumer(client, limit_s)
    else:
        await _limited(client.close(), limit_s)


async def _stop_producer(producer: Any, limit_s: float) -> None:
    """Send what is left and stop; where no broker answers in time, abandon it."""
    if await _limited(producer.stop(), limit_s):
        return
    _log.error("Kafka did not take what was left to send within %g s: it is abandoned", limit_s)
    await _limited(producer._sender.close(), limit_s)
    await _limited(producer.client.close(), limit_s)


async def _stop_consumer(consumer: Any, limit_s: float) -> None:
    """Leave the group and stop; where no broker answers in time, abandon it: its session runs out."""
    nudging = asyncio.create_task(_nudge(consumer._fetcher))
    try:
        if await _limited(consumer.stop(), limit_s):
            return
    finally:
        nudging.cancel()
    _log.error("Kafka did not answer a consumer that leaves within %g s: it is abandoned", limit_s)
    coordinator = consumer._coordinator
    for name in ("_coordination_task", "_heartbeat_task", "_commit_refresh_task"):
        if (task := getattr(coordinator, name, None)) is not None:
            task.cancel()
    if consumer._fetcher is not None:
        await _limited(consumer._fetcher.close(), limit_s)
    await _limited(consumer._client.close(), limit_s)


async def _nudge(fetcher: Any) -> None:
    """Cancel the fetcher's task until it has ended: while it takes up a new assignment it swallows a cancellation."""
    while fetcher is not None and not fetcher._fetch_task.done():
        await asyncio.sleep(_NUDGE_S)
        if fetcher._closed:
            fetcher._fetch_task.cancel()


def _tp(partition: Partition) -> Any:
    return TopicPartition(partition.topic, partition.number)


def _partition(tp: Any) -> Partition:
    return Partition(tp.topic, tp.partition)


def _record(record: Any) -> Record:
    return Record(
        partition=Partition(record.topic, record.partition),
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=memoryview(record.value or b""),
        headers=MappingProxyType({name: value or b"" for name, value in record.headers}),
    )


def _offset(at: int | Edge, bounds: Bounds) -> int:
    if at == "first":
        return bounds.first
    return bounds.next if at == "last" else at


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
