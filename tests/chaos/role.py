"""`python -m tests.chaos.role dispatcher|recorder`: one role of the platform, as a process of its own."""

import asyncio
import os
import signal
import sys

from timeside_api.database import Database
from timeside_api.dispatcher import Dispatcher
from timeside_api.recorder import Recorder
from timeside_api.settings import RunSettings
from timeside_core.bus import BusSettings
from timeside_core.bus.kafka import KafkaBus
from timeside_core.stage import log

ROLES = {"dispatcher": Dispatcher, "recorder": Recorder}


async def main(name: str) -> None:
    """Play the role until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bootstrap = os.environ["TIMESIDE_KAFKA_BOOTSTRAP"]
    settings = RunSettings.model_validate_json(os.environ["CHAOS_RUN_SETTINGS"])
    database = Database(os.environ["TIMESIDE_DATABASE_URL"], name=name)
    await database.wait(300)
    async with KafkaBus(bootstrap, settings=BusSettings(session_s=float(os.environ["TIMESIDE_SESSION_S"]))) as bus:
        await ROLES[name](bus, database, bus_name=bootstrap, settings=settings).run(stop)
    await database.close()


if __name__ == "__main__":
    log.configure(sys.argv[1])
    asyncio.run(main(sys.argv[1]))
