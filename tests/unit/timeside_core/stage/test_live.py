"""Live sources through decoder and analyzer: segments as in one process, a replay that is short and equal, an end."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.support.plans import live_command
from tests.support.stages import PCM, Collected, memory_bus, processors, stored, working
from tests.support.streams import send, send_and_stall, station

from timeside_analyzer.stage import STAGE as ANALYZER
from timeside_core import Analyzer, Array, Mono, Processor, Results, Value, topics
from timeside_core.bus import Bus, Partition
from timeside_core.errors import ProcessorError
from timeside_core.messages import (
    Block,
    BlockKind,
    Cancel,
    Closed,
    Decode,
    Done,
    Ended,
    Failed,
    LiveSource,
    Opened,
    PartialRows,
    SegmentOfMedia,
    Stop,
    decode,
    encode,
)
from timeside_core.segmenting import by_segment
from timeside_core.stage.handler import Handler
from timeside_core.stage.live import LiveAnalysis
from timeside_core.stage.service import Worker
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.array import ArrayDecoder
from timeside_decoder.bytesource import Pipe
from timeside_decoder.live_stage import LIVE_STAGE, LiveDecoding
from timeside_decoder.relay import Relay
from timeside_decoder.stage import DecoderSettings

SAMPLERATE = 8000


def noise(seconds: float, seed: int = 440) -> Any:
    """Of 16 bits, shape `(samples, 2)`."""
    shape = (round(seconds * SAMPLERATE), 2)
    return (np.random.default_rng(seed).integers(-(2**14), 2**14, shape) / 2**15).astype(np.float32)


def wav(path: Path, audio: Any) -> Path:
    soundfile.write(path, audio, SAMPLERATE, subtype="PCM_16")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def blocks(command: Decode, path: Path) -> list[Block]:
    """What the decoder sends to analyzers of a source that holds a file."""
    relay = Relay(path.parent / "relay", lambda: Pipe(str(path)))
    try:
        made = [each for each in LiveDecoding(path.parent / "relay").handle(command) if each is not None]
    finally:
        relay.close()
    return [decode(each.topic, encode(each.message)) for each in made if each.topic == PCM]


def fed(handler: Handler, blocks: list[Block]) -> list[Any]:
    """Messages that come of blocks; starts that are said again are for others."""
    taken = [blocks[0], *(each for each in blocks[1:] if each.kind is not BlockKind.START)]
    made = [each.message for block in taken for each in handler.handle(block) if each is not None]
    handler.close()
    return made


def analysis(store: Store) -> LiveAnalysis:
    return LiveAnalysis("analyzer", store, lambda _, __: None)


def done(messages: list[Any]) -> dict[tuple[int, int], Done]:
    """Results by processor and first sample of their segment."""
    return {
        (each.processor, each.segment.first_sample): each
        for each in messages
        if isinstance(each, Done) and each.segment is not None
    }


def reference(audio: Any, processor: Processor) -> list[Results]:
    return list(by_segment(ArrayDecoder(audio, SAMPLERATE) | processor))


def alike(results: Results, expected: Results) -> None:
    """The same to the bit, of another media."""
    assert results.ids() == expected.ids()
    for found, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(found.values, other.values, strict=True)
        np.testing.assert_array_equal(found.event_times, other.event_times)
        np.testing.assert_array_equal(found.event_durations, other.event_durations)
        if other.output.time_mode == "framewise":
            assert found.stream == other.stream
        assert found.provenance.digest == other.provenance.digest
        assert found.provenance.segment == other.provenance.segment


def test_segments_equal_those_of_one_process(tmp_path: Path, store: Store) -> None:
    audio, wanted = noise(33), analyzers()
    command = live_command("https://radio.example/a", wanted)
    messages = fed(analysis(store), blocks(command, wav(tmp_path / "a.wav", audio)))
    found = done(messages)
    assert not [each for each in messages if isinstance(each, Failed)]
    assert len(found) == 4 * len(wanted)
    for index, processor in enumerate(wanted):
        for number, expected in enumerate(reference(audio, processor)):
            alike(stored(store, found[index, number * 10 * SAMPLERATE]), expected)
    source = command.run.plan.source
    assert isinstance(source, LiveSource)
    assert {each.media for each in found.values()} == {str(source.session)}


def test_a_replay_from_the_watermark_makes_the_same_results(tmp_path: Path, store: Store) -> None:
    """After each block: who begins at the last start before what is needed makes all that was not made yet."""
    command = live_command("https://radio.example/a", analyzers())
    sent = blocks(command, wav(tmp_path / "a.wav", noise(33)))
    first = analysis(store)
    whole = done(fed(analysis(store), sent))
    starts = [each for each in sent if each.kind is BlockKind.START]
    made: dict[tuple[int, int], Done] = {}
    for number, block in enumerate(sent):
        if block.kind is not BlockKind.START or block is sent[0]:
            made |= done([each.message for each in first.handle(block)])
        if number % 20 != 15:
            continue
        assert first.low_watermark is not None
        assert block.first_sample - first.low_watermark < 13 * SAMPLERATE
        begin = [each for each in starts if each.first_sample <= first.low_watermark][-1]
        again = done(fed(analysis(store), sent[sent.index(begin) :]))
        assert whole.keys() - made.keys() <= again.keys()
        for key, result in again.items():
            assert result.digest == whole[key].digest
            alike(stored(store, result), stored(store, whole[key]))
    first.close()


def test_rows_are_sent_before_their_segment_is_over(tmp_path: Path, store: Store) -> None:
    command = live_command("https://radio.example/a", analyzers())
    messages = fed(analysis(store), blocks(command, wav(tmp_path / "a.wav", noise(25))))
    centroid = [each for each in messages if getattr(each, "processor", None) == 1]
    rows = [each for each in centroid if isinstance(each, PartialRows)]
    opened, *again = (each for each in centroid if isinstance(each, Opened))
    assert opened.rows == ()
    assert len(again) == 4
    for each in again:
        before = [rows for rows in centroid[: centroid.index(each)] if isinstance(rows, PartialRows)]
        assert (each.clock, each.outputs) == (opened.clock, opened.outputs)
        assert each.rows == (sum(len(some.rows) for some in before),)
    (closed,) = (each for each in centroid if isinstance(each, Closed))
    results = [stored(store, each)[0] for _, each in sorted(done(centroid).items())]
    assert [each.first_row for each in rows] == [0, *np.cumsum([len(each.rows) for each in rows])[:-1]]
    assert closed.messages == len(rows)
    assert centroid.index(rows[1]) < centroid.index(next(iter(done(centroid).values())))
    sent = np.concatenate([each.rows.values for each in rows])
    np.testing.assert_array_equal(sent, np.concatenate([each.values for each in results]))
    times = opened.clock.stream().times(0, len(sent))
    np.testing.assert_allclose(times, np.concatenate([each.times for each in results]), atol=1e-9)


def test_a_processor_that_fails_ends_itself_only(tmp_path: Path, store: Store) -> None:
    command = live_command("https://radio.example/a", [Failing(), *analyzers()])
    messages = fed(analysis(store), blocks(command, wav(tmp_path / "a.wav", noise(12))))
    (failed,) = (each for each in messages if isinstance(each, Failed))
    assert (failed.processor, failed.retriable, failed.reason) == (0, False, "had enough")
    assert {processor for processor, _ in done(messages)} == {1, 2, 3}


class Failing(Analyzer, id="test_failing", version="1.0"):
    """Fails."""

    input: Mono = Mono()
    output = Value()

    def process(self, samples: Array) -> None:
        raise ProcessorError("had enough")

    def finish(self) -> float:
        return 0.0


@pytest.fixture
def settings(tmp_path: Path) -> DecoderSettings:
    return DecoderSettings(
        store_url=(tmp_path / "store").as_uri(),
        scratch=tmp_path,
        children=1,
        drain_s=1,
        commit_every_s=0.05,
        live_networks="127.0.0.1/32",
    )


def common(settings: DecoderSettings) -> StageSettings:
    """What analyzers know of them."""
    return StageSettings.model_validate(settings.model_dump(include=set(StageSettings.model_fields)))


def analyzer(bus: Bus, settings: DecoderSettings) -> Any:
    return working(bus, [ANALYZER], common(settings))


async def listen(bus: Bus, command: Decode) -> None:
    await bus.publish(topics.LIVE, encode(command), key=command.run.run_id.bytes)


def segments(count: int) -> Callable[[list[Any]], bool]:
    return lambda messages: len(done(messages)) >= count


async def test_a_live_run_over_the_bus(tmp_path: Path, settings: DecoderSettings, store: Store) -> None:
    """With a break in the middle: times after it are those of what was sent, silence included."""
    before, after = noise(15), noise(18, seed=1)
    contents = [wav(tmp_path / name, each).read_bytes() for name, each in (("a.wav", before), ("b.wav", after))]
    (centroid,) = processors("spectral_centroid")
    ends = send(contents[1], ("Content-Length", str(len(contents[1]))))
    with station(send(contents[0]), ends) as server:
        command = live_command(server.url, [centroid])
        opened = settings.model_copy(update={"live_ports": str(server.server_port)})
        async with (
            memory_bus() as bus,
            Collected(bus, topics.RESULT, PCM) as all,
            analyzer(bus, settings),
            working(bus, [LIVE_STAGE], opened),
        ):
            await listen(bus, command)
            await all.until(segments(4))
    sent = [each for each in all.messages if isinstance(each, Block)]
    (broken,) = (each for each in sent if each.kind is BlockKind.DISCONTINUITY)
    assert broken.first_sample == 15 * SAMPLERATE
    audio = np.concatenate([each.audio() for each in sent if each.kind is BlockKind.DATA])
    np.testing.assert_array_equal(audio[-len(after) :], after)
    for number, expected in enumerate(reference(audio, centroid)):
        alike(stored(store, done(all.messages)[0, number * 10 * SAMPLERATE]), expected)


def analyzers() -> list[Processor]:
    return processors("level", "spectral_centroid", "aubio_silence")


async def test_an_analyzer_that_is_lost_is_replaced_by_one_that_replays_little(
    tmp_path: Path, settings: DecoderSettings, store: Store
) -> None:
    audio, (centroid,) = noise(48), processors("spectral_centroid")
    command = live_command("https://radio.example/a", [centroid])
    sent = blocks(command, wav(tmp_path / "a.wav", audio))
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results:
        task = asyncio.create_task(Worker(bus, [ANALYZER.work(bus, common(settings))], common(settings)).run())
        for block in sent[:70]:
            await publish(bus, block)
        await results.until(segments(3))
        begin = await committed(bus, beyond=sent.index(at_or_before(sent, 20)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for block in sent[70:]:
            await publish(bus, block)
        async with analyzer(bus, settings):
            await results.until(segments(5))
    assert sent[begin].kind is BlockKind.START
    assert 20 * SAMPLERATE < sent[begin].first_sample < 30 * SAMPLERATE
    for number, expected in enumerate(reference(audio, centroid)):
        alike(stored(store, done(results.messages)[0, number * 10 * SAMPLERATE]), expected)


def at_or_before(sent: list[Block], seconds: float) -> Block:
    """The last start that was said by then."""
    until = seconds * SAMPLERATE
    return [each for each in sent if each.kind is BlockKind.START and each.first_sample <= until][-1]


async def publish(bus: Bus, block: Block) -> None:
    await bus.publish(PCM, encode(block), key=block.run_id.bytes, partition=0)


async def committed(bus: Bus, *, beyond: int) -> int:
    """What analyzers have committed, once it is beyond an offset."""
    partition = Partition(PCM, 0)
    async with asyncio.timeout(10):
        while (offset := (await bus.committed("ts.analyzer", [partition])).get(partition) or 0) <= beyond:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return offset


async def test_a_live_run_is_cancelled_while_nothing_comes(tmp_path: Path, settings: DecoderSettings) -> None:
    content = wav(tmp_path / "a.wav", noise(5)).read_bytes()
    with station(send_and_stall(content)) as server:
        command = live_command(server.url, processors("level"))
        opened = settings.model_copy(update={"live_ports": str(server.server_port)})
        async with memory_bus() as bus, Collected(bus, PCM) as all, working(bus, [LIVE_STAGE], opened) as worker:
            await listen(bus, command)
            await all.until(lambda messages: any(each.kind is BlockKind.DATA for each in messages))
            await bus.publish(topics.CONTROL, encode(Cancel(run_id=command.run.run_id)), key=command.run.run_id.bytes)
            await all.until(lambda messages: messages[-1].kind is BlockKind.CANCELLED, within_s=5)
            async with asyncio.timeout(5):
                while worker.open_runs:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_a_live_run_that_is_stopped_keeps_what_was_heard(
    tmp_path: Path, settings: DecoderSettings, store: Store
) -> None:
    audio, (level,) = noise(15), processors("level")
    with station(send_and_stall(wav(tmp_path / "a.wav", audio).read_bytes())) as server:
        command = live_command(server.url, [level])
        opened = settings.model_copy(update={"live_ports": str(server.server_port)})
        async with (
            memory_bus() as bus,
            Collected(bus, topics.RESULT) as all,
            analyzer(bus, settings),
            working(bus, [LIVE_STAGE], opened),
        ):
            await listen(bus, command)
            await all.until(segments(1))
            await bus.publish(topics.CONTROL, encode(Stop(run_id=command.run.run_id)), key=command.run.run_id.bytes)
            await all.until(lambda messages: any(isinstance(each, Ended) for each in messages), within_s=10)
    (ended,) = (each for each in all.messages if isinstance(each, Ended))
    found = sorted(done(all.messages).items())
    assert ended.samples == sum(each.samples for _, each in found)
    assert [place for _, place in done(all.messages)] == [0, 10 * SAMPLERATE]
    for (_, each), expected in zip(found, reference(audio[: ended.samples], level), strict=True):
        alike(stored(store, each), expected)


@pytest.mark.parametrize("segment_s", [2.0, 5.0])
def test_segments_are_as_long_as_the_command_says_and_go_on_with_the_clock(
    tmp_path: Path, store: Store, segment_s: float
) -> None:
    audio, (centroid,) = noise(12), processors("spectral_centroid")
    made = live_command("https://radio.example/a", [centroid])
    source = made.run.plan.source.model_copy(update={"segment_s": segment_s})
    later = SegmentOfMedia(first_sample=round(20 * SAMPLERATE))
    plan = made.run.plan.model_copy(update={"source": source, "segment": later})
    command = Decode(run=made.run.model_copy(update={"plan": plan, "attempt": 2}))
    messages = fed(analysis(store), blocks(command, wav(tmp_path / "a.wav", audio)))
    expected = list(by_segment(ArrayDecoder(audio, SAMPLERATE) | centroid, segment_s=segment_s))
    begins = [later.first_sample + round(number * segment_s * SAMPLERATE) for number in range(len(expected))]
    found = done(messages)
    assert [place for _, place in found] == begins
    for begin, each in zip(begins, expected, strict=True):
        np.testing.assert_array_equal(stored(store, found[0, begin])[0].values, each[0].values)
        np.testing.assert_allclose(stored(store, found[0, begin])[0].times, each[0].times + 20.0)
    assert isinstance(messages[-1], Ended)


async def test_a_live_run_belongs_to_its_decoder(tmp_path: Path, settings: DecoderSettings) -> None:
    """Who only analyses it does not keep it leased; a cancel of an earlier attempt does not reach it."""
    quick = settings.model_copy(update={"lease_s": 0.3})
    with station(send_and_stall(wav(tmp_path / "a.wav", noise(5)).read_bytes())) as server:
        made = live_command(server.url, processors("level"))
        command = Decode(run=made.run.model_copy(update={"attempt": 2}))
        opened = quick.model_copy(update={"live_ports": str(server.server_port)})
        async with (
            memory_bus() as bus,
            Collected(bus, PCM) as sent,
            Collected(bus, topics.LEASE) as leases,
            analyzer(bus, quick) as analyzing,
            working(bus, [LIVE_STAGE], opened) as listening,
        ):
            await listen(bus, command)
            await sent.until(lambda messages: any(each.kind is BlockKind.DATA for each in messages))
            async with asyncio.timeout(10):
                while not (analyzing.open_runs and listening.open_runs):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await leases.until(lambda messages: sum(len(each.runs) for each in messages) > 5)
            for said in (Cancel(run_id=command.run.run_id, attempt=1), Stop(run_id=command.run.run_id)):
                await bus.publish(topics.CONTROL, encode(said), key=command.run.run_id.bytes)
            await sent.until(lambda messages: messages[-1].kind is BlockKind.END, within_s=10)
    assert {each.stage for each in leases.messages if each.runs} == {"decoder"}
    assert BlockKind.CANCELLED not in {each.kind for each in sent.messages}
