"""Dead letters, over both buses: kept with cause and origin, listed, sent again."""

import os
from collections.abc import AsyncIterator

import pytest

from timeside_core import dead_letters, topics
from timeside_core.bus import Bus, OffsetOutOfRangeError, Partition, Record, Topic, connect
from timeside_core.errors import PoisonError
from timeside_core.ids import uuid7
from timeside_core.messages import decode


@pytest.fixture
def origin() -> str:
    return f"test.{uuid7()}"


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
async def bus(request: pytest.FixtureRequest, origin: str) -> AsyncIterator[Bus]:
    needed = [topic for topic in topics.declared() if topic.name == topics.DEAD_LETTERS]
    needed.append(Topic(name=origin, partitions=2, replicas=1, min_in_sync=1))
    url = "memory://"
    if request.param == "kafka":
        bootstrap: str = request.getfixturevalue("kafka_bootstrap")
        await topics.apply(bootstrap, needed)
        url = f"kafka://{bootstrap}"
    async with connect(url, topics=needed) as bus:
        yield bus


async def send_and_read(bus: Bus, origin: str, value: bytes) -> Record:
    position = await bus.publish(origin, value, key=b"\x00key", partition=1, headers={"traceparent": b"\xff00-1"})
    return await read(bus, position.partition, position.offset)


async def read(bus: Bus, partition: Partition, offset: int) -> Record:
    async with bus.reader() as reader:
        await reader.assign({partition: offset})
        return (await reader.getmany(timeout_s=20))[partition][0]


async def letters_of(bus: Bus, origin: str) -> list[dead_letters.Letter]:
    return [each async for each in dead_letters.letters(bus) if each.letter.topic == origin]


async def test_poison_is_kept_listed_and_sent_again(bus: Bus, origin: str):
    record = await send_and_read(bus, origin, b"\xfenot a message")
    with pytest.raises(PoisonError) as poison:
        decode(topics.CONTROL, record.value)
    position = await dead_letters.bury(bus, record, group="recorder", cause=str(poison.value))

    (found,) = await letters_of(bus, origin)
    assert found.position == position
    assert found.letter.cause == str(poison.value)
    assert (found.letter.topic, found.letter.partition, found.letter.offset) == (origin, 1, record.offset)
    assert (found.letter.key, found.letter.value) == (b"\x00key", b"\xfenot a message")
    assert (found.letter.group, found.letter.timestamp_ms) == ("recorder", record.timestamp_ms)

    again = await dead_letters.redrive(bus, found.letter)
    assert again == (Partition(origin, 1), record.offset + 1)
    second = await read(bus, *again)
    assert (second.key, second.value) == (record.key, record.value)
    assert dict(second.headers) == {"traceparent": b"\xff00-1", "redriven": b"1"}

    await dead_letters.bury(bus, second, group="recorder", cause="still poison")
    _, last = sorted(await letters_of(bus, origin), key=lambda each: each.letter.offset)
    assert (last.letter.redriven, dict(last.letter.headers)) == (1, {"traceparent": b"\xff00-1"})


async def test_a_long_value_is_fetched_from_where_it_lay_while_it_is_there(bus: Bus, origin: str):
    block = os.urandom(1 << 19)
    record = await send_and_read(bus, origin, block)
    await dead_letters.bury(bus, record, group="analyzer", cause="x" * 10_000)
    (found,) = await letters_of(bus, origin)
    assert found.letter.value is None
    assert found.letter.cause == "x" * 4096
    again = await dead_letters.redrive(bus, found.letter)
    assert (await read(bus, *again)).value == block

    await bus.trim({record.partition: again.offset})
    with pytest.raises(OffsetOutOfRangeError):
        await dead_letters.redrive(bus, found.letter)


async def test_what_others_write_into_the_dead_letter_topic_is_listed_too(bus: Bus):
    position = await bus.publish(topics.DEAD_LETTERS, b"scribble", key=b"k")
    (found,) = [each async for each in dead_letters.letters(bus) if each.position == position]
    assert (found.letter.topic, found.letter.value) == (topics.DEAD_LETTERS, b"scribble")
    assert "expected value" in found.letter.cause


async def test_headers_are_bounded(bus: Bus, origin: str):
    position = await bus.publish(origin, b"x", partition=0, headers={"a": b"1", "big": bytes(9000), "redriven": b"?"})
    await dead_letters.bury(bus, await read(bus, *position), group="g", cause="c")
    (found,) = await letters_of(bus, origin)
    assert (dict(found.letter.headers), found.letter.redriven, found.letter.key) == ({"a": b"1"}, 0, None)
