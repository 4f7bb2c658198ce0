"""Has tasks about many items ask of more and more of them, beside requests; several processes share the work."""

import asyncio
import logging

from timeside_api import extensions
from timeside_api.database import Database, is_away
from timeside_api.settings import RunSettings

EVERY_S = 0.5
"""How often it is looked whether a task is to be extended."""
_log = logging.getLogger(__name__)


async def keep_extending(database: Database, settings: RunSettings) -> None:
    """As long as the process lasts."""
    while True:
        try:
            busy = await extensions.extend_next(database, settings)
        except Exception as error:
            if not is_away(error):
                raise
            _log.warning("tasks are extended later: %s", error)
            busy = False
        await asyncio.sleep(0 if busy else EVERY_S)
