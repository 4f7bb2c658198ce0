"""`timeside-api --role http,dispatcher,recorder`: the platform's side of the conveyor, in one process or several."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from timeside_api.database import Database, DatabaseSettings
from timeside_api.dispatcher import Dispatcher
from timeside_api.http.settings import HttpSettings
from timeside_api.recorder import Recorder
from timeside_api.settings import ApiSettings
from timeside_core import topics
from timeside_core.bus import Bus, BusSettings, connect
from timeside_core.errors import TimesideError
from timeside_core.settings import from_environment
from timeside_core.stage import log, traces
from timeside_core.stage.probes import Probes

BUS_NAME = "kafka"
"""Under which offsets are kept: one installation has one cluster, whatever its addresses are today."""
STOP_S = 5.0
"""Limit of each step after the drain."""

_log = logging.getLogger(__name__)


class Role(Protocol):
    """What a process does until it is told to stop."""

    @property
    def is_ready(self) -> bool:
        """Whether it is at work."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Do it."""


def _dispatcher(bus: Bus, database: Database, settings: ApiSettings) -> Role:
    groups = [group.strip() for group in settings.command_groups.split(",")]
    return Dispatcher(bus, database, bus_name=BUS_NAME, settings=settings.runs, command_groups=groups)


def _recorder(bus: Bus, database: Database, settings: ApiSettings) -> Role:
    return Recorder(bus, database, bus_name=BUS_NAME, settings=settings.runs)


def _http(bus: Bus, database: Database, settings: ApiSettings) -> Role:
    from timeside_api.http.role import Http  # the others need none of it

    return Http(from_environment(HttpSettings, os.environ), bus, database, settings)


ROLES: dict[str, Callable[[Bus, Database, ApiSettings], Role]] = {
    "http": _http,
    "dispatcher": _dispatcher,
    "recorder": _recorder,
}


def main() -> None:
    """Serve until told to stop."""
    arguments = _arguments().parse_args()
    log.configure("api")
    try:
        settings = from_environment(ApiSettings, os.environ)
        log.configure("api", settings.log_level)
        with traces.exporting("-".join(("api", *arguments.role)), settings):
            asyncio.run(serve(arguments.role, settings))
    except TimesideError as error:
        _log.critical("%s", error)
        sys.exit(1)


async def serve(names: Sequence[str], settings: ApiSettings) -> None:
    """Do what these roles do, until SIGTERM or SIGINT, or until one of them fails."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    roles: list[Role] = []

    def is_ready() -> bool:
        return bool(roles) and not stop.is_set() and all(role.is_ready for role in roles)

    async with (
        Probes(settings.host, settings.port, is_alive=lambda: True, is_ready=is_ready) as probes,
        _connections(settings) as (bus, database),
    ):
        _log.info("probes on port %d", probes.port)
        await _until(stop, [_ready(bus, database, settings)], grace_s=0)
        if not stop.is_set():
            roles += [ROLES[name](bus, database, settings) for name in names]
            await _until(stop, [_ending_all(role, stop) for role in roles], grace_s=settings.drain_s)


@asynccontextmanager
async def _connections(settings: ApiSettings) -> AsyncGenerator[tuple[Bus, Database]]:
    """The bus and the database, closed in the end."""
    connections = DatabaseSettings(connections=settings.database_connections)
    database = Database(settings.database_url.get_secret_value(), name="timeside-api", settings=connections)
    bus = connect(
        f"kafka://{settings.kafka_bootstrap}", settings=BusSettings(start_s=settings.start_s), access=settings
    )
    try:
        yield bus, database
    finally:
        for close in (bus.close, database.close):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await close()


async def _ready(bus: Bus, database: Database, settings: ApiSettings) -> None:
    """Wait until the database has its tables and the bus its topics."""
    await database.wait(settings.start_s)
    await bus.start()
    await bus.check(*(topic.name for topic in topics.declared()))


async def _ending_all(role: Role, stop: asyncio.Event) -> None:
    try:
        await role.run(stop)
    finally:
        stop.set()


async def _until(stop: asyncio.Event, work: Sequence[Coroutine[Any, Any, None]], *, grace_s: float) -> None:
    """Work until it is done or told to stop; then it has some time to come to an end. Raises what failed of it."""
    running = [asyncio.create_task(each) for each in work]
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(running, timeout=grace_s)
    finally:
        for task in (*running, stopped):
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
    if failures := [each for each in ended if isinstance(each, Exception)]:
        raise failures[0]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timeside-api", description=__doc__)
    parser.add_argument("--role", type=_roles, required=True, metavar="ROLE[,ROLE]", help=f"of {', '.join(ROLES)}")
    return parser


def _roles(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in ROLES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)!r} is none of {', '.join(ROLES)}")
    return names


if __name__ == "__main__":
    main()
