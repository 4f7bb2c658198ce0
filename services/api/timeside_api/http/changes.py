"""Hears what any process has committed, over one connection of this process, and wakes those who wait for it."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from timeside_api.database import Database, is_away
from timeside_api.events import CHANNEL

_log = logging.getLogger(__name__)


class Changes:
    """Topics, and who waits for them.

    A wake means: look. Some come for nothing, and while the database is away none comes: so who waits looks every few
    seconds anyway.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    @contextmanager
    def watch(self, topic: str) -> Generator[asyncio.Event]:
        """An event that is set whenever something about a topic was committed."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(topic, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(topic) is waiting:
                del self._waiting[topic]

    async def _listen(self) -> None:
        """As long as the process lasts; connects anew where the connection is lost."""
        while True:
            try:
                await self._listen_once()
            except Exception as error:
                if not is_away(error):
                    raise
                _log.warning("changes are heard of later: %s", error)
            await asyncio.sleep(self._database.settings.retry_s)

    async def _listen_once(self) -> None:
        lost = asyncio.Event()

        def is_lost(_connection: Any) -> None:
            lost.set()

        connection = await self._database.engine.connect()
        try:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            raw.add_termination_listener(is_lost)
            await raw.add_listener(CHANNEL, self._heard)
            for topic in list(self._waiting):  # what was committed meanwhile was not heard of
                self._wake(topic)
            await lost.wait()
        finally:
            with contextlib.suppress(Exception):
                await connection.invalidate()
            await connection.close()

    def _heard(self, _connection: Any, _pid: int, _channel: str, topic: str) -> None:
        self._wake(topic)

    def _wake(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()


async def pause(changed: asyncio.Event, at_most_s: float) -> None:
    """Wait until something has changed, or for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await changed.wait()
    changed.clear()
