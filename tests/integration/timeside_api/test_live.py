"""Live sessions in the queue and the record: handed out, told of segment by segment, begun again, ended."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.harness.actors import BUS_NAME, SETTINGS, failed
from tests.support.live import LENGTH, done, ended, facts

from timeside_api import listening, tasks
from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.listening import Wanted
from timeside_api.live import LiveSession, resumed_at
from timeside_api.models import Media
from timeside_api.plans import asked
from timeside_api.recorder import Recorder
from timeside_api.tasks import Part, Request, Terms
from timeside_core import get_processor, topics
from timeside_core.bus import Partition
from timeside_core.bus.memory import MemoryBus
from timeside_core.errors import ParameterError
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Cancel,
    JsonMessage,
    LiveSource,
    Lost,
    Run,
    SegmentOfMedia,
    Stop,
    decode,
    encode,
)
from timeside_core.settings import BusSettings

pytestmark = pytest.mark.integration

URL = "https://radio.example.com/a?key=secret"


class Bench:
    """Dispatcher and recorder; the test is the workers."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database, self.owner = database, uuid7()
        self.settings = SETTINGS.model_copy(update={"tick_s": 3600, **settings})
        self.bus = MemoryBus(topics.declared(max_partitions=2), settings=BusSettings(max_partition_bytes=None))
        self.dispatcher = Dispatcher(self.bus, database, bus_name=BUS_NAME, settings=self.settings)

    async def listen(self, *ids: str) -> LiveSession:
        """Ask for a session."""
        what = asked([get_processor(each)() for each in ids or ("level",)])
        async with self.database.transaction() as session:
            return await listening.begin(session, Wanted(owner_id=self.owner, source=URL, asked=what))

    async def handed_out(self) -> list[Run]:
        """Have the dispatcher do what it can; the live runs that it has handed out so far."""
        assert await self.dispatcher.take()
        while await self.dispatcher.turn():
            pass
        return [each.run for each in await self.sent(topics.LIVE)]

    async def sent(self, topic: str) -> list[Any]:
        """All that lies on a topic."""
        found: list[Any] = []
        async with self.bus.reader() as reader:
            partitions = [Partition(topic, number) for number in range(await self.bus.partition_count(topic))]
            await reader.assign({partition: "first" for partition in partitions})
            while batches := await reader.getmany(timeout_s=0.01):
                found += [decode(topic, record.value) for records in batches.values() for record in records]
        return found

    async def told(self) -> list[Any]:
        """What was broadcast to workers."""
        await self.handed_out()  # with what waits in the outbox
        return await self.sent(topics.CONTROL)

    async def record(self, *messages: JsonMessage) -> None:
        """Say something, and have it recorded."""
        for message in messages:
            await self.bus.publish(topics.RESULT, encode(message), key=b"k")
        recorder = Recorder(self.bus, self.database, bus_name=BUS_NAME, settings=self.settings)
        while await recorder.turn():
            pass
        await recorder.leave()

    async def say(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        async with self.database.transaction() as session:
            return [tuple(row) for row in await session.execute(text(query))]

    async def do(self, work: Any, live_session: LiveSession) -> None:
        """Stop it, or give it up."""
        async with self.database.transaction() as session:
            await work(session, await session.get_one(LiveSession, live_session.id), self.settings)

    async def later(self, seconds: float) -> None:
        """Let time pass."""
        async with self.database.transaction() as session:
            await session.execute(text("UPDATE run SET not_before = now()"))
            earlier = text("UPDATE live_session SET heard_at = heard_at - :by * interval '1 s'")
            await session.execute(earlier, {"by": seconds})

    async def segments(self) -> list[tuple[int, int, int]]:
        """First sample, samples, attempt of all segments."""
        return await self.say(
            "SELECT first_sample, live_segment.samples, attempt FROM live_segment JOIN result ON result.id = result_id"
            " WHERE state = 'done' ORDER BY processor, first_sample"
        )


@pytest.fixture
async def build(database: Database) -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(**settings: Any) -> Bench:
        made.append(Bench(database, **settings))
        return made[-1]

    yield build
    for each in made:
        await each.dispatcher.release()


@pytest.fixture
def bench(build: Callable[..., Bench]) -> Bench:
    return build()


# What is handed out


async def test_what_the_command_says(bench: Bench):
    session = await bench.listen("level", "mfcc", "librosa_pyin")
    (run,) = await bench.handed_out()
    assert run.plan.source == LiveSource(session=session.id, url=URL, segment_s=10.0)
    assert run.plan.segment == SegmentOfMedia()
    assert (run.attempt, run.lane, run.plan.partial_rows) == (1, "interactive", True)
    assert {each.pool for each in run.plan.sinks} == {"analyzer", "analyzer-librosa"}
    assert sorted(each.id for each in run.plan.processors) == ["level", "librosa_pyin", "mfcc"]
    assert await bench.say("SELECT sha256, size FROM media") == [(str(session.id), 0)]


@pytest.mark.parametrize("id", ["spectrogram_analyzer", "flac_encoder"])
async def test_what_needs_a_whole_media_is_refused(bench: Bench, id: str):
    with pytest.raises(ParameterError, match=f"'{id}' needs all of a media"):
        await bench.listen(id)


async def test_open_live_runs_are_bounded_and_files_go_on(build: Callable[..., Bench]):
    bench = build(live_runs=3, credits=1)
    sessions = [await bench.listen() for _ in range(5)]
    assert len(await bench.handed_out()) == 3
    async with bench.database.transaction() as session:
        session.add(Media(sha256="a" * 64, size=1))
        await session.flush()
        part = Part("a" * 64, asked([get_processor("level")()]))
        await tasks.create(session, Request(parts=(part,), terms=Terms(bench.owner)))
    await bench.handed_out()
    assert len(await bench.sent(topics.decode_commands("interactive"))) == 1
    assert await bench.say("SELECT served_s FROM share WHERE lane = 'interactive'") == [(1.0,)]
    await bench.do(listening.cancel, sessions[0])
    sources = [each.plan.source for each in await bench.handed_out()]
    assert sessions[3].message() in sources
    assert sessions[4].message() not in sources


async def test_a_command_is_accepted_by_the_live_decoders(bench: Bench):
    await bench.listen()
    (run,) = await bench.handed_out()
    async with bench.bus.consumer(topics.LIVE, group="ts.decoder-live") as consumer:
        await consumer.getmany()
        await consumer.commit(dict(consumer.positions))
    await bench.dispatcher.look_after()
    assert await bench.say("SELECT state, lease_until > now() FROM run") == [("running", True)]
    lost = Lost(topic=topics.pcm("analyzer", "interactive"), partition=0, group="g", offset=1, first_offset=2)
    await bench.record(lost, lost.model_copy(update={"partition": 1}))
    assert await bench.say("SELECT state FROM run") == [("queued",)]
    assert Cancel(run_id=run.run_id, attempt=1) in await bench.told()


# What is said


async def test_a_segment_is_a_result_at_once_and_a_replay_changes_nothing(bench: Bench):
    session = await bench.listen("level", "mfcc")
    (run,) = await bench.handed_out()
    first = done(run, 0)
    again = done(run, 0, prefix="results/v1/another")
    assert [each.id for each in run.plan.processors] == ["level", "mfcc"]
    await bench.record(facts(run), first, done(run, 0, processor=1), first, done(run, 1))
    await bench.record(again, first, done(run, 1))
    assert await bench.segments() == [(0, LENGTH, 1), (LENGTH, LENGTH, 1), (0, LENGTH, 1)]
    names = "SELECT object_name, digest, media_sha256 FROM result WHERE digest = "
    assert await bench.say(f"{names}'{first.digest}'") == [(first.result.prefix, first.digest, str(session.id))]
    assert await bench.say("SELECT state, results, done FROM task") == [("running", 2, 0)]
    linked = "SELECT count(*) FROM live_segment JOIN task_result ON task_result.result_id = track_id"
    assert await bench.say(linked) == [(3,)]


@pytest.mark.parametrize(
    "change",
    [
        {"media": str(UUID(int=1))},
        {"id": "rms"},
        {"processor_version": "99"},
        {"processor": 7},
        {"attempt": 2},
        {"run_id": UUID(int=1)},
    ],
)
async def test_a_segment_of_something_else_does_not_count(bench: Bench, change: dict[str, Any]):
    await bench.listen()
    (run,) = await bench.handed_out()
    await bench.record(done(run, 0).model_copy(update=change))
    assert await bench.segments() == []


async def test_when_its_source_ends_run_and_task_are_over(bench: Bench):
    session = await bench.listen("level", "mfcc")
    (run,) = await bench.handed_out()
    await bench.record(facts(run), done(run, 0), done(run, 1, samples=100), ended(run), done(run, 0, processor=1))
    assert await bench.say("SELECT state, done FROM task") == [("running", 1)]
    await bench.record(facts(run, final=True, samples=LENGTH + 100), ended(run, processor=1), ended(run, processor=1))
    assert await bench.say("SELECT task.state, done, run.state FROM task, run") == [("done", 2, "done")]
    tracks = "SELECT samples, size, object_name FROM result JOIN task_result ON result.id = result_id ORDER BY 1"
    assert await bench.say(tracks) == [(LENGTH, 100, None), (LENGTH + 100, 200, None)]
    heard = "SELECT samples, decoded, codec FROM media WHERE sha256 = "
    assert await bench.say(f"{heard}'{session.id}'") == [(LENGTH + 100, True, "mp3")]
    await bench.record(done(run, 2))
    assert len(await bench.segments()) == 3


async def test_a_processor_that_fails_ends_itself_only_and_all_of_them_the_run(bench: Bench):
    await bench.listen("level", "mfcc")
    (run,) = await bench.handed_out()
    await bench.record(failed(run, 0, retriable=False), done(run, 0), done(run, 0, processor=1))
    assert await bench.segments() == [(0, LENGTH, 1)]
    assert await bench.say("SELECT state, failed FROM task") == [("running", 1)]
    await bench.record(failed(run, 1, retriable=False))
    assert await bench.say("SELECT task.state, run.state FROM task, run") == [("failed", "failed")]
    assert Cancel(run_id=run.run_id) in await bench.told()  # its decoder would go on


# Attempts


async def test_a_further_attempt_goes_on_with_the_clock(bench: Bench):
    await bench.listen()
    (first,) = await bench.handed_out()
    await bench.record(facts(first), done(first, 0), done(first, 1), failed(first, None, retriable=True))
    late = done(first, 2)
    await bench.later(43)
    first, second = await bench.handed_out()
    assert (second.attempt, second.plan.segment.first_sample) == (2, 5 * LENGTH)
    await bench.record(facts(second), done(second, 5), late, done(first, 5), done(first, 4, samples=LENGTH + 1))
    found = [(0, 1), (1, 1), (2, 1), (5, 2)]
    assert await bench.segments() == [(number * LENGTH, LENGTH, attempt) for number, attempt in found]
    await bench.record(done(second, 4), done(second, 5, prefix="results/v1/another"))
    assert len(await bench.segments()) == 4
    await bench.record(facts(second, final=True, samples=LENGTH), ended(second))
    assert await bench.say("SELECT max(samples) FROM media") == [(6 * LENGTH,)]


async def test_a_source_that_was_ahead_of_the_clock_is_gone_on_with_behind_what_it_gave(bench: Bench):
    await bench.listen()
    (first,) = await bench.handed_out()
    await bench.record(facts(first), *(done(first, number) for number in range(7)), failed(first, None, retriable=True))
    await bench.later(1)
    _, second = await bench.handed_out()
    assert second.plan.segment.first_sample == 7 * LENGTH


@pytest.mark.parametrize(
    ("heard_to", "passed_s", "expected"),
    [(0, 0.0, 0), (1, 0.0, 160), (160, 0.0, 160), (160, 2.5, 320), (480, 2.5, 480)],
)
def test_where_an_attempt_begins(heard_to: int, passed_s: float, expected: int):
    assert resumed_at(heard_to=heard_to, passed_s=passed_s, samplerate=80, segment_s=2) == expected


async def test_over_days_bad_luck_does_not_add_up(build: Callable[..., Bench]):
    bench = build(max_strikes=2, max_attempts=3)
    await bench.listen()
    for attempt in range(1, 6):
        *_, run = await bench.handed_out()
        assert run.attempt == attempt
        number = run.plan.segment.first_sample // LENGTH
        await bench.record(facts(run), done(run, number), failed(run, None, retriable=True))
        await bench.later(11)
    assert await bench.say("SELECT state, strikes, cardinality(causes) FROM run") == [("queued", 1, 3)]
    *_, run = await bench.handed_out()
    await bench.record(failed(run, None, retriable=True))
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("failed", "failed")]
    assert len(await bench.segments()) == 5


