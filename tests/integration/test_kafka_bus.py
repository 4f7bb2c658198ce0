"""What only a real broker can suffer: to be killed, to hang, to be away; nothing sent is lost or doubled."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest
from tests.support.kafka import Broker

from timeside_core.bus import Bus, BusSettings, Consumer, Partition, Position, Topic
from timeside_core.bus.kafka import KafkaAdmin, KafkaBus
from timeside_core.errors import BusError, BusUnavailableError, StaleMemberError
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration

SETTINGS = BusSettings(heartbeat_s=0.2, session_s=6, request_s=4, retry_s=0.05, stop_s=1, commit_s=1, start_s=20)


@pytest.fixture
async def topic(kafka_broker: Broker) -> str:
    topic = Topic(name=f"test.{uuid7()}", partitions=2)
    async with KafkaAdmin(kafka_broker.bootstrap) as admin:
        await admin.create(topic, {}, replicas=1)
    return topic.name


@pytest.fixture
async def bus(kafka_broker: Broker, topic: str) -> AsyncIterator[Bus]:
    async with KafkaBus(kafka_broker.bootstrap, topics=[topic], settings=SETTINGS) as bus:
        yield bus


async def everything(bus: Bus, partition: Partition) -> list[int]:
    async with bus.reader() as reader:
        await reader.assign({partition: "first"})
        got: list[int] = []
        end = (await bus.bounds([partition]))[partition].next
        while reader.positions[partition] < end:
            for batch in (await reader.getmany(timeout_s=1)).values():
                got += [int(bytes(record.value)) for record in batch]
        return got


async def test_a_killed_broker_loses_and_doubles_nothing(kafka_broker: Broker, bus: Bus, topic: str):
    sent: list[asyncio.Future[Position]] = []

    async def send(count: int) -> None:
        for _ in range(count):
            sent.append(await bus.send(topic, str(len(sent)).encode(), partition=0))
            await asyncio.sleep(0.001)

    await send(50)
    sending = asyncio.create_task(send(200))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(kafka_broker.kill)
    await asyncio.sleep(4.5)  # longer than a request may take
    await asyncio.to_thread(kafka_broker.start)
    async with asyncio.timeout(60):
        await sending
        await asyncio.gather(*sent)
    assert await everything(bus, Partition(topic, 0)) == list(range(250))


async def test_a_consumer_reads_on_after_an_outage_and_commits_again(kafka_broker: Broker, bus: Bus, topic: str):
    partition = Partition(topic, 0)
    await bus.publish(topic, b"0", partition=0)
    async with bus.consumer(topic, group=topic) as consumer:
        while not await consumer.getmany(timeout_s=1):
            pass
        await asyncio.to_thread(kafka_broker.kill)
        assert await consumer.getmany(timeout_s=0.5) == {}
        with pytest.raises(BusUnavailableError, match=r"a commit of group .* no answer within 1 s"):
            await consumer.commit({partition: 1})
        await asyncio.to_thread(kafka_broker.start)
        await bus.publish(topic, b"1", partition=0)
        async with asyncio.timeout(60):
            while not await reads_and_commits(consumer, partition, 2):
                pass
            assert await consumer.committed(partition) == 2


async def reads_and_commits(consumer: Consumer, partition: Partition, offset: int) -> bool:
    """Whether this time it worked: the group may still be looking for its coordinator, or deal out anew."""
    await consumer.getmany(timeout_s=1)
    try:
        if consumer.positions.get(partition) != offset:
            return False
        await consumer.commit({partition: offset})
    except (BusUnavailableError, StaleMemberError):
        return False
    return True


async def test_a_start_waits_for_the_broker(kafka_broker: Broker, topic: str):
    await asyncio.to_thread(kafka_broker.kill)
    hurried = KafkaBus(kafka_broker.bootstrap, settings=SETTINGS.model_copy(update={"start_s": 0.3}))
    with pytest.raises(BusUnavailableError, match=r"did not answer within 0\.3 s"):
        await hurried.start()
    async with asyncio.TaskGroup() as group:
        patient = KafkaBus(kafka_broker.bootstrap, topics=[topic], settings=SETTINGS)
        group.create_task(patient.start())
        group.create_task(asyncio.to_thread(kafka_broker.start))
    await patient.publish(topic, b"0", partition=0)
    await patient.close()


async def test_a_bus_that_has_started_asks_for_topics_until_the_broker_is_back(kafka_broker: Broker, topic: str):
    async with KafkaBus(kafka_broker.bootstrap, settings=SETTINGS) as bus, asyncio.TaskGroup() as group:
        await asyncio.to_thread(kafka_broker.kill)
        count = group.create_task(bus.partition_count(topic))
        await asyncio.sleep(1)
        await asyncio.to_thread(kafka_broker.start)
        assert await count == 2


async def test_senders_wait_while_too_much_is_on_its_way(kafka_broker: Broker, topic: str):
    settings = SETTINGS.model_copy(update={"max_in_flight_bytes": 310_000})
    async with KafkaBus(kafka_broker.bootstrap, topics=[topic], settings=settings) as bus:
        await bus.publish(topic, b"first", partition=0)
        kafka_broker.freeze()
        try:
            async with asyncio.timeout(10):
                sent = [await bus.send(topic, bytes(100_000), partition=0) for _ in range(3)]
            waiting = asyncio.create_task(bus.send(topic, bytes(100_000), partition=1))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        finally:
            kafka_broker.thaw()
        async with asyncio.timeout(30):
            sent.append(await waiting)
            assert [position.offset for position in await asyncio.gather(*sent)] == [1, 2, 3, 0]


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_stop_ends_in_time_and_says_what_it_abandoned(kafka_broker: Broker, topic: str, frozen: bool):
    bus = KafkaBus(kafka_broker.bootstrap, topics=[topic], settings=SETTINGS)
    await bus.start()
    consumer = bus.consumer(topic, group=topic)
    await consumer.start()
    await consumer.getmany(timeout_s=1)
    if frozen:
        kafka_broker.freeze()
    else:
        await asyncio.to_thread(kafka_broker.kill)
    try:
        sent = await bus.send(topic, b"never", partition=0)
        began = time.monotonic()
        await consumer.close()
        await bus.close()
        assert time.monotonic() - began < 8 * SETTINGS.stop_s
        with pytest.raises(BusError, match="was given up"):
            await sent
    finally:
        if frozen:
            kafka_broker.thaw()
        else:
            await asyncio.to_thread(kafka_broker.start)


MEMBER = """
import asyncio, sys
from timeside_core.bus import BusSettings, Partition, connect

async def main(bootstrap, topic):
    settings = BusSettings(session_s=6, heartbeat_s=0.2)
    async with connect(f"kafka://{bootstrap}", settings=settings) as bus, bus.consumer(topic, group=topic) as consumer:
        read = 0
        while read < 5:
            read += sum(map(len, (await consumer.getmany(timeout_s=1)).values()))
        await consumer.commit({Partition(topic, 0): 2})
        print("committed", flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_heir_of_a_killed_member_replays_from_its_commit(kafka_broker: Broker, bus: Bus, topic: str):
    for number in range(5):
        await bus.publish(topic, str(number).encode(), partition=0)
    command = (sys.executable, "-c", MEMBER, kafka_broker.bootstrap, topic)
    member = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert member.stdout is not None
    try:
        async with asyncio.timeout(40):
            assert await member.stdout.readline() == b"committed\n"
    finally:
        member.kill()
        await member.wait()
    async with bus.consumer(topic, group=topic) as heir, asyncio.timeout(40):
        while not (got := (await heir.getmany(timeout_s=1)).get(Partition(topic, 0))):
            pass
    assert [record.offset for record in got] == [2, 3, 4]
