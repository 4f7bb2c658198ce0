"""A broker with all topics, a store, and services as processes of their own, as they run in production."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from tests.support import kafka
from tests.support.services import Service, running
from tests.support.stages import Collected, all_done, send

from benchmarks import processes
from timeside_core import topics
from timeside_core.bus.kafka import KafkaBus
from timeside_core.messages import Decode, Done, Failed, StoredMedia
from timeside_core.store import Store

AS_DEPLOYED = {"session_s": "10", "commit_every_s": "1", "step_s": "300"}
"""Settings that the tests' services have otherwise."""
BROKER = "broker"
PATIENCE_S = 600.0
SETTLE_S = 1.0
"""After the last result: offsets are committed, what was held is let go."""
_READ_BYTES = 1 << 20


class Measured(NamedTuple):
    """What runs took, and what came of them."""

    cpu_s: dict[str, float]
    """By process."""
    done: list[Done]

    @property
    def services_s(self) -> float:
        """CPU seconds of the services, the broker aside."""
        return of_services(self.cpu_s)


@dataclass
class Rig:
    """What is measured, and around it."""

    folder: Path
    broker: kafka.Broker
    bus: KafkaBus
    store: Store
    services: dict[str, Service] = field(default_factory=dict[str, Service])

    @property
    def broker_pid(self) -> int:
        """Process of the broker."""
        assert self.broker.process is not None
        return self.broker.process.pid

    @contextlib.contextmanager
    def running(self, *names: str) -> Generator[None]:
        """Fresh services, ready for work."""
        with running(self.folder, self.broker.bootstrap, *names, logs=None, **AS_DEPLOYED) as self.services:
            yield

    def pid(self, name: str) -> int:
        """The I/O process of a service."""
        process = self.services[name].process
        assert process is not None
        return process.pid

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far: of the broker, of each service's I/O process, of each service's children."""
        taken = {BROKER: processes.cpu_s(self.broker_pid)}
        for name in self.services:
            taken[f"{name}, I/O process"] = processes.cpu_s(self.pid(name))
            taken[f"{name}, children"] = sum(map(processes.cpu_s, processes.tree(self.pid(name))[1:]))
        return taken

    def peak_mib(self) -> dict[str, tuple[float, float]]:
        """Peak memory of each service's I/O process, and of the largest of its children."""
        peaks: dict[str, tuple[float, float]] = {}
        for name in self.services:
            pid, *children = processes.tree(self.pid(name))
            peaks[name] = processes.peak_mib(pid), max(map(processes.peak_mib, children))
        return peaks

    def keep(self, path: Path) -> StoredMedia:
        """Put a file into the store."""
        with path.open("rb") as file:
            sha256, size = self.store.put_media(iter(lambda: file.read(_READ_BYTES), b""))
        return StoredMedia(sha256=sha256, size=size)

    async def run(self, *commands: Decode) -> list[Done]:
        """Hand out runs, and wait for all their results."""
        async with Collected(self.bus, topics.RESULT) as collected:
            for command in commands:
                await send(self.bus, command)
            return await results(collected, commands)

    async def measured(self, *commands: Decode) -> Measured:
        """Hand out runs, and see what they take."""
        before = self.cpu_s()
        done = await self.run(*commands)
        await asyncio.sleep(SETTLE_S)
        return Measured({name: seconds - before[name] for name, seconds in self.cpu_s().items()}, done)


def of_services(cpu_s: Mapping[str, float]) -> float:
    """The sum over all but the broker."""
    return sum(seconds for name, seconds in cpu_s.items() if name != BROKER)


async def results(collected: Collected, commands: Sequence[Decode]) -> list[Done]:
    """All results of runs; a failure ends the measurement."""
    enough = all_done(commands)

    def no_failure(messages: list[Any]) -> bool:
        if failed := next((each for each in messages if isinstance(each, Failed)), None):
            raise RuntimeError(f"run {failed.run_id} failed: {failed.reason}")
        return enough(messages)

    wanted: set[UUID] = {each.run.run_id for each in commands}
    messages = await collected.until(no_failure, within_s=PATIENCE_S)
    return [each for each in messages if isinstance(each, Done) and each.run_id in wanted]


@contextlib.asynccontextmanager
async def rig() -> AsyncGenerator[Rig]:
    """A broker of its own, with all topics as they are declared; gone afterwards, with all that was written."""
    with tempfile.TemporaryDirectory(prefix="timeside-rig-") as folder, kafka.running() as broker:
        await topics.apply(broker.bootstrap)
        async with KafkaBus(broker.bootstrap) as bus:
            yield Rig(Path(folder), broker, bus, Store((Path(folder) / "store").as_uri()))


def section_over_kafka(title: str, measure: Callable[[Rig], Coroutine[Any, Any, str]]) -> str:
    """Markdown of a section that needs a broker, or why there is none."""

    async def with_rig() -> str:
        async with rig() as made:
            return await measure(made)

    try:
        return f"## {title}\n\n{asyncio.run(with_rig())}"
    except kafka.BrokerError as error:
        return f"## {title}\n\nNot measured: {error}"
