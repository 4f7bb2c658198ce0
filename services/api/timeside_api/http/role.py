"""The HTTP role of a process that may have others too."""

import asyncio

from timeside_api.database import Database
from timeside_api.http.app import create_app
from timeside_api.http.prefix import Prefix
from timeside_api.http.server import listen, serve
from timeside_api.http.settings import HttpSettings
from timeside_api.settings import ApiSettings
from timeside_core.bus import Bus
from timeside_core.store import Store


class Http:
    """Serves the app, over parts that are there."""

    def __init__(self, settings: HttpSettings, bus: Bus, database: Database, platform: ApiSettings) -> None:
        self._listening = listen(settings.http_host, settings.http_port)
        scratch = platform.folder / "scratch" / "uploads"
        app = create_app(settings, bus, Store(platform.store), database, runs=platform.runs, scratch=scratch)
        self._app = Prefix(app, settings.path_prefix) if settings.path_prefix else app
        self.is_ready = False
        """Whether it serves."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        self.is_ready = True
        try:
            await serve(self._app, self._listening, stop)
        finally:
            self.is_ready = False
            self._listening.close()
