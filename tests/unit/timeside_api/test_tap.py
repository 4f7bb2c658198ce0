"""One reading of the bus for many: each hears all, in order, at its own pace; loss is told."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from timeside_api.http.stream import tap as module
from timeside_api.http.stream.tap import Reading, Tap
from timeside_core.bus import BusSettings, OffsetOutOfRangeError, Partition, Reader, Topic
from timeside_core.bus.memory import MemoryBus

TOPIC = Topic(name="rows", partitions=2)
ONE, TWO = Partition("rows", 0), Partition("rows", 1)


class CountingBus(MemoryBus):
    """Tells how many readers were asked for."""

    readers = 0

    def reader(self) -> Reader:  # type: ignore[override]
        self.readers += 1
        return super().reader()


@pytest.fixture
async def bus() -> AsyncIterator[CountingBus]:
    async with CountingBus([TOPIC], settings=BusSettings(max_partition_bytes=None)) as bus:
        yield bus


@pytest.fixture
async def tap(bus: CountingBus) -> AsyncIterator[Tap]:
    tap = Tap(bus, memory_bytes=1 << 20, readers=2)
    yield tap
    await tap.close()


async def send(bus: MemoryBus, numbers: range, partition: int = 0) -> None:
    for number in numbers:
        await bus.publish("rows", number.to_bytes(4), partition=partition)


async def hear(reading: Reading, count: int, at_most: int = 7) -> list[int]:
    heard: list[int] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            found = await reading.next(timeout_s=1.0, at_most=at_most)
            heard += [int.from_bytes(each.record.value) for each in found]
    return heard


async def test_all_hear_everything_through_one_reader(bus: CountingBus, tap: Tap):
    with tap.reading() as first, tap.reading() as second:
        for reading in (first, second):
            reading.follow({ONE: 0, TWO: 0})
        await send(bus, range(50))
        await send(bus, range(50, 100), partition=1)
        for reading in (first, second):
            heard = await hear(reading, 100)
            assert [each for each in heard if each < 50] == list(range(50))
            assert [each for each in heard if each >= 50] == list(range(50, 100))
    assert bus.readers == 1


async def test_who_begins_earlier_is_served_from_the_bus(bus: CountingBus, tap: Tap):
    await send(bus, range(300))
    with tap.reading() as late, tap.reading() as early:
        late.follow({ONE: 290})
        assert await hear(late, 10) == list(range(290, 300))
        early.follow({ONE: 5})
        assert await hear(early, 295) == list(range(5, 300))
        await send(bus, range(300, 310))
        assert await hear(early, 10) == await hear(late, 10) == list(range(300, 310))


async def test_who_is_slower_than_the_memory_misses_nothing(bus: CountingBus):
    tap = Tap(bus, memory_bytes=16 << 10, readers=1)
    moments = np.random.default_rng(440)
    with tap.reading() as quick, tap.reading() as slow:
        quick.follow({ONE: 0})
        slow.follow({ONE: 0})
        heard: list[int] = []
        for first in range(0, 1000, 100):
            await send(bus, range(first, first + 100))
            assert await hear(quick, 100, at_most=100) == list(range(first, first + 100))
            heard += await hear(slow, int(moments.integers(1, 40)))
        assert heard + await hear(slow, 1000 - len(heard)) == list(range(1000))
    await tap.close()


async def test_what_the_bus_has_dropped_is_told(bus: CountingBus, tap: Tap):
    await send(bus, range(10))
    await bus.trim({ONE: 6})
    with tap.reading() as reading:
        reading.follow({ONE: 2})
        with pytest.raises(OffsetOutOfRangeError) as told:
            await hear(reading, 1)
        assert told.value.bounds.first == 6
        reading.seek(ONE, 6)
        assert await hear(reading, 4) == [6, 7, 8, 9]


async def test_a_loss_in_one_partition_takes_nothing_from_others(bus: CountingBus, tap: Tap):
    await send(bus, range(10))
    await send(bus, range(100, 110), partition=1)
    await bus.trim({TWO: 9})
    with tap.reading() as reading:
        reading.follow({ONE: 0, TWO: 0})
        heard, losses = list[int](), list[Partition]()
        while len(heard) < 11:
            try:
                heard += await hear(reading, 1)
            except OffsetOutOfRangeError as error:
                losses.append(error.partition)
                reading.seek(TWO, error.bounds.first)
        assert (sorted(heard), losses) == ([*range(10), 109], [TWO])


async def test_partitions_that_nobody_wants_are_left(bus: CountingBus, tap: Tap, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    monkeypatch.setattr(module, "TURN_S", 0.05)
    with tap.reading() as reading:
        reading.follow({ONE: 0})
        await send(bus, range(5))
        assert await hear(reading, 5) == list(range(5))
    await asyncio.sleep(0.2)
    with tap.reading() as reading:
        reading.follow({ONE: 2})
        assert await hear(reading, 3) == [2, 3, 4]


async def test_a_wait_ends_in_time(tap: Tap):
    with tap.reading() as reading:
        reading.follow({ONE: 0})
        assert await reading.next(timeout_s=0.01, at_most=1) == []
