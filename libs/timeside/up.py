"""`timeside up`: the whole platform in one process tree; no Docker, no broker, no database to install.

One process serves HTTP, hands out runs, records results and keeps the bus in memory; its children decode, analyse, draw
and encode, as those of a fused worker do; PostgreSQL is a child too. What is not done when it stops is done after the
next start. With `kafka_bootstrap`, `database_url` or `store_url` the same program runs over real parts; on brokers
that other workers use as well it must not be run, as it takes every command for its own.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr
from sqlalchemy import delete

from timeside.worker import POOL, STAGES, WorkerSettings, fused
from timeside_api.database import Database
from timeside_api.dispatcher import LANES, Dispatcher
from timeside_api.embedded import EmbeddedPostgres
from timeside_api.errors import DatabaseError
from timeside_api.http.accounts import administration
from timeside_api.http.app import create_app
from timeside_api.http.server import listen, serve
from timeside_api.http.settings import HttpSettings
from timeside_api.models import RecorderOffset
from timeside_api.recorder import Recorder
from timeside_api.settings import RunSettings
from timeside_core import topics
from timeside_core.bus import Bus, KafkaAccess, connect
from timeside_core.ids import uuid7
from timeside_core.settings import Seconds, from_environment
from timeside_core.stage import log, traces
from timeside_core.stage.service import Work, Worker
from timeside_core.stage.settings import StageSettings
from timeside_core.stage.traces import TraceSettings
from timeside_core.store import Store
from timeside_grapher.stage import DRAW_STAGE

PARTITIONS = 4
"""Of a topic in memory: more runs at a time than a machine has cores for are of no use."""
KEEP_S = 2.0
"""How often it is looked whether PostgreSQL still runs."""
START_S = 60.0
"""How long a start waits for the database."""
MEMORY = "memory:"
"""What names of buses in memory begin with."""


class UpSettings(KafkaAccess, TraceSettings):
    """What the environment says: `TIMESIDE_HOME` sets `home`; secrets may be in files (`…_FILE`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    home: Path = Path("~/.local/share/timeside")
    """Where everything is that has no place of its own."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/database`; a database of its own, below `home`, where not given."""
    kafka_bootstrap: str = ""
    """Addresses of brokers that have the topics; a bus in memory where not given."""
    store_url: str = ""
    """`file:///…` or `s3://…`; `store`, below `home`, where not given."""
    live_runs: Annotated[int, Field(ge=0, le=256)] = 0
    """Live sources heard at a time, each by a process of its own; none where not given."""
    drain_s: Seconds = 5.0
    """Time to finish what is at hand when it is told to stop; the rest is done after the next start."""
    log_level: str = "WARNING"

    @classmethod
    def read(cls, **given: str) -> Self:
        """From the environment, but for what is given."""
        given = {f"TIMESIDE_{name.upper()}": value for name, value in given.items() if value}
        return from_environment(cls, {**os.environ, **given})

    @property
    def folder(self) -> Path:
        """Home, as a path."""
        return self.home.expanduser().absolute()


@contextlib.contextmanager
def database_of(settings: UpSettings, *, may_run: bool = False) -> Generator[tuple[str, EmbeddedPostgres | None]]:
    """Address of the database, and its server if that is ours; with `may_run` another process may run it already."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value(), None
        return
    server = EmbeddedPostgres(settings.folder / "pg")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(server)
        except DatabaseError:
            if not (may_run and server.run.exists()):
                raise
        yield server.url, server


def run(settings: UpSettings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Until told to stop by SIGINT or SIGTERM; `say` tells the address, and the first password."""
    log.configure("up", settings.log_level)
    with listen(host, port) as listening, database_of(settings) as (url, server), traces.exporting("up", settings):
        asyncio.run(_Platform(settings, url, server, say).run(listening))


class _Platform:
    """All roles in one process, begun and ended in order."""

    def __init__(
        self, settings: UpSettings, url: str, server: EmbeddedPostgres | None, say: Callable[[str], None]
    ) -> None:
        self._settings, self._server, self._say = settings, server, say
        self._database = Database(url, name="timeside-up")
        self._workers = _worker_settings(settings)
        self._store = Store(self._workers.store)
        self._is_new_bus = not settings.kafka_bootstrap
        self._bus_name = f"{MEMORY}{uuid7()}" if self._is_new_bus else settings.kafka_bootstrap
        self._bus = _bus(settings)

    async def run(self, listening: socket.socket) -> None:
        """Until told to stop, or something cannot go on."""
        stop = asyncio.Event()
        main = asyncio.current_task()
        assert main is not None

        def told() -> None:
            if stop.is_set():
                main.cancel()  # told twice: at once, then
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told)
        try:
            await self._prepare()
            async with self._bus:
                await self._serve(listening, stop)
        finally:
            await self._database.close()

    async def _prepare(self) -> None:
        """Bring the tables up to date; forget how far buses were recorded that are gone; make the first account."""
        await self._database.wait_and_upgrade(START_S)
        if self._server is not None:
            async with self._database.transaction() as session:
                await session.execute(delete(RecorderOffset).where(RecorderOffset.bus.startswith(MEMORY)))
        password = await administration.first(self._database)
        if password is not None:
            self._say(f"account: {administration.FIRST_ADMIN}, one-time password: {password}")

    async def _serve(self, listening: socket.socket, stop: asyncio.Event) -> None:
        runs = RunSettings(lease_s=self._workers.lease_s, live_runs=self._settings.live_runs)
        dispatcher = Dispatcher(
            self._bus,
            self._database,
            bus_name=self._bus_name,
            settings=runs,
            command_groups=(f"ts.{POOL}", "ts.decoder-live"),
            fused=LANES,
            is_new_bus=self._is_new_bus,
        )
        recorder = Recorder(self._bus, self._database, bus_name=self._bus_name, settings=runs)
        inside = fused(self._bus, self._workers)
        works = [stage.work(inside, self._workers) for stage in STAGES]
        drawing = self._workers.model_copy(update={"children": 1})  # a picture takes milliseconds
        works += [DRAW_STAGE.work(inside, drawing), *_listening(inside, self._workers, self._settings.live_runs)]
        worker = Worker(inside, works, self._workers)
        app = create_app(
            _http_settings(self._settings),
            self._bus,
            self._store,
            self._database,
            runs=runs,
            scratch=self._workers.scratch_folder / "uploads",
        )
        last = asyncio.Event()
        outer = serve(app, listening, stop), dispatcher.run(stop), self._keep(stop)
        serving = [asyncio.create_task(each) for each in outer]
        working, recording = asyncio.create_task(worker.run()), asyncio.create_task(recorder.run(last))
        told = asyncio.create_task(stop.wait())
        self._say(f"TimeSide is at {_shown(listening)}")
        await asyncio.wait([told, *serving, working, recording], return_when=asyncio.FIRST_COMPLETED)
        stop.set()  # first nothing more is asked for or handed out, then work ends, then the last word is recorded
        await asyncio.wait([told, *serving])
        worker.drain()
        await asyncio.wait([working])
        last.set()
        await asyncio.wait([recording])
        for each in (*serving, working, recording):
            each.result()
        if self._is_new_bus:
            await _record_the_rest(recorder)

    async def _keep(self, stop: asyncio.Event) -> None:
        """Start PostgreSQL again where it has died."""
        while not stop.is_set():
            if self._server is not None:
                await asyncio.to_thread(self._server.ensure)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEEP_S):
                    await stop.wait()


