"""The platform in this process, over a bus in memory; clients come by TCP, to hear answers as they come."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.support.api import Api, serving
from tests.support.stages import working

from timeside.worker import POOL, STAGES, WorkerSettings, fused
from timeside_api.database import Database
from timeside_api.dispatcher import LANES, Dispatcher
from timeside_api.http.server import listen, serve
from timeside_api.recorder import Recorder
from timeside_grapher.stage import DRAW_STAGE

BUS_NAME = "memory"
PATIENCE_S = 60.0


@asynccontextmanager
async def listening(database: Database, folder: Path, **settings: Any) -> AsyncGenerator[Api]:
    """The API at an address of its own; nobody is at work."""
    stop = asyncio.Event()
    given: dict[str, Any] = {"demand_s": PATIENCE_S, "requests_per_s": 1000, "requests_burst": 10_000, **settings}
    async with serving(database, folder, **given) as api:
        with listen("127.0.0.1", 0) as socket:
            address = "http://{}:{}".format(*socket.getsockname())
            running = asyncio.create_task(serve(api.app, socket, stop))
            try:
                limits = httpx.Limits(max_connections=None)
                async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, limits=limits) as client:
                    yield Api(api.app, database, api.store, api.bus, client)
            finally:
                stop.set()
                await running


@asynccontextmanager
async def at_work(database: Database, folder: Path, **settings: Any) -> AsyncGenerator[Api]:
    """The same, with real workers: what is asked for is made."""
    (folder / "scratch").mkdir(exist_ok=True)
    workers = WorkerSettings(
        store_url=(folder / "store").as_uri(),
        scratch=folder / "scratch",
        lanes=LANES,
        pool=POOL,
        local_pool=POOL,
        children=1,
        drain_s=5,
    )
    stop = asyncio.Event()
    async with listening(database, folder, **settings) as api:
        dispatcher = Dispatcher(
            api.bus, database, bus_name=BUS_NAME, command_groups=(f"ts.{POOL}",), fused=LANES, is_new_bus=True
        )
        recorder = Recorder(api.bus, database, bus_name=BUS_NAME)
        running = [asyncio.create_task(each.run(stop)) for each in (dispatcher, recorder)]
        try:
            async with working(fused(api.bus, workers), (*STAGES, DRAW_STAGE), workers):
                yield api
        finally:
            stop.set()
            await asyncio.gather(*running)
