"""A recording through the whole conveyor, and the same in one process; whatever differs is told.

    python -m tests.support.conveyor FILE [--bulk]

Decoder, analyzer, grapher and encoder are processes of their own (in the bulk lane one worker does it all). Between
them and PostgreSQL lie dispatcher and recorder, over a real Kafka broker. What was recorded is read back from the store
and compared with a run here, bit by bit.
"""

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from tests.support import kafka, services

from timeside_api import tasks
from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.embedded import EmbeddedPostgres
from timeside_api.models import Media, Result, ResultState, TaskState
from timeside_api.plans import asked
from timeside_api.recorder import Recorder
from timeside_api.tasks import Part, Request, Terms
from timeside_core import Encoder, Processor, Results, get_processor, topics
from timeside_core.bus.kafka import KafkaBus
from timeside_core.errors import TimesideError
from timeside_core.ids import uuid7
from timeside_core.messages import Lane
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder

SERVICES: dict[Lane, tuple[str, ...]] = {
    "interactive": ("decoder", "analyzer", "grapher", "encoder"),
    "bulk": ("worker",),
}
PROCESSORS = (
    *("level", "mean_dc_shift", "loudness_itu", "waveform_analyzer", "spectrogram_analyzer", "spectral_centroid"),
    *("mfcc", "onset_strength", "aubio_pitch", "flac_encoder", "mp3_encoder"),
)
LIMIT_S = 600.0


@contextlib.asynccontextmanager
async def platform(bootstrap: str, database: Database) -> AsyncGenerator[None]:
    """Dispatcher and recorder, at work."""
    stop = asyncio.Event()
    async with KafkaBus(bootstrap) as bus:
        roles = [each(bus, database, bus_name=bootstrap) for each in (Dispatcher, Recorder)]
        running = [asyncio.create_task(role.run(stop)) for role in roles]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*running)


async def ask(database: Database, media: tuple[str, int], wanted: Sequence[Processor], lane: Lane) -> UUID:
    """Ask for results of a recording that is kept."""
    sha256, size = media
    async with database.transaction() as session:
        await session.merge(Media(sha256=sha256, size=size))
    part = Part(sha256, asked(wanted))
    async with database.transaction() as session:
        return await tasks.create(session, Request(parts=(part,), terms=Terms(uuid7(), lane)))


async def results(database: Database, task_id: UUID, *, within_s: float) -> Sequence[Result]:
    """The results of a task, once it has settled."""
    async with asyncio.timeout(within_s):
        while True:
            async with database.transaction() as session:
                progress = await tasks.progress(session, task_id)
                if progress.state is not TaskState.RUNNING:
                    return await tasks.results(session, task_id)
            await asyncio.sleep(0.1)


def differences(store: Store, path: Path, wanted: Sequence[Processor], recorded: Sequence[Result]) -> list[str]:
    """What is not as in one process."""
    found: list[str] = []
    for processor, result in zip(wanted, recorded, strict=True):
        if result.state != ResultState.DONE or result.object_name is None:
            found.append(f"{processor.id}: {result.state}: {result.reason}")
        elif isinstance(processor, Encoder):
            found += _differing_audio(store, path, processor, result)
        else:
            stored = store.result(result.object_name, manifest_sha256=result.object_sha256).results()
            found += _differing_values(stored, (FileDecoder(path) | processor).run())
    return found


def _differing_values(stored: Results, reference: Results) -> list[str]:
    if stored.ids() != reference.ids():
        return [f"outputs {stored.ids()} are not {reference.ids()}"]
    return [
        f"{found.id}: values differ"
        for found, expected in zip(stored, reference, strict=True)
        if not (np.array_equal(found.values, expected.values) and np.array_equal(found.times, expected.times))
        or found.values.dtype != expected.values.dtype
    ]


def _differing_audio(store: Store, path: Path, encoder: Processor, result: Result) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "reference"
        local = type(encoder).from_parameters({**encoder.parameters(), "output": str(output)})
        (FileDecoder(path) | local).run()
        same = output.read_bytes() == store.objects.get(result.object_name or "")
    return [] if same else [f"{encoder.id}: bytes differ"]


async def compared(
    path: Path, folder: Path, bootstrap: str, lane: Lane, store_url: str = ""
) -> tuple[list[str], float]:
    """What differs, and the seconds from the question to the last result; in a folder, but for the store if named."""
    wanted = [get_processor(each)() for each in PROCESSORS]
    store = Store(store_url or (folder / "store").as_uri())
    media = store.put_media([path.read_bytes()])  # noqa: ASYNC240
    working = services.running(folder, bootstrap, *SERVICES[lane], store_url=store.objects.url)
    with EmbeddedPostgres(folder / "pg") as postgres, working:
        database = Database(postgres.url)
        await database.upgrade()
        async with platform(bootstrap, database):
            began = time.monotonic()
            task_id = await ask(database, media, wanted, lane)
            recorded = await results(database, task_id, within_s=LIMIT_S)
            took_s = time.monotonic() - began
        await database.close()
    return differences(store, path, wanted, recorded), took_s


async def main(path: Path, lane: Lane) -> int:
    """Run it, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="timeside-conveyor-") as folder, kafka.running() as broker:
        await topics.apply(broker.bootstrap, topics.declared(max_partitions=4))
        found, took_s = await compared(path, Path(folder), broker.bootstrap, lane)
    for each in found:
        print(each)
    verdict = "differ from" if found else "are, to the bit, those of"
    through = "four services" if lane == "interactive" else "one worker"
    print(f"{len(PROCESSORS)} results of {path.name}, in {took_s:.1f} s through {through}, {verdict} one process")
    return 1 if found else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    try:
        sys.exit(asyncio.run(main(Path(sys.argv[1]), "bulk" if "--bulk" in sys.argv else "interactive")))
    except TimesideError as error:
        sys.exit(str(error))
