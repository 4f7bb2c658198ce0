"""Who acts in the harness: a dispatcher, a recorder, and a model of a worker that decodes and analyses."""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from tests.harness.steps import SteppedBus, SteppedDatabase, Steps

from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.recorder import Recorder
from timeside_api.settings import RunSettings
from timeside_core import topics
from timeside_core.bus.memory import MemoryBus
from timeside_core.ids import uuid7
from timeside_core.messages import (
    Done,
    Facts,
    Failed,
    JsonMessage,
    Lost,
    MediaFacts,
    Plan,
    PlannedProcessor,
    Renewal,
    Run,
    RunRef,
    StoredMedia,
    StoredResultRef,
    decode,
    encode,
)

BUS_NAME = "harness"
SETTINGS = RunSettings(poll_s=0.001, tick_s=86_400, measure_s=86_400, idle_s=86_400, retry_s=0.01)
"""Nothing happens by itself: time passes when the harness says so."""


class Actor(ABC):
    """A process: it takes turns, may freeze within one, and leaves nothing behind but its effects."""

    role: ClassVar[str]
    _count: ClassVar[int] = 0

    def __init__(self, bus: MemoryBus, database: Database, steps: Steps) -> None:
        Actor._count += 1
        self.name = f"{self.role} {Actor._count}"
        self.bus = SteppedBus(bus, self, steps)
        self.database = SteppedDatabase(database, self, steps)
        self.frozen, self.thawed = asyncio.Event(), asyncio.Event()
        self.elapsed_s = 0.0

    @abstractmethod
    async def turn(self) -> bool:
        """Do what there is to do; whether there was anything."""

    async def look_after(self) -> bool:
        """What it does now and then; whether there was anything to do."""
        return False

    def elapse(self, seconds: float) -> None:
        """Time passes: what it remembers is older."""
        self.elapsed_s += seconds

    async def freeze(self) -> None:
        """Do nothing until thawed."""
        self.frozen.set()
        await self.thawed.wait()

    async def end(self) -> None:
        """What the kernel does for a process that is dead."""
        await self.bus.evict()
        await self.database.close()


class SteppedDispatcher(Dispatcher):
    """A dispatcher whose commits are steps."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncSession]:
        assert isinstance(self._database, SteppedDatabase)
        assert self._connection is not None
        async with (
            AsyncSession(self._connection, expire_on_commit=False) as session,
            self._database.stepped(session),
        ):
            yield session


class DispatcherActor(Actor):
    """The dispatcher."""

    role = "dispatcher"
    kind: type[Dispatcher] = SteppedDispatcher
    settings = SETTINGS

    def __init__(self, bus: MemoryBus, database: Database, steps: Steps) -> None:
        super().__init__(bus, database, steps)
        self.dispatcher = self.kind(self.bus, self.database, bus_name=BUS_NAME, settings=self.settings)

    async def turn(self) -> bool:
        return await self.dispatcher.take() and await self.dispatcher.turn()

    async def look_after(self) -> bool:
        if not await self.dispatcher.take():
            return False
        try:
            await self.dispatcher.look_after()
        except BaseException:
            await self.dispatcher.release()
            raise
        return True

    def elapse(self, seconds: float) -> None:
        super().elapse(seconds)
        if (tick := self.dispatcher._tick) is not None:
            self.dispatcher._tick = replace(tick, sent_at=tick.sent_at - timedelta(seconds=seconds))

    async def end(self) -> None:
        await self.dispatcher.release()
        await super().end()


class RecorderActor(Actor):
    """A recorder."""

    role = "recorder"
    kind: type[Recorder] = Recorder
    settings = SETTINGS

    def __init__(self, bus: MemoryBus, database: Database, steps: Steps) -> None:
        super().__init__(bus, database, steps)
        self.recorder = self.kind(self.bus, self.database, bus_name=BUS_NAME, settings=self.settings)

    async def turn(self) -> bool:
        return await self.recorder.turn()


Behaviour = Callable[["WorkerActor", Run, int, PlannedProcessor], JsonMessage | None]
"""What a worker says instead of `done` of a processor (by its index); None where it is done."""


class WorkerActor(Actor):
    """A model of decoder and pools together: what they say of a run, in the order in which they say it.

    Each attempt makes other bytes, so that results of two attempts cannot be taken for each other.
    """

    role = "worker"
    behaviour: Behaviour | None = None

    def __init__(self, bus: MemoryBus, database: Database, steps: Steps) -> None:
        super().__init__(bus, database, steps)
        self.id = uuid7()
        self.consumer: Any = None

    async def turn(self) -> bool:
        if self.consumer is None:
            self.consumer = self.bus.consumer(topics.decode_commands("interactive"), group="ts.decoder")
            await self.consumer.start()
        fetched = await self.consumer.getmany(timeout_s=0.001, max_records=1)
        for partition, records in fetched.items():
            run = decode(partition.topic, records[0].value).run
            await self.consumer.commit({partition: records[0].offset + 1})
            await self.work(run)
        return bool(fetched)

    async def work(self, run: Run) -> None:
        """Decode and analyse."""
        of_run = {"run_id": run.run_id, "attempt": run.attempt}
        await self.tell(topics.LEASE, Renewal(worker=self.id, stage="decoder", runs=(RunRef(**of_run),)))
        facts = MediaFacts(samplerate=44_100, channels=2, samples=44_100, codec="pcm_s16le")
        await self.tell(topics.RESULT, Facts(**of_run, facts=facts, final=True), run)
        for index, processor in enumerate(run.plan.processors):
            said = self.behaviour(run, index, processor) if self.behaviour is not None else None
            if isinstance(said, Lost):
                await self.tell(topics.RESULT, said)
                return
            await self.tell(topics.RESULT, said or done(run, index, run.plan), run)

    async def tell(self, topic: str, message: JsonMessage, run: Run | None = None) -> None:
        """Send a message."""
        await self.bus.publish(topic, encode(message), key=(run.run_id if run is not None else self.id).bytes)


class Away(WorkerActor):
    """There is no worker."""

    async def turn(self) -> bool:
        return False


def done(run: Run, index: int, plan: Plan) -> Done:
    """That a processor has written its result."""
    source, processor = plan.source, plan.processors[index]
    assert isinstance(source, StoredMedia)
    return Done(
        run_id=run.run_id,
        attempt=run.attempt,
        processor=index,
        media=source.sha256,
        id=processor.id,
        processor_version=processor.version,
        digest=processor.digest,
        result=StoredResultRef(prefix=place(run), manifest_sha256=hashlib.sha256(place(run).encode()).hexdigest()),
        size=1,
        samples=44_100,
    )


def failed(run: Run, index: int | None, *, retriable: bool, code: str = "crashed", reason: str = "died") -> Failed:
    """That a run, or a processor of it, did not come to its end."""
    of_run = {"run_id": run.run_id, "attempt": run.attempt}
    return Failed(**of_run, stage="analyzer", processor=index, code=code, reason=reason, retriable=retriable)


def place(run: Run) -> str:
    """Where an attempt of a run writes."""
    return f"results/v1/{run.run_id}/{run.attempt}"
