"""The roles as processes of their own, over real Kafka and PostgreSQL that hang, die and come back.

The worker is a model in this process: it takes commands, gives signs of life, and is done when the test says so.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from tests.harness.actors import done
from tests.harness.world import asked
from tests.support.kafka import Broker
from tests.support.postgres import Server
from tests.support.services import Service

from timeside_api import tasks
from timeside_api.database import Database
from timeside_api.models import Media
from timeside_api.tasks import Part, Request, Terms
from timeside_core import topics
from timeside_core.bus import BusSettings
from timeside_core.bus.kafka import KafkaBus
from timeside_core.errors import StaleMemberError
from timeside_core.ids import uuid7
from timeside_core.messages import Renewal, Run, RunRef, decode, encode

pytestmark = pytest.mark.integration

LEASE_S = 2.0
AWAY_S = 60.0
"""How long the bus is away: thirty leases."""
PATIENCE_S = 90.0
BUS = BusSettings(heartbeat_s=0.2, session_s=6, retry_s=0.1)


class Worker:
    """Takes every command, as often as it comes, and keeps all of it open until told to end."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus = bus
        self.id = uuid7()
        self.open: dict[UUID, Run] = {}
        self.taken: set[tuple[UUID, int]] = set()

    async def take(self) -> None:
        """Accept what comes."""
        consumer = self._bus.consumer(topics.decode_commands("interactive"), group="ts.decoder")
        async with consumer:
            while True:
                for partition, records in (await consumer.getmany(timeout_s=0.2, max_records=1)).items():
                    with suppress(StaleMemberError):
                        await consumer.commit({partition: records[0].offset + 1})
                        run = decode(partition.topic, records[0].value).run
                        if run.run_id > self.id:  # ids tell when they were made: others left their commands here too
                            self.open[run.run_id] = run
                            self.taken.add((run.run_id, run.attempt))

    async def live(self) -> None:
        """Give signs of life."""
        while True:
            refs = tuple(RunRef(run_id=run.run_id, attempt=run.attempt) for run in self.open.values())
            if refs:
                sign = Renewal(worker=self.id, stage="decoder", runs=refs)
                await self._bus.publish(topics.LEASE, encode(sign), key=self.id.bytes)
            await asyncio.sleep(LEASE_S / 3)

    async def end(self) -> None:
        """Be done with all that is open."""
        while self.open:
            _, run = self.open.popitem()
            for index in range(len(run.plan.processors)):
                await self._bus.publish(topics.RESULT, encode(done(run, index, run.plan)), key=run.run_id.bytes)


@asynccontextmanager
async def working(bootstrap: str) -> AsyncIterator[Worker]:
    async with KafkaBus(bootstrap, settings=BUS) as bus:
        worker = Worker(bus)
        doing = [asyncio.create_task(each) for each in (worker.take(), worker.live())]
        yield worker
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)


async def ask(database: Database, count: int) -> None:
    for _ in range(count):
        sha256 = os.urandom(32).hex()
        request = Request(parts=(Part(sha256, (asked("mfcc"), asked("level"))),), terms=Terms(uuid7()))
        async with database.transaction() as session:
            await session.execute(insert(Media).values(sha256=sha256, size=1))
            await tasks.create(session, request)


async def until(database: Database, query: str) -> None:
    """Wait until a query finds nothing any more."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        async with database.transaction() as session:
            found = (await session.execute(text(query))).first()
        if found is None:
            return
        assert time.monotonic() < deadline, f"{query}: {found}"
        await asyncio.sleep(0.1)


def command(environ: dict[str, str], *arguments: str) -> str:
    """What a command of the command line says."""
    line = [sys.executable, "-m", "timeside.cli", *arguments]
    done = subprocess.run(line, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_nothing_fails_while_the_bus_and_the_database_are_away_and_another_takes_over(
    postgres_server: Server, kafka_broker: Broker, tmp_path: Path
):
    async with postgres_server.database(template="template1") as url:
        environ = {
            "TIMESIDE_DATABASE_URL": url,
            "TIMESIDE_KAFKA_BOOTSTRAP": kafka_broker.bootstrap,
            "TIMESIDE_LEASE_S": str(LEASE_S),
        }
        assert "revision 0" in command(environ, "db", "upgrade")
        assert "topics are as declared" in command(environ, "topics", "apply")
        assert "made" not in command(environ, "topics", "apply")
        database = Database(url)
        first, second = (
            Service("api", environ, tmp_path / f"{name}.log", ("--role", "dispatcher,recorder"))
            for name in ("first", "second")
        )
        try:
            await play(first, second, database, postgres_server, kafka_broker)
        finally:
            await database.close()
            for service in (first, second):
                if service.process is not None and service.process.poll() is None:
                    service.kill()


async def play(first: Service, second: Service, database: Database, postgres: Server, broker: Broker) -> None:
    first.start()
    first.wait_ready()
    async with working(broker.bootstrap) as worker:
        await ask(database, 3)
        await until(database, "SELECT state FROM run WHERE state <> 'running'")

        # Both are away for long while runs are open; the database comes back first.
        broker.freeze()
        pid = postgres.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(AWAY_S)
        postgres.postgres.ensure()
        await asyncio.sleep(1.5 * LEASE_S)
        broker.thaw()
        await asyncio.sleep(1.5 * LEASE_S)
        assert first.get("/livez")[0] == 200
        await ask(database, 2)
        await until(database, "SELECT state FROM run WHERE state <> 'running'")
        await worker.end()
        await until(database, "SELECT state FROM task WHERE state <> 'done'")
        assert sorted(attempt for _, attempt in worker.taken) == [1] * 5
        assert 'timeside_recorded_total{kind="Done"} 10.0' in first.get("/metrics")[1]

        # The process that is dispatcher and recorder is killed; another is there.
        second.start()
        second.wait_ready()
        await ask(database, 2)
        first.kill()
        await ask(database, 2)
        deadline = time.monotonic() + PATIENCE_S
        while await unsettled(database):
            await worker.end()
            assert time.monotonic() < deadline
        async with database.transaction() as session:
            assert await session.scalar(text("SELECT count(*) FROM run WHERE strikes > 0")) == 0
    assert second.stop() == 0
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": 0x7473_6469})


async def unsettled(database: Database) -> bool:
    await asyncio.sleep(0.1)
    async with database.transaction() as session:
        return bool(await session.scalar(text("SELECT count(*) FROM task WHERE state <> 'done'")))


async def test_a_start_that_waits_ends_when_told_to(tmp_path: Path):
    environ = {"TIMESIDE_DATABASE_URL": f"postgresql://timeside@/timeside?host={tmp_path}"}
    service = Service("api", environ, tmp_path / "log", ("--role", "recorder"))
    service.start()
    deadline = time.monotonic() + PATIENCE_S
    while service.get("/livez")[0] != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert service.get("/readyz")[0] == 503
    assert service.stop() == 0
    assert "waiting for database" in service.log.read_text()
