"""One contract for every bus: what partition, offset, group, commit and replay mean is the same in memory and Kafka.

Intentionally not checked here: what only a broker can suffer (tests/integration/test_kafka_bus.py) and what only the
memory bus bounds (tests/unit/timeside_core/test_memory_bus.py).
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import numpy as np
import pytest

from timeside_core.bus import Bus, BusSettings, Consumer, OffsetOutOfRangeError, Partition, Reader, Record, Topic
from timeside_core.bus import partition_for as number_of
from timeside_core.bus.memory import MemoryBus, MemoryConsumer
from timeside_core.errors import BusError, MessageSizeError, MissingTopicError, StaleMemberError
from timeside_core.ids import uuid7

SETTINGS = BusSettings(heartbeat_s=0.2, session_s=6, retry_s=0.05, max_partition_bytes=None)
PARTITIONS = 4
PATIENCE_S = 30.0


class Memory:
    """The memory bus, keeping everything, as a broker does for its retention."""

    rebalance_s = 0.05

    def __init__(self) -> None:
        self._bus = MemoryBus(settings=SETTINGS)

    async def bus(self, topic: Topic) -> Bus:
        self._bus.add(topic)
        return self._bus

    async def evict(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        await self._bus.evict(consumer)


class Kafka:
    """A real broker."""

    rebalance_s = 1.0

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def bus(self, topic: Topic) -> Bus:
        from timeside_core.bus.kafka import KafkaAdmin, KafkaBus

        async with KafkaAdmin(self._bootstrap, settings=SETTINGS) as admin:
            await admin.create(topic, {}, replicas=1)
        return KafkaBus(self._bootstrap, topics=[topic.name], settings=SETTINGS)

    async def evict(self, consumer: Consumer) -> None:
        """Leave the group in its name, so that no session has to run out."""
        from aiokafka.client import ConnectionGroup
        from aiokafka.protocol.group import LeaveGroupRequest

        coordinator: Any = cast("Any", consumer)._client._coordinator
        await coordinator._stop_heartbeat_task()
        await coordinator._client.send(
            coordinator.coordinator_id,
            LeaveGroupRequest(coordinator.group_id, coordinator.member_id),
            group=ConnectionGroup.COORDINATION,
        )


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def harness(request: pytest.FixtureRequest) -> Memory | Kafka:
    return Memory() if request.param == "memory" else Kafka(request.getfixturevalue("kafka_bootstrap"))


@pytest.fixture
def topic() -> str:
    return f"test.{uuid7()}"


@pytest.fixture
async def bus(harness: Memory | Kafka, topic: str) -> AsyncIterator[Bus]:
    async with await harness.bus(Topic(name=topic, partitions=PARTITIONS)) as bus:
        yield bus


async def drain(reader: Reader, count: int, partitions: Iterable[Partition] | None = None) -> list[Record]:
    """The next `count` records; fails where they do not come."""
    wanted = None if partitions is None else list(partitions)
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
        batches = await reader.getmany(wanted, timeout_s=0.2, max_records=count - len(records))
        records += [record for batch in batches.values() for record in batch]
    return records


async def settled(*consumers: Consumer) -> None:
    """Wait until the consumers have all partitions between them."""
    async with asyncio.timeout(PATIENCE_S):
        while sum(len(each.positions) for each in consumers) < PARTITIONS or not all(c.positions for c in consumers):
            for each in consumers:
                await each.getmany([], timeout_s=0.02)


def values(records: Iterable[Record]) -> list[bytes]:
    return [bytes(record.value) for record in records]


async def fill(bus: Bus, topic: str, count: int, *, partition: int = 0) -> None:
    """Records `0`, `1`, … in one partition."""
    for number in range(count):
        await bus.publish(topic, str(number).encode(), partition=partition)


# Sending


async def test_a_key_always_goes_to_the_partition_that_all_clients_compute(bus: Bus, topic: str):
    for key in [b"", b"a", *(os.urandom(16) for _ in range(20))]:
        position = await bus.publish(topic, b"x", key=key)
        assert position.partition == Partition(topic, number_of(key, PARTITIONS))


def test_the_hash_of_keys_is_that_of_kafka():
    # Published vectors of org.apache.kafka.common.utils.Utils.murmur2.
    assert number_of(b"21", 1 << 31) == -973932308 & 0x7FFFFFFF
    assert number_of(b"foobar", 1 << 31) == -790332482 & 0x7FFFFFFF
    assert number_of(b"a-little-bit-long-string", 1 << 31) == -985981536 & 0x7FFFFFFF


async def test_offsets_are_dense_and_keep_the_order_of_sending(bus: Bus, topic: str):
    sent = [await bus.send(topic, str(n).encode(), partition=2) for n in range(100)]
    assert [(await each).offset for each in sent] == list(range(100))
    async with bus.reader() as reader:
        await reader.assign({Partition(topic, 2): "first"})
        records = await drain(reader, 100)
    assert values(records) == [str(n).encode() for n in range(100)]
    assert [record.offset for record in records] == list(range(100))


async def test_a_record_comes_as_it_was_sent(bus: Bus, topic: str):
    before_ms = time.time_ns() // 1_000_000 - 1
    await bus.publish(topic, b"value", key=b"key", partition=1, headers={"traceparent": b"00-1", "ct": b"json"})
    async with bus.reader() as reader:
        await reader.assign({Partition(topic, 1): 0})
        (record,) = await drain(reader, 1)
    assert (record.partition, record.offset, record.key) == (Partition(topic, 1), 0, b"key")
    assert record.value == b"value"
    assert record.value.readonly
    assert dict(record.headers) == {"traceparent": b"00-1", "ct": b"json"}
    assert before_ms <= record.timestamp_ms <= time.time_ns() // 1_000_000 + 1


async def test_half_a_mebibyte_from_any_buffer(bus: Bus, topic: str):
    samples = np.random.default_rng(440).standard_normal(1 << 17, dtype=np.float32)
    await bus.publish(topic, samples.data, key=b"k")
    await bus.publish(topic, bytearray(samples.tobytes()), key=b"k")
    async with bus.reader() as reader:
        await reader.assign({Partition(topic, number_of(b"k", PARTITIONS)): "first"})
        for record in await drain(reader, 2):
            np.testing.assert_array_equal(np.frombuffer(record.value, np.float32), samples)


async def test_what_cannot_be_sent_is_refused(bus: Bus, topic: str):
    with pytest.raises(BusError, match="needs a key or a partition"):
        await bus.send(topic, b"x")
    with pytest.raises(BusError, match="partition=4 is none of them"):
        await bus.send(topic, b"x", partition=PARTITIONS)
    with pytest.raises(MessageSizeError, match="1000001 bytes"):
        await bus.send(topic, bytes(1_000_001), partition=0)


async def test_missing_topics_are_named_at_once(bus: Bus, topic: str):
    await bus.check(topic)
    assert await bus.partition_count(topic) == PARTITIONS
    async with asyncio.timeout(5):
        with pytest.raises(MissingTopicError, match=r"no\.such, nor\.such"):
            await bus.check("no.such", topic, "nor.such")
        with pytest.raises(MissingTopicError, match=r"no\.such"):
            await bus.send("no.such", b"x", key=b"k")
        with pytest.raises(MissingTopicError, match=r"no\.such"):
            await bus.consumer("no.such", group=topic).start()
        with pytest.raises(MissingTopicError, match=r"\[4\]"):
            await bus.bounds([Partition(topic, PARTITIONS)])
        with pytest.raises(MissingTopicError, match=r"\[4\]"):
            await bus.offsets_for_times({Partition(topic, PARTITIONS): 0})
        async with bus.reader() as reader:
            with pytest.raises(MissingTopicError, match=r"\[4\]"):
                await reader.assign({Partition(topic, PARTITIONS): "first"})


async def test_a_closed_bus_refuses(bus: Bus, topic: str):
    await bus.flush()
    await bus.close()
    await bus.close()
    with pytest.raises(BusError, match="closed"):
        await bus.send(topic, b"x", key=b"k")


# Reading without a group


async def test_a_reader_reads_what_it_chooses_and_where(bus: Bus, topic: str):
    first, second = Partition(topic, 0), Partition(topic, 1)
    await fill(bus, topic, 5)
    await fill(bus, topic, 3, partition=1)
    async with bus.reader() as reader:
        assert await reader.getmany(timeout_s=0.05) == {}
        await reader.assign({first: 3})
        assert values(await drain(reader, 1)) == [b"3"]
        await reader.assign({**reader.positions, second: "last"})
        assert dict(reader.positions) == {first: 4, second: 3}
        await bus.publish(topic, b"new", partition=1)
        assert sorted(values(await drain(reader, 2))) == [b"4", b"new"]
        reader.seek(second, 0)
        assert values(await drain(reader, 4)) == [b"0", b"1", b"2", b"new"]
        await reader.assign({})
        with pytest.raises(StaleMemberError):
            reader.seek(second, 0)


async def test_two_readers_get_the_same(bus: Bus, topic: str):
    await fill(bus, topic, 3)
    async with bus.reader() as one, bus.reader() as two:
        for reader in (one, two):
            await reader.assign({Partition(topic, 0): "first"})
            assert values(await drain(reader, 3)) == [b"0", b"1", b"2"]


async def test_bounds_and_offsets_for_times(bus: Bus, topic: str):
    partition = Partition(topic, 0)
    assert await bus.bounds([partition]) == {partition: (0, 0)}
    await fill(bus, topic, 3)
    await asyncio.sleep(0.01)
    between_ms = time.time_ns() // 1_000_000
    await asyncio.sleep(0.01)
    await fill(bus, topic, 2)
    assert await bus.bounds([partition]) == {partition: (0, 5)}
    later_ms = between_ms + 3_600_000
    assert await bus.offsets_for_times({partition: between_ms}) == {partition: 3}
    assert await bus.offsets_for_times({partition: 0}) == {partition: 0}
    assert await bus.offsets_for_times({partition: later_ms}) == {partition: None}
    await bus.trim({partition: 4})
    assert await bus.bounds([partition]) == {partition: (4, 5)}


# Backpressure


async def test_partitions_left_out_keep_their_records(bus: Bus, topic: str):
    ready, full = Partition(topic, 0), Partition(topic, 1)
    for number in range(20):
        await bus.publish(topic, str(number).encode(), partition=number % 2)
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        assert {record.partition for record in await drain(consumer, 10, [ready])} == {ready}
        assert await consumer.getmany([ready], timeout_s=0.3) == {}
        assert await consumer.getmany([], timeout_s=0.05) == {}
        assert await consumer.getmany([Partition(topic, 99), Partition("other", 0)], timeout_s=0.05) == {}
        assert consumer.positions[full] == 0
        assert values(await drain(consumer, 10, [full])) == [str(n).encode() for n in range(1, 20, 2)]


async def test_no_more_than_asked_for_at_once(bus: Bus, topic: str):
    for partition in range(PARTITIONS):
        await fill(bus, topic, 10, partition=partition)
    async with bus.consumer(topic, group=topic) as consumer:
        got: list[Record] = []
        while len(got) < 40:
            batches = await consumer.getmany(timeout_s=1, max_records=3)
            assert sum(map(len, batches.values())) <= 3
            got += [record for batch in batches.values() for record in batch]
    for partition in range(PARTITIONS):
        assert [r.offset for r in got if r.partition.number == partition] == list(range(10))


async def test_a_record_wakes_who_waits(bus: Bus, topic: str):
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        waiting = asyncio.create_task(consumer.getmany(timeout_s=PATIENCE_S))
        await asyncio.sleep(0.05)
        await bus.publish(topic, b"x", partition=3)
        async with asyncio.timeout(5):
            assert [*(await waiting)] == [Partition(topic, 3)]


# Groups


async def test_a_group_shares_and_two_groups_do_not(bus: Bus, topic: str):
    async with (
        bus.consumer(topic, group=topic) as one,
        bus.consumer(topic, group=topic) as two,
        bus.consumer(topic, group=topic + ".other") as other,
    ):
        await settled(one, two)
        await settled(other)
        assert not one.positions.keys() & two.positions.keys()
        assert one.positions.keys() | two.positions.keys() == other.positions.keys()
        for partition in range(PARTITIONS):
            await fill(bus, topic, 1, partition=partition)
        got = [*await drain(one, 2), *await drain(two, 2)]
        assert {record.partition.number for record in got} == set(range(PARTITIONS))
        assert len(await drain(other, 4)) == 4


async def test_the_next_member_starts_at_the_commit(bus: Bus, topic: str):
    partition = Partition(topic, 0)
    await fill(bus, topic, 10)
    async with bus.consumer(topic, group=topic) as consumer:
        await drain(consumer, 10)
        await consumer.commit({partition: 6})
        assert await consumer.committed(partition) == 6
        assert await bus.committed(topic, [partition]) == {partition: 6}
        assert await bus.committed("nobody", [partition]) == {}
    async with bus.consumer(topic, group=topic) as consumer:
        assert values(await drain(consumer, 4)) == [b"6", b"7", b"8", b"9"]


async def test_a_member_may_seek_back_and_replay(bus: Bus, topic: str):
    partition = Partition(topic, 0)
    await fill(bus, topic, 5)
    async with bus.consumer(topic, group=topic) as consumer:
        first = await drain(consumer, 5)
        consumer.seek(partition, 2)
        assert await drain(consumer, 3) == first[2:]


async def test_the_first_offset_is_committed_at_once(bus: Bus, topic: str):
    await fill(bus, topic, 3)
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        await consumer.getmany()
        assert await consumer.committed(Partition(topic, 0)) == 0
    async with bus.consumer(topic, group=topic + ".late", start="last") as consumer:
        await settled(consumer)
        await consumer.getmany()
        assert await consumer.committed(Partition(topic, 0)) == 3
    await bus.publish(topic, b"new", partition=0)
    async with bus.consumer(topic, group=topic + ".late", start="last") as consumer:
        assert values(await drain(consumer, 1)) == [b"new"]


async def test_a_commit_while_revoked_counts_and_what_is_not_committed_is_replayed(bus: Bus, topic: str):
    revoked: list[frozenset[Partition]] = []

    async def commit(one: Consumer, partitions: frozenset[Partition]) -> None:
        revoked.append(partitions)
        await one.commit({partition: one.positions[partition] - 1 for partition in partitions})

    for partition in range(PARTITIONS):
        await fill(bus, topic, 3, partition=partition)
    async with bus.consumer(topic, group=topic, on_revoked=commit) as one:
        await drain(one, 3 * PARTITIONS)
        two = bus.consumer(topic, group=topic)
        async with two:
            await settled(one, two)
            assert revoked == [frozenset(Partition(topic, number) for number in range(PARTITIONS))]
            assert values([*await drain(one, len(one.positions)), *await drain(two, len(two.positions))]) == [b"2"] * 4


async def test_nothing_can_be_committed_looked_up_and_dropped(bus: Bus, topic: str):
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        await consumer.commit({})
    assert await bus.bounds([]) == {}
    assert await bus.offsets_for_times({}) == {}
    await bus.trim({})


async def test_a_member_has_no_choice_and_a_closed_one_no_say(bus: Bus, topic: str):
    partition = Partition(topic, 0)
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        with pytest.raises(BusError, match="dealt out by its group"):
            await consumer.assign({partition: 0})
    with pytest.raises(StaleMemberError):
        await consumer.commit({partition: 0})
    with pytest.raises(StaleMemberError):
        consumer.seek(partition, 0)
    with pytest.raises(BusError, match="closed"):
        await consumer.getmany()


async def test_a_commit_of_what_is_not_ours_is_refused(bus: Bus, topic: str):
    async with bus.consumer(topic, group=topic) as consumer:
        await settled(consumer)
        with pytest.raises(StaleMemberError, match="nowhere"):
            await consumer.commit({Partition("nowhere", 0): 1})


async def test_a_zombie_cannot_commit_and_joins_anew(harness: Memory | Kafka, bus: Bus, topic: str):
    partition = Partition(topic, 0)
    await fill(bus, topic, 4)
    async with bus.consumer(topic, group=topic) as zombie:
        await drain(zombie, 4)
        await zombie.commit({partition: 1})
        await harness.evict(zombie)
        async with bus.consumer(topic, group=topic) as heir:
            assert values(await drain(heir, 3)) == [b"1", b"2", b"3"]
            await heir.commit({partition: 3})
            with pytest.raises(StaleMemberError):
                await zombie.commit({partition: 4})
            assert await heir.committed(partition) == 3
            await settled(zombie, heir)
            assert await heir.committed(partition) == 3


# Rebalances


async def test_own_state_may_be_kept_by_seeking_when_a_partition_comes_back(bus: Bus, topic: str):
    kept: dict[Partition, int] = {}

    async def keep(one: Consumer, _: frozenset[Partition]) -> None:
        kept.update(one.positions)

    async def seek(one: Consumer, partitions: frozenset[Partition]) -> None:
        for partition in partitions & kept.keys():
            one.seek(partition, kept[partition])

    for partition in range(PARTITIONS):
        await fill(bus, topic, 3, partition=partition)
    async with bus.consumer(topic, group=topic, on_revoked=keep, on_assigned=seek) as one:
        await drain(one, 3 * PARTITIONS)
        async with bus.consumer(topic, group=topic) as two:
            await settled(one, two)
            assert all(one.positions[partition] == 3 for partition in one.positions)
            assert await one.getmany(timeout_s=0.5) == {}
            assert len(await drain(two, 3 * len(two.positions))) == 3 * len(two.positions)


async def test_offsets_may_be_kept_elsewhere(bus: Bus, topic: str):
    elsewhere = {Partition(topic, 0): 7}

    async def seek(consumer: Consumer, partitions: frozenset[Partition]) -> None:
        for partition in partitions & elsewhere.keys():
            consumer.seek(partition, elsewhere[partition])

    await fill(bus, topic, 9)
    async with bus.consumer(topic, group=topic, on_assigned=seek) as consumer:
        assert values(await drain(consumer, 2)) == [b"7", b"8"]


async def test_what_a_callback_raises_reaches_who_reads(bus: Bus, topic: str):
    async def fail(_: Consumer, __: frozenset[Partition]) -> None:
        raise RuntimeError("no database")

    async with bus.consumer(topic, group=topic, on_assigned=fail) as consumer:
        with pytest.raises(RuntimeError, match="no database"):
            await drain(consumer, 1)


async def test_members_come_and_go_and_nothing_is_missed(harness: Memory | Kafka, bus: Bus, topic: str):
    """Each member reads on without a gap from where it was assigned, and in the end all was committed by someone."""
    rng = np.random.default_rng(440)
    count, seen = 120, set[tuple[int, int]]()

    async def member(start_s: float, stay_s: float) -> None:
        await asyncio.sleep(start_s * harness.rebalance_s)
        expected: dict[Partition, int] = {}

        async def commit(consumer: Consumer, partitions: frozenset[Partition]) -> None:
            offsets = {partition: expected.pop(partition) for partition in partitions}
            with contextlib.suppress(StaleMemberError):
                await consumer.commit(offsets)

        async def begin(consumer: Consumer, partitions: frozenset[Partition]) -> None:
            assert not expected
            expected.update({partition: consumer.positions[partition] for partition in partitions})

        async with bus.consumer(topic, group=topic, on_revoked=commit, on_assigned=begin) as consumer:
            deadline = time.monotonic() + stay_s * harness.rebalance_s
            while time.monotonic() < deadline:
                for partition, batch in (await consumer.getmany(timeout_s=0.05, max_records=7)).items():
                    assert [r.offset for r in batch] == list(range(expected[partition], batch[-1].offset + 1))
                    expected[partition] = batch[-1].offset + 1
                    seen.update((partition.number, int(bytes(r.value))) for r in batch)
                if rng.random() < 0.3:
                    with contextlib.suppress(StaleMemberError):
                        await consumer.commit(dict(expected))

    async def send() -> None:
        for number in range(count):
            for partition in range(PARTITIONS):
                await bus.publish(topic, str(number).encode(), partition=partition)
            await asyncio.sleep(0.01 * harness.rebalance_s)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        for start_s, stay_s in [(0.0, 6.0), (0.3, 1.0), (0.7, 0.8), (1.4, 1.2), (2.2, 3.8)]:
            group.create_task(member(start_s, stay_s))
    assert seen == {(partition, number) for partition in range(PARTITIONS) for number in range(count)}


# Loss is loud


async def test_expired_offsets_are_an_error_until_one_seeks_and_others_flow(bus: Bus, topic: str):
    expired, other = Partition(topic, 0), Partition(topic, 1)
    await fill(bus, topic, 6)
    await fill(bus, topic, 2, partition=1)
    async with bus.consumer(topic, group=topic) as consumer:
        await drain(consumer, 8)
        await consumer.commit({expired: 1, other: 0})
    await bus.trim({expired: 4})
    async with bus.consumer(topic, group=topic) as consumer:
        with pytest.raises(OffsetOutOfRangeError, match=r"offset 1 is not there, and offsets 4 up to 6"):
            await drain(consumer, 1, [expired])
        with pytest.raises(OffsetOutOfRangeError) as caught:
            await drain(consumer, 1, [expired])
        assert (caught.value.partition, caught.value.offset, caught.value.bounds) == (expired, 1, (4, 6))
        assert values(await drain(consumer, 2, [other])) == [b"0", b"1"]
        consumer.seek(expired, caught.value.bounds.first)
        assert values(await drain(consumer, 2)) == [b"4", b"5"]


async def test_records_dropped_before_the_group_ever_came_are_a_loss(bus: Bus, topic: str):
    partition = Partition(topic, 2)
    await fill(bus, topic, 3, partition=2)
    await bus.trim({partition: 2})
    async with bus.consumer(topic, group=topic) as consumer:
        with pytest.raises(OffsetOutOfRangeError, match="nothing was ever committed") as caught:
            await drain(consumer, 1)
        assert (caught.value.partition, caught.value.offset) == (partition, None)
        assert await consumer.committed(partition) is None
        consumer.seek(partition, caught.value.bounds.first)
        assert values(await drain(consumer, 1)) == [b"2"]
    async with bus.consumer(topic, group=topic + ".new", start="last") as consumer:
        await settled(consumer)
        assert await consumer.getmany(timeout_s=0.1) == {}


async def test_a_reader_past_the_end_is_told(bus: Bus, topic: str):
    await fill(bus, topic, 2)
    async with bus.reader() as reader:
        await reader.assign({Partition(topic, 0): 9})
        with pytest.raises(OffsetOutOfRangeError, match="offset 9 is not there, and offsets 0 up to 2"):
            await drain(reader, 1)
