"""What only the memory bus does: it is bounded, deterministic, and copies nothing. The contract is tested elsewhere."""

import asyncio

import pytest

from timeside_core.bus import BusSettings, Consumer, OffsetOutOfRangeError, Partition, Topic, connect
from timeside_core.bus.memory import MemoryBus
from timeside_core.errors import BusError, ParameterError

FIRST = Partition("t", 0)


def bus(*, max_partition_bytes: int | None = 100, partitions: int = 1) -> MemoryBus:
    return MemoryBus(
        [Topic(name="t", partitions=partitions)], settings=BusSettings(max_partition_bytes=max_partition_bytes)
    )


async def is_held_back(sending: "asyncio.Task[object]") -> bool:
    await asyncio.sleep(0.02)
    return not sending.done()


async def test_without_a_group_the_oldest_records_go():
    memory = bus()
    for number in range(7):
        await memory.publish("t", bytes([number]) * 30, partition=0)
    assert (await memory.bounds([FIRST]))[FIRST] == (4, 7)


async def test_a_sender_waits_for_the_slowest_group_and_nothing_unread_is_dropped():
    memory = bus()
    async with memory.consumer("t", group="fast") as fast, memory.consumer("t", group="slow") as slow:
        for number in range(3):
            await memory.publish("t", bytes([number]) * 30, partition=0)
        sending = asyncio.create_task(memory.publish("t", bytes([3]) * 30, partition=0))
        assert len((await fast.getmany())[FIRST]) == 3
        assert await is_held_back(sending)
        assert [each.offset for each in (await slow.getmany(max_records=1))[FIRST]] == [0]
        assert (await sending).offset == 3
        assert [each.offset for each in (await slow.getmany())[FIRST]] == [1, 2, 3]
        assert (await memory.bounds([FIRST]))[FIRST] == (1, 4)


async def test_leaving_a_partition_out_holds_back_its_senders_only():
    memory = bus(partitions=2)
    async with memory.consumer("t", group="g") as consumer:
        for partition in (0, 1):
            await memory.publish("t", bytes(100), partition=partition)
        full = asyncio.create_task(memory.publish("t", bytes(100), partition=0))
        assert [*await consumer.getmany([Partition("t", 1)])] == [Partition("t", 1)]
        await memory.publish("t", bytes(100), partition=1)
        assert await is_held_back(full)
        await consumer.getmany([FIRST])
        await full


async def test_a_message_larger_than_a_partition_passes_alone():
    memory = bus()
    async with memory.consumer("t", group="g") as consumer:
        await memory.publish("t", bytes(500), partition=0)
        sending = asyncio.create_task(memory.publish("t", bytes(1), partition=0))
        assert await is_held_back(sending)
        await consumer.getmany()
        await sending


async def test_senders_are_let_go_when_the_group_leaves_or_the_bus_closes():
    memory = bus()
    async with memory.consumer("t", group="g"):
        await memory.publish("t", bytes(100), partition=0)
        sending = asyncio.create_task(memory.publish("t", bytes(100), partition=0))
        assert await is_held_back(sending)
    await sending
    async with memory.consumer("t", group="g"), memory.reader() as reader:
        await reader.assign({FIRST: "last"})
        sending = asyncio.create_task(memory.publish("t", bytes(100), partition=0))
        waiting = asyncio.create_task(reader.getmany(timeout_s=10))
        assert await is_held_back(sending)
        await memory.close()
        for refused in (sending, waiting):
            with pytest.raises(BusError, match="closed"):
                await refused


async def test_a_replay_beyond_what_is_kept_is_a_loss_and_loud():
    memory = bus()
    async with memory.consumer("t", group="g") as consumer:
        for number in range(9):
            await memory.publish("t", bytes([number]) * 50, partition=0)
            await consumer.getmany()
        consumer.seek(FIRST, 0)
        with pytest.raises(OffsetOutOfRangeError, match="offset 0 is not there, and offsets 7 up to 9"):
            await consumer.getmany()


async def test_nothing_is_copied():
    memory, value = bus(), bytearray(b"samples")
    await memory.publish("t", value, partition=0)
    async with memory.reader() as reader:
        await reader.assign({FIRST: "first"})
        (record,) = (await reader.getmany())[FIRST]
    assert record.value.obj is value
    assert record.value.readonly


async def test_partitions_are_dealt_out_in_turn_in_order_of_joining():
    memory = bus(partitions=5)
    async with memory.consumer("t", group="g") as one, memory.consumer("t", group="g") as two:
        assert [each.number for each in one.positions] == [0, 2, 4]
        assert [each.number for each in two.positions] == [1, 3]


async def test_no_partition_starves():
    memory = bus(partitions=2, max_partition_bytes=None)
    async with memory.consumer("t", group="g") as consumer:
        for _ in range(3):
            for partition in (0, 1):
                await memory.publish("t", b"x", partition=partition)
        turns = [next(iter(await consumer.getmany(max_records=1))).number for _ in range(6)]
    assert turns == [0, 1, 0, 1, 0, 1]


async def test_a_cancelled_join_leaves_the_others_at_work():
    memory, began = bus(partitions=2), asyncio.Event()

    async def linger(_: Consumer, __: frozenset[Partition]) -> None:
        began.set()
        await asyncio.sleep(0.05)

    async with memory.consumer("t", group="g", on_revoked=linger) as one:
        joining = asyncio.create_task(memory.consumer("t", group="g").start())
        await began.wait()
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        await memory.publish("t", b"x", partition=0)
        assert await one.getmany(timeout_s=5)


async def test_urls():
    async with connect("memory://", topics=[Topic(name="t", partitions=1)]) as memory:
        assert isinstance(memory, MemoryBus)
        await memory.check("t")
    for url in ("kafka://", "amqp://host", "host:9092", ""):
        with pytest.raises(ParameterError, match="neither memory:// nor kafka://host:port"):
            connect(url)
