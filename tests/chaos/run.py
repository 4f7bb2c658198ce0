"""One run of the chaos: start everything, ask, do harm, wait until all is settled, stop, look."""

import asyncio
import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.cases import Case, Cases
from tests.chaos.check import Checked, checked
from tests.chaos.client import Client
from tests.chaos.faults import Injector, planned
from tests.chaos.fleet import Bus, Database, Fleet
from tests.chaos.media import MAX_SAMPLES
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.support import kafka

from timeside_api import database as api
from timeside_api.embedded import EmbeddedPostgres
from timeside_core import dead_letters, topics
from timeside_core.bus.kafka import KafkaBus
from timeside_core.store import Store

POLL_S = 0.5
SAY_EVERY_S = 15.0


class Chaos:
    """A platform in a temporary folder, and its misfortunes."""

    def __init__(self, scenario: Scenario, out: Path) -> None:
        self._scenario, self._out = scenario, out
        self._cases: list[Case] = []
        self._unsettled = 0
        """Tasks, when last looked at."""
        self._began = time.monotonic()

    async def run(self) -> Report:
        """All of it."""
        self._out.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="timeside-chaos-") as name,
            kafka.running() as broker,
            EmbeddedPostgres(Path(name) / "pg") as postgres,
            (self._out / "events.jsonl").open("w") as self._events,
        ):
            await topics.apply(broker.bootstrap, topics.declared(max_partitions=self._scenario.partitions))
            database = api.Database(postgres.url, name="chaos")
            await database.upgrade()
            report = await self._platform(Path(name), broker, postgres, database)
            await database.close()
        report.write(self._out)
        return report

    async def _platform(
        self, folder: Path, broker: kafka.Broker, postgres: EmbeddedPostgres, database: api.Database
    ) -> Report:
        scenario, store = self._scenario, Store((folder / "store").as_uri())
        environ = scenario.environ(folder, broker.bootstrap, postgres.url, MAX_SAMPLES)
        fleet = Fleet(environ, self._out / "log", self._note)
        client = Client(database, store, scenario.settings, scenario.seed)
        faults = planned(scenario.kills, scenario.seed, lease_s=scenario.lease_s)
        injector = Injector(
            fleet,
            Database(postgres),
            Bus(broker),
            faults,
            self._note,
            lambda: self._unsettled,
            drain_s=scenario.drain_s,
        )
        self._began = time.monotonic()
        supervisor = asyncio.create_task(fleet.supervise())
        try:
            await self._misfortunes(client, injector, supervisor)
            took_s = time.monotonic() - self._began
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
            with contextlib.ExitStack() as stack:
                stack.callback(fleet.kill)
                await fleet.stop(scenario.drain_s)
        letters = await self._letters(broker.bootstrap)
        found: Checked = await checked(database, store, self._cases)
        return Report(
            scenario,
            found,
            faults=injector.done,
            at_work=injector.at_work,
            ends=fleet.ends(),
            repeated=client.repeated,
            letters=letters,
            took_s=took_s,
        )

    async def _misfortunes(self, client: Client, injector: Injector, supervisor: asyncio.Task[None]) -> None:
        """Ask and do harm at the same time; return once all is settled, or does not settle any more."""
        watching = asyncio.create_task(self._watch(client, injector))
        work = asyncio.gather(self._ask(client, injector), injector.run(most_unsettled=2 * self._scenario.backlog))
        try:
            await asyncio.wait([work, supervisor, watching], return_when=asyncio.FIRST_COMPLETED)
            for each in (supervisor, watching):
                if each.done():
                    each.result()
            await work
            await client.finish()
            await self._settle(client)
        finally:
            for each in (work, watching):
                each.cancel()
            await asyncio.gather(work, watching, return_exceptions=True)

    async def _ask(self, client: Client, injector: Injector) -> None:
        """Ask for everything, in step with the faults."""
        for case, data in Cases(self._scenario.runs, self._scenario.seed):
            await self._turn(case, injector)
            self._cases.append(case)
            await client.ask(case, data)
            self._unsettled += len(case.owners)

    async def _turn(self, case: Case, injector: Injector) -> None:
        """Wait until it is its turn."""
        while True:
            in_step = case.number <= injector.share * self._scenario.runs + self._scenario.ahead
            if in_step and self._unsettled < self._scenario.backlog:
                return
            await asyncio.sleep(POLL_S / 5)

    async def _settle(self, client: Client) -> None:
        left, since = 1, time.monotonic()
        while left and time.monotonic() - since < self._scenario.stuck_s:
            await asyncio.sleep(POLL_S)
            now = await client.unsettled() + await client.unsent()
            if now != left:
                left, since = now, time.monotonic()

    async def _watch(self, client: Client, injector: Injector) -> None:
        said = 0.0
        while True:
            self._unsettled = await client.unsettled()
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                asked = f"{len(self._cases)} of {self._scenario.runs} asked, {self._unsettled} tasks unsettled"
                print(f"{said - self._began:6.0f} s: {asked}, {injector.kills} kills", flush=True)
            await asyncio.sleep(POLL_S)

    async def _letters(self, bootstrap: str) -> int:
        """Messages that somebody could not read."""
        async with KafkaBus(bootstrap) as bus:
            letters = [each.letter async for each in dead_letters.letters(bus)]
        for letter in letters:
            self._note("dead letter", letter.topic, letter.cause)
        return len(letters)

    def _note(self, what: str, whom: str, detail: str = "") -> None:
        event: dict[str, Any] = {"at_s": round(time.monotonic() - self._began, 2), "what": what, "whom": whom}
        event["unsettled"] = self._unsettled
        self._events.write(json.dumps(event | ({"detail": detail} if detail else {})) + "\n")
        self._events.flush()