async def test_a_source_that_comes_back_with_another_samplerate_is_given_up(bench: Bench):
    await bench.listen()
    (first,) = await bench.handed_out()
    await bench.record(facts(first), done(first, 0), failed(first, None, retriable=True))
    await bench.later(20)
    _, second = await bench.handed_out()
    await bench.record(facts(second, samplerate=44_100))
    reasons = await bench.say("SELECT reason FROM result WHERE state = 'failed'")
    assert reasons == [("it came back with 44100 samples per second, where there were 8000",)]
    assert await bench.segments() == [(0, LENGTH, 1)]


# Its end


async def test_a_stop_is_said_until_it_is_obeyed(bench: Bench):
    session = await bench.listen()
    (run,) = await bench.handed_out()
    await bench.do(listening.stop, session)
    for _ in range(2):
        await bench.handed_out()
        await bench.dispatcher.look_after()
    assert await bench.told() == [Stop(run_id=run.run_id)] * 3
    await bench.record(facts(run), done(run, 0, samples=5), ended(run))
    await bench.dispatcher.look_after()
    assert len(await bench.told()) == 3
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("done", "done")]


async def test_what_was_to_stop_is_not_begun_again(bench: Bench):
    session = await bench.listen()
    (run,) = await bench.handed_out()
    await bench.do(listening.stop, session)
    await bench.record(facts(run), done(run, 0), failed(run, None, retriable=True))
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("done", "done")]
    assert len(await bench.handed_out()) == 1


