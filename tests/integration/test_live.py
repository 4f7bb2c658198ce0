"""A live source through the whole platform over a real broker, its decoder killed in the middle."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sqlalchemy import select
from tests.support import kafka, services
from tests.support.stages import PCM, Collected, processors
from tests.support.streams import Answer, cut, head, send, station

from timeside_api import listening, tasks
from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.listening import Wanted
from timeside_api.live import LiveSegment, LiveSession
from timeside_api.models import Result, TaskState
from timeside_api.plans import asked
from timeside_api.recorder import Recorder
from timeside_api.settings import RunSettings
from timeside_core import Processor, Results, topics
from timeside_core.bus import BusSettings
from timeside_core.bus.kafka import KafkaBus
from timeside_core.engine import Wanted as WantedStep
from timeside_core.ids import uuid7
from timeside_core.messages import Block, BlockKind
from timeside_core.processor import Analyzer
from timeside_core.segmenting import SegmentedEngine, by_segment
from timeside_core.store import Store
from timeside_decoder.array import ArrayDecoder

pytestmark = pytest.mark.integration

SAMPLERATE = 8000
LENGTH = 10 * SAMPLERATE
LEASE_S = 3.0
PATIENCE_S = 90.0


def noise(seconds: float, seed: int) -> Any:
    """Of 16 bits, shape `(samples, 2)`."""
    shape = (round(seconds * SAMPLERATE), 2)
    return (np.random.default_rng(seed).integers(-(2**14), 2**14, shape) / 2**15).astype(np.float32)


def wav(path: Path, audio: Any) -> bytes:
    soundfile.write(path, audio, SAMPLERATE, subtype="PCM_16")
    return path.read_bytes()


def paced(content: bytes, *, bytes_per_s: float) -> Answer:
    """Send it at a pace, until nobody listens."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request)
        for chunk in cut(content, round(bytes_per_s / 20)):
            request.wfile.write(chunk)
            time.sleep(1 / 20)

    return answer


@asynccontextmanager
async def platform(bootstrap: str, database: Database) -> AsyncGenerator[KafkaBus]:
    """Dispatcher and recorder, at work, and the bus."""
    settings = RunSettings(lease_s=LEASE_S, tick_s=0.5, pause_s=0.1)
    stop = asyncio.Event()
    async with KafkaBus(bootstrap, settings=BusSettings(session_s=6)) as bus:
        roles = [each(bus, database, bus_name=bootstrap, settings=settings) for each in (Dispatcher, Recorder)]
        running = [asyncio.create_task(role.run(stop)) for role in roles]
        try:
            yield bus
        finally:
            stop.set()
            await asyncio.gather(*running)


async def segments(database: Database, live: LiveSession, processor: Processor) -> list[tuple[LiveSegment, Result]]:
    """Of the track of a processor, in order."""
    wanted = select(LiveSegment, Result).join(Result, Result.id == LiveSegment.result_id)
    of_track = LiveSegment.session_id == live.id, Result.processor == processor.id
    async with database.transaction() as session:
        found = await session.execute(wanted.where(*of_track).order_by(LiveSegment.first_sample))
        return [(segment, result) for segment, result in found]


async def has_segments(database: Database, live: LiveSession, processor: Processor, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if len(await segments(database, live, processor)) >= count:
                return
            await asyncio.sleep(0.1)


async def ended(database: Database, live: LiveSession) -> TaskState:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with database.transaction() as session:
                state = (await tasks.progress(session, live.task_id)).state
            if state is not TaskState.RUNNING:
                return state
            await asyncio.sleep(0.1)


def over_by(audio: Any, processor: Processor) -> list[Results]:
    """Segments that are over once so much was heard, and nothing said of an end."""
    assert isinstance(processor, Analyzer)
    with (
        ArrayDecoder(audio, SAMPLERATE).open() as source,
        SegmentedEngine([WantedStep(processor)], source.media, source.stream) as engine,
    ):
        return engine.push(audio)


def alike(store: Store, found: Result, expected: Results, *, later_s: float) -> None:
    """The same to the bit, so much later."""
    assert found.object_name is not None
    stored = store.result(found.object_name, manifest_sha256=found.object_sha256).results()
    assert stored.ids() == expected.ids()
    for each, other in zip(stored, expected, strict=True):
        np.testing.assert_array_equal(each.values, other.values, strict=True)
        if other.output.time_mode == "framewise":
            np.testing.assert_allclose(each.times, other.times + later_s, atol=1e-9)


async def test_a_live_source_survives_the_kill_of_its_decoder(
    tmp_path: Path, kafka_broker: kafka.Broker, database_url: str
) -> None:
    """No segment is lost or doubled; all but the one that was cut equal those of one process."""
    await topics.apply(kafka_broker.bootstrap, topics.declared(max_partitions=2))
    store, database = Store((tmp_path / "store").as_uri()), Database(database_url)
    before, after = noise(300, seed=1), noise(25, seed=2)
    wanted = processors("level", "spectral_centroid")
    content = wav(tmp_path / "b.wav", after)
    first = paced(wav(tmp_path / "a.wav", before), bytes_per_s=10 * 4 * SAMPLERATE)  # ten times as fast as it sounds
    with station(first, send(content, ("Content-Length", str(len(content))))) as server:
        ports = str(server.server_port)
        settings: dict[str, Any] = {"lease_s": str(LEASE_S), "live_networks": "127.0.0.1/32", "live_ports": ports}
        async with platform(kafka_broker.bootstrap, database) as bus, Collected(bus, PCM) as sent:
            with (
                services.running(tmp_path, kafka_broker.bootstrap, "analyzer"),
                services.running(tmp_path, kafka_broker.bootstrap, "decoder", live="true", **settings) as running,
            ):
                asking = Wanted(owner_id=uuid7(), source=server.url, asked=asked(wanted))
                async with database.transaction() as session:
                    live = await listening.begin(session, asking)
                await has_segments(database, live, wanted[1], 2)
                running["decoder"].kill()
                running["decoder"].start()
                assert await ended(database, live) is TaskState.DONE
            await sent.until(lambda blocks: any(_is_last(each) for each in blocks))
    assert len(server.requests) == 2
    heard = sum(each.samples for each in sent.messages if isinstance(each, Block) and each.attempt == 1)
    assert 2 * LENGTH < heard < len(before)
    for processor in wanted:
        expected = [over_by(before[:heard], processor), list(by_segment(ArrayDecoder(after, SAMPLERATE) | processor))]
        await _compared(store, await segments(database, live, processor), expected)
    await database.close()


async def _compared(store: Store, found: list[tuple[LiveSegment, Result]], expected: Sequence[list[Results]]) -> None:
    for attempt, results in enumerate(expected, start=1):
        of_attempt = [(segment, result) for segment, result in found if result.attempt == attempt]
        begin = of_attempt[0][0].first_sample
        assert begin % LENGTH == 0
        assert [segment.first_sample for segment, _ in of_attempt] == [
            begin + number * LENGTH for number in range(len(results))
        ]
        for (_, result), each in zip(of_attempt, results, strict=True):
            alike(store, result, each, later_s=begin / SAMPLERATE)
    places = [segment.first_sample for segment, _ in found]
    assert len(set(places)) == len(places) == sum(map(len, expected))


def _is_last(block: Any) -> bool:
    return isinstance(block, Block) and block.kind is BlockKind.END