async def _record_the_rest(recorder: Recorder) -> None:
    """What lies on a bus in memory is gone with it."""
    while await recorder.turn():
        pass
    await recorder.leave()


def _bus(settings: UpSettings) -> Bus:
    if settings.kafka_bootstrap:
        return connect(f"kafka://{settings.kafka_bootstrap}", access=settings)
    return connect("memory://", topics=topics.declared(max_partitions=PARTITIONS))


def _worker_settings(settings: UpSettings) -> WorkerSettings:
    """Those of a fused worker for all lanes."""
    ours = {
        "TIMESIDE_HOME": str(settings.folder),
        "TIMESIDE_STORE_URL": settings.store_url,
        "TIMESIDE_LANES": ",".join(LANES),
        "TIMESIDE_POOL": POOL,
        "TIMESIDE_LOCAL_POOL": POOL,
        "TIMESIDE_DRAIN_S": str(settings.drain_s),
    }
    return WorkerSettings.of_environment({**os.environ, **ours})


def _listening(bus: Bus, settings: WorkerSettings, live_runs: int) -> list[Work]:
    """What hears live sources and analyses them: these are never fused, as they are cut into segments."""
    if not live_runs:
        return []
    from timeside_analyzer.stage import STAGE as ANALYZER  # not above: few installations listen
    from timeside_decoder.live_stage import LIVE_STAGE

    decoders = settings.model_copy(update={"children": live_runs})
    common = settings.model_dump(include=set(StageSettings.model_fields))
    analyzers = StageSettings.model_validate(common | {"pool": "", "lanes": LANES[:1], "children": 1})
    pools = [ANALYZER, replace(ANALYZER, pool="analyzer-librosa")]
    return [LIVE_STAGE.work(bus, decoders), *(each.work(bus, analyzers) for each in pools)]


def _http_settings(settings: UpSettings) -> HttpSettings:
    environ: dict[str, str] = dict(os.environ)
    if not {"TIMESIDE_SECRET", "TIMESIDE_SECRET_FILE"} & environ.keys():
        environ["TIMESIDE_SECRET_FILE"] = str(_secret_file(settings.folder))
    return from_environment(HttpSettings, environ)


def _secret_file(home: Path) -> Path:
    """A file of our own with a secret, made the first time."""
    file = home / "secret"
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as made:
            made.write(secrets.token_urlsafe(32))
    return file


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
