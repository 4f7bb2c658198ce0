"""The recorder: what counts, what does not, each once, by several of them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from tests.harness.actors import BUS_NAME, SETTINGS, Away, DispatcherActor, done, failed
from tests.harness.world import World

from timeside_api.database import Database
from timeside_api.recorder import GROUP, TOPICS, Recorder
from timeside_core import dead_letters, topics
from timeside_core.bus import Partition
from timeside_core.bus.memory import MemoryConsumer
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Derived,
    Done,
    Facts,
    JsonMessage,
    Lost,
    MediaFacts,
    Progress,
    Renewal,
    Run,
    RunRef,
    decode,
    encode,
)

pytestmark = pytest.mark.integration


class Bench(World):
    """A world in which the test is the worker, and has the recorders take turns."""

    async def run(self, *names: str, media: str = "a") -> Run:
        """A run that was handed out."""
        await self.ask(*names, media=media)
        await self.rounds()
        topic = topics.decode_commands("interactive")
        async with self.bus.reader() as reader:
            bounds = await self.bus.bounds([Partition(topic, 0)])
            await reader.assign({Partition(topic, 0): bounds[Partition(topic, 0)].next - 1})
            ((record,),) = (await reader.getmany()).values()
        return decode(topic, record.value).run

    def recorder(self) -> Recorder:
        return Recorder(self.bus, self.database, bus_name=BUS_NAME, settings=SETTINGS)

    async def tell(self, *messages: JsonMessage | bytes, topic: str = topics.RESULT) -> None:
        for message in messages:
            value = message if isinstance(message, bytes) else encode(message)
            await self.bus.publish(topic, value, key=b"k")

    async def record(self, *messages: JsonMessage | bytes, topic: str = topics.RESULT) -> None:
        """Say something, and have it recorded."""
        await self.tell(*messages, topic=topic)
        recorder = self.recorder()
        while await recorder.turn():
            pass
        await recorder.leave()

    async def results(self) -> list[tuple[Any, ...]]:
        return await self.say("SELECT processor, state, attempt FROM result ORDER BY processor, id")


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    bench = Bench(database)
    bench.add(DispatcherActor, Away, Away)
    yield bench
    await bench.close()


# What counts


async def test_a_result_that_is_whole_is_visible(bench: Bench):
    run = await bench.run("mfcc")
    message = done(run, 0, run.plan)
    await bench.record(message)
    columns = "state, attempt, object_name, object_sha256, size, samples, mime_type, settled_at IS NOT NULL"
    expected = ("done", 1, message.result.prefix, message.result.manifest_sha256, 1, 44_100, "", True)
    assert await bench.say(f"SELECT {columns} FROM result") == [expected]
    assert await bench.say("SELECT state FROM run") == [("done",)]
    assert await bench.say("SELECT state, done FROM task") == [("done", 1)]


async def test_a_file_that_is_whole_is_visible(bench: Bench):
    run = await bench.run("flac_encoder")
    sha256 = hashlib.sha256(b"flac").hexdigest()
    of_run = {"run_id": run.run_id, "attempt": 1}
    file = Derived(**of_run, processor=0, object="derived/a.flac", sha256=sha256, size=4, mime_type="audio/flac")
    drawn_later = file.model_copy(update={"processor": None})
    await bench.record(drawn_later)
    assert await bench.results() == [("flac_encoder", "pending", None)]
    await bench.record(file)
    columns = "state, object_name, object_sha256, size, mime_type"
    assert await bench.say(f"SELECT {columns} FROM result") == [("done", "derived/a.flac", sha256, 4, "audio/flac")]


async def test_said_again_it_counts_once_and_the_first_stays(bench: Bench):
    run = await bench.run("mfcc", "level")
    first = done(run, 0, run.plan)
    other = first.model_copy(update={"result": first.result.model_copy(update={"prefix": "results/v1/another"})})
    await bench.record(first, first, other)
    await bench.record(other, first)
    assert await bench.say("SELECT object_name FROM result WHERE state = 'done'") == [(first.result.prefix,)]
    assert await bench.say("SELECT done, results FROM task") == [(1, 2)]


async def test_what_is_said_of_another_attempt_or_run_does_not_count(bench: Bench):
    run = await bench.run("mfcc")
    message = done(run, 0, run.plan)
    await bench.say("UPDATE run SET attempt = 2")
    await bench.record(
        message,
        message.model_copy(update={"attempt": 3}),
        message.model_copy(update={"run_id": uuid7(), "attempt": 2}),
        message.model_copy(update={"attempt": 2, "processor": 1}),
        failed(run, 0, retriable=False),
        failed(run, None, retriable=True),
    )
    assert await bench.results() == [("mfcc", "pending", None)]
    assert await bench.say("SELECT state, strikes FROM run") == [("dispatched", 0)]


async def test_what_is_said_of_a_run_that_waits_does_not_count(bench: Bench):
    run = await bench.run("mfcc")
    await bench.record(failed(run, None, retriable=True))
    await bench.record(done(run, 0, run.plan), failed(run, None, retriable=True))
    await bench.record(sign(run), topic=topics.LEASE)
    assert await bench.results() == [("mfcc", "pending", None)]
    assert await bench.say("SELECT state, strikes, lease_until FROM run") == [("queued", 1, None)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"media": "f" * 64}, "the media is damaged"),
        ({"digest": "f" * 64}, "of another digest"),
        ({"processor_version": "9.9"}, "workers made mfcc 9.9"),
    ],
)
async def test_a_result_of_something_else_is_refused_with_its_reason(bench: Bench, change: dict[str, str], reason: str):
    run = await bench.run("mfcc")
    await bench.record(done(run, 0, run.plan).model_copy(update=change))
    ((state, said),) = await bench.say("SELECT state, reason FROM result")
    assert state == "failed"
    assert reason in said


# Facts, progress, signs of life


def facts(run: Run, *, final: bool, **known: Any) -> Facts:
    stated = MediaFacts.model_validate({"samplerate": 44_100, "channels": 2, **known})
    return Facts(run_id=run.run_id, attempt=run.attempt, facts=stated, final=final)


async def test_what_was_decoded_to_the_end_is_not_forgotten(bench: Bench):
    run = await bench.run("mfcc")
    await bench.record(facts(run, final=False, samples=99, codec="mp3", tags={"title": "Ä\0"}))
    known = "SELECT samplerate, channels, samples, codec, tags, decoded FROM media"
    assert await bench.say(known) == [(44_100, 2, 99, "mp3", {"title": "Ä"}, False)]
    await bench.record(done(run, 0, run.plan), facts(run, final=True, samples=100))
    await bench.record(facts(run, final=False, samples=99))
    assert (await bench.say(known))[0][2] == 100


def sign(run: Run, attempt: int = 1) -> Renewal:
    return Renewal(worker=uuid7(), stage="decoder", runs=(RunRef(run_id=run.run_id, attempt=attempt),))


async def test_signs_of_life_begin_and_renew_a_lease(bench: Bench):
    run = await bench.run("mfcc")
    left = "SELECT state, lease_until > now() + interval '25 s', lease_until > now() + interval '31 s' FROM run"
    await bench.record(sign(run, attempt=2), topic=topics.LEASE)
    assert (await bench.say("SELECT state FROM run")) == [("dispatched",)]
    await bench.record(sign(run), topic=topics.LEASE)
    assert await bench.say(left) == [("running", True, False)]
    await bench.elapse(20)
    of_run = {"run_id": run.run_id, "attempt": 1, "stage": "decoder"}
    await bench.record(*(Progress(**of_run, samples_done=n) for n in (10, 20)), topic=topics.PROGRESS)
    assert await bench.say(left) == [("running", True, False)]
    assert await bench.say("SELECT progress FROM run") == [({"decoder": 20},)]


# What cannot be read


async def test_poison_is_buried_and_holds_up_nothing(bench: Bench):
    run = await bench.run("mfcc")
    lost = Lost(topic="ts.nowhere", partition=0, group="g", offset=1, first_offset=2)
    await bench.record(b"no message", done(run, 0, run.plan), b"{}", lost)
    assert await bench.results() == [("mfcc", "done", 1)]
    buried = [each.letter async for each in dead_letters.letters(bench.bus)]
    assert [letter.value for letter in buried] == [b"no message", b"{}", encode(lost)]
    assert {letter.group for letter in buried} == {GROUP}


async def test_what_the_database_refuses_is_buried_alone(bench: Bench):
    one, two = await bench.run("mfcc"), await bench.run("level", media="b")
    await bench.say("ALTER TABLE result ADD CHECK (size < 1000)")
    await bench.record(done(one, 0, one.plan).model_copy(update={"size": 5000}), done(two, 0, two.plan))
    assert await bench.results() == [("level", "done", 1), ("mfcc", "pending", None)]
    (letter,) = [each.letter async for each in dead_letters.letters(bench.bus)]
    assert "violates check constraint" in letter.cause


# Several recorders


async def test_recorders_share_partitions_and_hand_them_on(database: Database):
    from timeside_core.bus.memory import MemoryBus
    from timeside_core.settings import BusSettings

    bus = MemoryBus(topics.declared(max_partitions=4), settings=BusSettings(max_partition_bytes=None))
    recorders = [Recorder(bus, database, bus_name=BUS_NAME, settings=SETTINGS) for _ in range(3)]
    for n in range(40):
        await bus.publish(topics.LEASE, encode(Renewal(worker=uuid7(), stage="decoder", runs=())), partition=n % 4)
        await recorders[n % 3].turn()
        if n == 20:
            await recorders[1].leave()
    while any([await each.turn() for each in recorders]):
        pass
    async with database.transaction() as session:
        offsets = await session.execute(
            text("SELECT partition, next_offset FROM recorder_offset WHERE topic = 'ts.lease'")
        )
        assert sorted(map(tuple, offsets)) == [(n, 10) for n in range(4)]
    for each in recorders:
        await each.leave()


async def test_who_was_replaced_without_knowing_records_nothing(bench: Bench):
    """It has fetched a batch when it is taken for dead; another records it; then it goes on."""
    zombie, heir = bench.recorder(), bench.recorder()
    await zombie.turn()
    run = await bench.run("mfcc")
    await bench.tell(failed(run, None, retriable=True))
    assert zombie._consumer is not None
    batches = await zombie._consumer.getmany(timeout_s=1)
    assert isinstance(zombie._consumer, MemoryConsumer)
    await bench.bus.evict(zombie._consumer)
    while await heir.turn():
        pass
    assert await bench.say("SELECT state, strikes FROM run") == [("queued", 1)]
    await bench.say("UPDATE run SET state = 'running'")  # so that it would count once more
    for partition, records in batches.items():
        await zombie._record(partition, records)
    assert await bench.say("SELECT state, strikes FROM run") == [("running", 1)]
    await zombie.turn()  # it joins anew, and knows where the others are
    for partition, records in batches.items():
        await zombie._record(partition, records)
    assert await bench.say("SELECT state, strikes FROM run") == [("running", 1)]
    await bench.tell(failed(run, None, retriable=True))
    await asyncio.gather(zombie.turn(), heir.turn())
    while await zombie.turn() or await heir.turn():
        pass
    assert await bench.say("SELECT state, strikes FROM run") == [("queued", 2)]
    await zombie.leave()
    await heir.leave()


async def test_it_goes_on_where_the_database_says_and_not_the_group(bench: Bench):
    run = await bench.run("mfcc", "level")
    await bench.record(done(run, 0, run.plan))
    consumer = bench.bus.consumer(*TOPICS, group=GROUP)
    async with consumer:
        await consumer.getmany()
        await consumer.commit({partition: 0 for partition in consumer.positions})
    await bench.record(done(run, 1, run.plan))
    assert await bench.results() == [("level", "done", 1), ("mfcc", "done", 1)]
    ((next_offset,),) = await bench.say("SELECT next_offset FROM recorder_offset WHERE topic = 'ts.result'")
    assert next_offset == 2


async def test_offsets_of_one_bus_mean_nothing_on_another(bench: Bench, database: Database):
    run = await bench.run("mfcc", "level")
    await bench.record(done(run, 0, run.plan))
    other = Bench(database)
    await other.tell(done(run, 1, run.plan))
    recorder = Recorder(other.bus, database, bus_name="another", settings=SETTINGS)
    while await recorder.turn():
        pass
    await recorder.leave()
    assert [row[1] for row in await bench.results()] == ["done", "done"]


async def test_after_a_loss_it_says_so_and_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture):
    run = await bench.run("mfcc", "level")
    await bench.record(done(run, 0, run.plan))
    await bench.tell(done(run, 1, run.plan), b"x")
    await bench.bus.trim({Partition(topics.RESULT, 0): 3})
    message: Done = done(run, 1, run.plan)
    await bench.record(message)
    assert "what workers said is lost: ts.result[0]: offset 1 is not there" in caplog.text
    assert [row[1] for row in await bench.results()] == ["done", "done"]
