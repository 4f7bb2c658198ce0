"""The way to PostgreSQL: connections, transactions, migrations, and which failures only mean that one should wait."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from timeside_api import events
from timeside_api.errors import DatabaseError, SchemaError
from timeside_core.settings import Seconds

Answer = TypeVar("Answer")

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 0x7473_6D67
"""Key of the advisory lock that one migration at a time holds."""
_AGAIN = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available: the same transaction may succeed next time."""
_AWAY = {"08", "53", "57"}
"""Classes of connection failures, of resources used up, of a server that is going down or coming up."""

_log = logging.getLogger(__name__)


class DatabaseSettings(BaseModel):
    """How many connections there are, and how long each thing may take."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    connections: int = Field(default=10, ge=1, le=1000)
    """Of one process: a server takes 100 by default, of all of them."""
    connect_s: Seconds = 10.0
    """Limit of a connection's start."""
    wait_s: Seconds = 60.0
    """How long one waits for a connection that is free."""
    statement_s: Seconds = 60.0
    """Limit of a statement, so that a mistake does not occupy the server."""
    idle_in_transaction_s: Seconds = 15.0
    """A process that freezes within a transaction holds its rows no longer than this."""
    retry_s: Seconds = 0.5
    """Pause before a database that is away is asked again."""


class Database:
    """Connections to one database, by URL."""

    def __init__(self, url: str, *, name: str = "timeside", settings: DatabaseSettings | None = None) -> None:
        self.settings = settings or DatabaseSettings()
        self.engine = create_async_engine(
            _asyncpg(url),
            pool_size=self.settings.connections,
            max_overflow=0,
            pool_timeout=self.settings.wait_s,
            pool_pre_ping=True,
            connect_args={
                "timeout": self.settings.connect_s,
                "server_settings": {
                    "application_name": name,
                    "statement_timeout": _ms(self.settings.statement_s),
                    "idle_in_transaction_session_timeout": _ms(self.settings.idle_in_transaction_s),
                    "tcp_keepalives_idle": "10",
                    "tcp_keepalives_interval": "5",
                    "tcp_keepalives_count": "3",
                },
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """All or nothing: committed at the end of the block, rolled back if it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session
            await events.write(session)

    async def retried(self, work: Callable[[AsyncSession], Awaitable[Answer]], *, times: int = 10) -> Answer:
        """Do `work` in a transaction; again where it and another were in each other's way."""
        for _ in range(times - 1):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except DBAPIError as error:
                if sqlstate(error) not in _AGAIN:
                    raise
        async with self.transaction() as session:
            return await work(session)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    async def upgrade(self, revision: str = "head") -> str:
        """Bring the tables to a revision, by one process at a time; returns the revision."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SET statement_timeout = 0"))  # a migration takes as long as it takes
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATING})
            try:
                await connection.commit()
                await connection.run_sync(_upgrade, revision)
                await connection.commit()
                return await connection.run_sync(_revision) or ""
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATING})
                await connection.execute(text("RESET statement_timeout"))
                await connection.commit()

    async def check(self) -> None:
        """Raise `SchemaError` where the tables are older than this program's; newer ones only add to them."""
        async with self.engine.connect() as connection:
            found = await connection.run_sync(_revision)
        if found is None or (found in _revisions() and found != head()):
            raise SchemaError(
                f"the tables are of revision {found or 'none'}, and this program's of {head()}: timeside db upgrade"
            )
        if found != head():
            _log.warning("the tables are of revision %s, newer than this program's %s", found, head())

    async def wait(self, limit_s: float) -> None:
        """Wait until it answers and its tables are those of this program; raises `DatabaseError`."""
        await self._patiently(self.check, limit_s)

    async def wait_and_upgrade(self, limit_s: float) -> str:
        """Wait until it answers, then bring its tables to those of this program; returns the revision."""
        return await self._patiently(self.upgrade, limit_s)

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]], limit_s: float) -> Answer:
        deadline, said = time.monotonic() + limit_s, ""
        while True:
            try:
                return await ask()
            except Exception as error:
                if not isinstance(error, SchemaError) and not is_away(error):
                    raise
                reason = str(error).split("\n", 1)[0]
                if time.monotonic() > deadline:
                    raise DatabaseError(f"{self} was not ready within {limit_s:g} s: {reason}") from error
                if reason != said:
                    _log.warning("waiting for %s: %s", self, reason)
                said = reason
            await asyncio.sleep(self.settings.retry_s)

    def __str__(self) -> str:
        return f"database {self.engine.url.render_as_string(hide_password=True)}"


def is_away(error: BaseException) -> bool:
    """Whether it only means that the database cannot be reached now, or that others were in the way: try again."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        return error.connection_invalidated or state in _AGAIN or state[:2] in _AWAY
    return isinstance(error, OSError | TimeoutError | PoolTimeoutError)


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code of a failure, five letters; empty where there is none."""
    return getattr(error.orig, "sqlstate", None) or ""


def head() -> str:
    """The revision of this program's tables."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _revisions() -> frozenset[str]:
    """All that this program knows."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection  # an address with % in it would not survive Alembic's configuration
    command.upgrade(config, revision)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _asyncpg(url: str) -> Any:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError("TIMESIDE_DATABASE_URL is no address: postgresql://user:password@host/database") from None
    if parsed.get_backend_name() != "postgresql":
        raise DatabaseError(f"database {parsed.get_backend_name()!r} is not PostgreSQL")
    return parsed.set(drivername="postgresql+asyncpg")


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


async def advisory_lock(connection: AsyncConnection, key: int) -> bool:
    """Whether the connection got (or has) the lock, which it keeps until it is closed."""
    return bool(await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}))
