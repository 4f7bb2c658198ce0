"""One reading of Kafka for many: who is quick, slow or late hears all, in order."""

import asyncio
from uuid import uuid4

import pytest

from timeside_api.http.stream.tap import Reading, Tap
from timeside_core.bus import Bus, BusSettings, OffsetOutOfRangeError, Partition, Topic, connect
from timeside_core.bus.kafka import KafkaAdmin

pytestmark = pytest.mark.integration


async def hear(reading: Reading, count: int) -> list[int]:
    heard: list[int] = []
    async with asyncio.timeout(60):
        while len(heard) < count:
            heard += [int.from_bytes(each.record.value) for each in await reading.next(timeout_s=1.0, at_most=16)]
    return heard


async def send(bus: Bus, topic: str, numbers: range) -> None:
    for number in numbers:
        await bus.send(topic, number.to_bytes(4), partition=0)
    await bus.flush()


async def test_who_is_quick_slow_or_late_hears_all(kafka_bootstrap: str):
    topic = Topic(name=f"tap-{uuid4().hex}", partitions=1)
    partition = Partition(topic.name, 0)
    async with KafkaAdmin(kafka_bootstrap) as admin:
        await admin.create(topic, {}, replicas=1)
    async with connect(f"kafka://{kafka_bootstrap}", settings=BusSettings(retry_s=0.05)) as bus:
        tap = Tap(bus, memory_bytes=64 << 10, readers=2)
        with tap.reading() as quick, tap.reading() as slow, tap.reading() as late:
            await send(bus, topic.name, range(200))
            quick.follow({partition: 0})
            slow.follow({partition: 0})
            assert await hear(quick, 200) == list(range(200))
            some = await hear(slow, 20)
            await send(bus, topic.name, range(200, 400))
            assert await hear(quick, 200) == list(range(200, 400))
            assert some + await hear(slow, 400 - len(some)) == list(range(400))
            late.follow({partition: 10})
            assert await hear(late, 390) == list(range(10, 400))
        await bus.trim({partition: 100})
        with tap.reading() as reading:
            reading.follow({partition: 50})
            with pytest.raises(OffsetOutOfRangeError) as told:
                await hear(reading, 1)
            reading.seek(partition, told.value.bounds.first)
            assert await hear(reading, 300) == list(range(100, 400))
        await tap.close()