async def test_a_stop_between_two_attempts_ends_it(bench: Bench):
    session = await bench.listen()
    (run,) = await bench.handed_out()
    await bench.record(facts(run), done(run, 0), failed(run, None, retriable=True))
    await bench.do(listening.stop, session)
    await bench.do(listening.stop, session)
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("done", "done")]
    assert len(await bench.segments()) == 1


async def test_a_stop_before_anything_was_heard_gives_it_up(bench: Bench):
    session = await bench.listen()
    await bench.do(listening.stop, session)
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("cancelled", "cancelled")]
    assert await bench.handed_out() == []


async def test_a_cancel_keeps_whole_segments_only(bench: Bench):
    session = await bench.listen()
    (run,) = await bench.handed_out()
    await bench.record(facts(run), done(run, 0))
    await bench.do(listening.cancel, session)
    await bench.record(done(run, 1), ended(run))
    assert await bench.segments() == [(0, LENGTH, 1)]
    assert await bench.say("SELECT run.state, task.state FROM run, task") == [("cancelled", "cancelled")]
    assert Cancel(run_id=run.run_id) in await bench.told()


async def test_what_has_passed_is_not_asked_for_again(bench: Bench):
    session = await bench.listen()
    await bench.do(listening.cancel, session)
    async with bench.database.transaction() as transaction:
        assert await tasks.retry(transaction, session.task_id) == 0
