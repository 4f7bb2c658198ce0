"""Workers in a test: recordings, commands, what comes of them, and the comparison with a run in one process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import soundfile

from timeside_core import Processor, Results, get_processor, topics
from timeside_core.bus import Bus, BusSettings, Edge, Partition
from timeside_core.bus.memory import MemoryBus
from timeside_core.messages import Block, Decode, Done, StoredMedia, decode, encode
from timeside_core.stage.service import Stage, Worker
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.stage import Decoding

PATIENCE_S = 60.0
PCM = topics.pcm("analyzer", "interactive")


def recording(path: Path, *, samples: int = 300_007, channels: int = 2, seed: int = 440) -> Path:
    """Noise that is unlike any other of another seed, 16 bits."""
    audio = np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels))
    soundfile.write(path, audio, 44_100, subtype="PCM_16")
    return path


def processors(*ids: str) -> list[Processor]:
    return [get_processor(each)() for each in ids]


def kept(store: Store, path: Path) -> StoredMedia:
    sha256, size = store.put_media([path.read_bytes()])
    return StoredMedia(sha256=sha256, size=size)


def same(results: Results, reference: Results) -> None:
    """The same to the bit, but for where the media lay and when and how fast it was done."""
    assert results.ids() == reference.ids()
    for found, expected in zip(results, reference, strict=True):
        np.testing.assert_array_equal(found.values, expected.values, strict=True)
        np.testing.assert_array_equal(found.times, expected.times)
        np.testing.assert_array_equal(found.durations, expected.durations)
        assert found.provenance.digest == expected.provenance.digest
        assert found.provenance.media.sha256 == expected.provenance.media.sha256
        assert found.provenance.media.samples == expected.provenance.media.samples


def blocks(command: Decode, path: Path) -> list[Block]:
    """What a decoding sends to analyzers."""
    made = list(Decoding(path, 1 << 32).handle(command))
    return [decode(each.topic, encode(each.message)) for each in made if each.topic == PCM]


def memory_bus() -> MemoryBus:
    return MemoryBus(topics.declared(max_partitions=2), settings=BusSettings())


@asynccontextmanager
async def working(bus: Bus, stages: Sequence[Stage], settings: StageSettings) -> AsyncIterator[Worker]:
    """A worker that is ready; drained afterwards."""
    worker = Worker(bus, [stage.work(bus, settings) for stage in stages], settings)
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not worker.is_ready:
                assert not task.done(), await task
                await asyncio.sleep(0.02)
        yield worker
    finally:
        worker.drain()
        await task


class Collected:
    """All that is sent to some topics, from now on."""

    def __init__(self, bus: Bus, *names: str) -> None:
        self._bus, self._names = bus, names
        self.messages: list[Any] = []

    async def __aenter__(self) -> "Collected":
        partitions = [
            Partition(name, number) for name in self._names for number in range(await self._bus.partition_count(name))
        ]
        self._reader = self._bus.reader()
        await self._reader.start()
        latest: dict[Partition, int | Edge] = dict.fromkeys(partitions, "last")
        await self._reader.assign(latest)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.close()

    async def until(self, enough: Callable[[list[Any]], bool], *, within_s: float = PATIENCE_S) -> list[Any]:
        """Wait until what was sent is enough."""
        try:
            async with asyncio.timeout(within_s):
                while not enough(self.messages):
                    for records in (await self._reader.getmany(timeout_s=0.2)).values():
                        self.messages += [decode(each.partition.topic, each.value) for each in records]
        except TimeoutError:
            raise AssertionError(f"within {within_s:g} s only this came: {self.messages}") from None
        return self.messages

    def done(self, run_id: UUID) -> list[Done]:
        """Results of a run, in the order of the plan; one of each processor."""
        found = {each.processor: each for each in self.messages if isinstance(each, Done) and each.run_id == run_id}
        return [found[index] for index in sorted(found)]


async def send(bus: Bus, command: Decode) -> None:
    """Hand out a run."""
    await bus.publish(topics.decode_commands(command.run.lane), encode(command), key=command.run.run_id.bytes)


def all_done(commands: Iterable[Decode]) -> Callable[[list[Any]], bool]:
    """Whether there is a result of every processor of these runs."""
    wanted = {(each.run.run_id, i) for each in commands for i in range(len(each.run.plan.processors))}
    return lambda messages: wanted <= {(each.run_id, each.processor) for each in messages if isinstance(each, Done)}


def stored(store: Store, done: Done) -> Results:
    return store.result(done.result.prefix, manifest_sha256=done.result.manifest_sha256).results()
