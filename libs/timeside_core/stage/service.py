"""A worker as a whole: what it reads, its children, its signs of life, its drain."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import UUID

from timeside_core import topics
from timeside_core.bus import (
    Bus,
    BusSettings,
    Edge,
    KafkaAccess,
    OffsetOutOfRangeError,
    Partition,
    Reader,
    Record,
    connect,
    patiently,
)
from timeside_core.errors import BusError, PoisonError, TimesideError
from timeside_core.messages import Cancel, Lane, RunRef, Stop, decode
from timeside_core.stage import log, traces
from timeside_core.stage.blocks import Blocks
from timeside_core.stage.children import Children, Kind
from timeside_core.stage.commands import Commands, Files
from timeside_core.stage.metrics import OPEN_RUNS
from timeside_core.stage.outbox import Outbox
from timeside_core.stage.probes import Probes
from timeside_core.stage.settings import StageSettings

_log = logging.getLogger(__name__)

CLOSE_S = 3.0
"""Limit of each step of an end. All of them take less than the 15 s that the orchestrator waits beyond `drain_s`."""
STOP_S = 2.5
"""The same for each step of the bus."""
_CONTROL_POLL_S = 1.0


class Work(Protocol):
    """What a worker does with some topics: `Blocks` or `Commands`."""

    children: Children
    outbox: Outbox

    @property
    def runs(self) -> list[RunRef]:
        """What is at work."""
        ...

    @property
    def leased(self) -> list[RunRef]:
        """Runs that stay with this worker as long as it lives."""
        ...

    def cancel(self, run_id: UUID, attempt: int | None = None) -> None:
        """Give up a run, or its attempts up to that one."""

    def stop(self, run_id: UUID) -> None:
        """Bring a live run to its end."""

    def drain(self, within_s: float) -> None:
        """Come to an end."""

    async def run(self) -> None:
        """Until drained."""

    async def close(self) -> None:
        """End everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStage:
    """A service that reads blocks of a pool."""

    pool: str
    """By default; a deployment may run another."""
    factory: str
    topics: frozenset[str]

    def work(self, bus: Bus, settings: StageSettings) -> Work:
        """Its work on a bus."""
        pool = settings.pool or self.pool
        kind = Kind(
            name=pool,
            factory=self.factory,
            settings=_for_children(settings.model_copy(update={"pool": pool})),
            topics=self.topics,
        )
        return Blocks(
            bus,
            [topics.pcm(pool, lane) for lane in settings.lanes],
            group=f"ts.{pool}",
            kind=kind,
            outbox=Outbox(bus, pool, settings),
            settings=settings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStage:
    """A service that reads commands."""

    name: str
    factory: str
    command_topic: Callable[[Lane], str]
    topics: frozenset[str]
    files: Callable[[StageSettings], Files]
    is_sandboxed: bool = False
    group: str = ""
    """Of its consumers; after its name where not given."""

    def work(self, bus: Bus, settings: StageSettings) -> Work:
        """Its work on a bus."""
        files = self.files(settings)
        kind = Kind(
            name=self.name,
            factory=self.factory,
            settings=_for_children(settings),
            topics=self.topics,
            readable=files.readable if self.is_sandboxed else None,
        )
        return Commands(
            bus,
            tuple(dict.fromkeys(self.command_topic(lane) for lane in settings.lanes)),
            group=self.group or f"ts.{self.name}",
            kind=kind,
            outbox=Outbox(bus, self.name, settings),
            settings=settings,
            files=files,
        )


def _for_children(settings: StageSettings) -> dict[str, Any]:
    """What children are told: they compute, and have no business with Kafka."""
    return settings.model_dump(mode="json", exclude=set(KafkaAccess.model_fields))


_S = TypeVar("_S", bound=StageSettings)
Stage: TypeAlias = BlockStage | CommandStage


class Worker:
    """The I/O process of a service: it never computes."""

    def __init__(self, bus: Bus, works: Sequence[Work], settings: StageSettings) -> None:
        self._bus, self._works, self._settings = bus, works, settings
        self._stopped = asyncio.Event()
        self.is_ready = False
        """Whether it takes work."""

    def drain(self) -> None:
        """Take no new run; finish what ends within `drain_s`; then `run` returns."""
        if not self._stopped.is_set():
            _log.info("draining: %d open runs", self.open_runs)
        self.is_ready = False
        self._stopped.set()
        for work in self._works:
            work.drain(self._settings.drain_s)

    @property
    def open_runs(self) -> int:
        """Runs that are open."""
        return sum(len(work.runs) for work in self._works)

    async def run(self) -> None:
        """Until drained; raises what makes it impossible to go on."""
        helpers: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(work.children.start() for work in self._works))
            helpers = [asyncio.create_task(each) for each in (self._renew(), self._obey())]
            helpers += [asyncio.create_task(work.children.watch()) for work in self._works]
            works = [asyncio.create_task(work.run()) for work in self._works]
            self.is_ready = not self._stopped.is_set()
            await self._until_done(works, helpers)
        finally:
            self.is_ready = False
            await self._end(helpers)

    async def _until_done(self, works: list[asyncio.Task[None]], helpers: list[asyncio.Task[None]]) -> None:
        try:
            while not all(work.done() for work in works):
                done, _ = await asyncio.wait([*works, *helpers], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                    if task in helpers:
                        helpers.remove(task)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _end(self, helpers: list[asyncio.Task[None]]) -> None:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        for step in (self._flush(), self._close_works()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await step

    async def _close_works(self) -> None:
        await asyncio.gather(*(work.close() for work in self._works))

    async def _flush(self) -> None:
        with contextlib.suppress(BusError):
            await self._bus.flush()

    async def _renew(self) -> None:
        """Keep the leases of open runs."""
        while True:
            OPEN_RUNS.set(self.open_runs)
            for work in self._works:
                await work.outbox.renew(work.leased)
            await asyncio.sleep(self._settings.lease_s / 3)

    async def _obey(self) -> None:
        """Read what is broadcast to all workers."""
        count = await patiently(partial(self._bus.partition_count, topics.CONTROL))
        latest: dict[Partition, int | Edge] = {Partition(topics.CONTROL, each): "last" for each in range(count)}
        async with self._bus.reader() as reader:
            await patiently(partial(reader.assign, latest))
            while True:
                for record in await self._control(reader):
                    self._take(record)

    async def _control(self, reader: Reader) -> list[Record]:
        try:
            fetched = await reader.getmany(timeout_s=_CONTROL_POLL_S)
        except OffsetOutOfRangeError as error:  # what is that old is no news
            reader.seek(error.partition, error.bounds.next)
            return []
        except BusError as error:
            _log.warning("%s", error)
            await asyncio.sleep(_CONTROL_POLL_S)
            return []
        return [record for records in fetched.values() for record in records]

    def _take(self, record: Record) -> None:
        try:
            message = decode(record.partition.topic, record.value)
        except PoisonError as error:  # who sent it has seen no effect; every worker would bury it
            _log.error("%s %d: %s", record.partition, record.offset, error)
            return
        for work in self._works:
            if isinstance(message, Cancel):
                work.cancel(message.run_id, message.attempt)
            elif isinstance(message, Stop):
                work.stop(message.run_id)


def main(
    name: str,
    stages: Sequence[Stage] | Callable[[_S], Sequence[Stage]],
    read_settings: Callable[[], _S],
    *,
    bus: Callable[[Bus, _S], Bus] = lambda kafka, _: kafka,
) -> int:
    """Serve until told to stop; the status that the process ends with.

    Settings may decide on the stages. `bus` may put another before that of Kafka.
    """
    log.configure(name)
    try:
        settings = read_settings()
        chosen = stages(settings) if callable(stages) else stages
        with traces.exporting(name, settings):
            return asyncio.run(_serve(chosen, settings, lambda kafka: bus(kafka, settings)))
    except TimesideError as error:
        _log.critical("%s", error)
        return 1


async def _serve(stages: Sequence[Stage], settings: StageSettings, made: Callable[[Bus], Bus]) -> int:
    bus_settings = BusSettings(session_s=settings.session_s, poll_s=max(900.0, 4 * settings.step_s), stop_s=STOP_S)
    bus = made(connect(f"kafka://{settings.kafka_bootstrap}", settings=bus_settings, access=settings))
    workers: list[Worker] = []
    probes = Probes(
        settings.host,
        settings.port,
        is_alive=lambda: True,
        is_ready=lambda: any(worker.is_ready for worker in workers),
    )
    async with probes, bus:
        worker = Worker(bus, [stage.work(bus, settings) for stage in stages], settings)
        workers.append(worker)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.drain)
        await worker.run()
    return 0
