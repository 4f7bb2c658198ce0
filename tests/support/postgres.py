"""A real PostgreSQL for tests, through the platform's own supervisor, and a fresh database of it for each test."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from timeside_api.database import Database
from timeside_api.embedded import Binaries, EmbeddedPostgres

QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
"""What a test commits outlives a killed server; it need not outlive a power cut."""

_numbers = itertools.count(1)


class Server:
    """A server whose database `timeside` has all migrations and is copied for each test."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        asyncio.run(self._upgrade())

    @asynccontextmanager
    async def database(self, template: str = "timeside") -> AsyncGenerator[str]:
        """Address of a fresh copy, removed afterwards."""
        name = f"test_{next(_numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield make_url(self.postgres.url).set(database=name).render_as_string(hide_password=False)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _upgrade(self) -> None:
        database = Database(self.postgres.url)
        await database.upgrade()
        await database.close()

    async def _execute(self, statement: str) -> None:
        url = make_url(self.postgres.url).set(drivername="postgresql+asyncpg", database="postgres")
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()


@contextmanager
def running(binaries: Binaries | None = None) -> Generator[Server]:
    """A server on a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="timeside-pg-") as folder,
        EmbeddedPostgres(Path(folder) / "pg", options=QUICK, binaries=binaries) as postgres,
    ):
        yield Server(postgres)
