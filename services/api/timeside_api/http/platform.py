"""What endpoints are handed: the parts of the platform, and the transaction of the request."""

from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from timeside_api import events
from timeside_api.database import Database
from timeside_api.http.accounts.passwords import Passwords, Throttle
from timeside_api.http.accounts.tokens import Tokens
from timeside_api.http.changes import Changes
from timeside_api.http.demand.asking import Demand
from timeside_api.http.duties import Duties
from timeside_api.http.media.body import Uploads
from timeside_api.http.media.describe import Describer
from timeside_api.http.rates import Rates
from timeside_api.http.results.library import Library
from timeside_api.http.settings import HttpSettings
from timeside_api.http.stream.tap import Tap
from timeside_api.http.transcodes.relay import Relays
from timeside_api.settings import RunSettings
from timeside_core.bus import Bus
from timeside_core.store import Store


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The parts, once per process."""

    settings: HttpSettings
    bus: Bus
    store: Store
    database: Database
    tokens: Tokens
    passwords: Passwords
    throttle: Throttle
    rates: Rates
    changes: Changes
    duties: Duties
    tap: Tap
    describer: Describer
    library: Library
    uploads: Uploads
    demand: Demand
    relays: Relays
    readers: ThreadPoolExecutor
    """Threads in which the store is read."""
    exporters: ThreadPoolExecutor
    """Threads in which files for other programs are written."""
    runs: RunSettings
    """What a cancel needs to know."""
    scratch: Path
    """Folder for copies of media that lie in a bucket."""


def platform(connection: HTTPConnection) -> Platform:
    """That of the app."""
    return connection.app.state.platform


PlatformOf = Annotated[Platform, Depends(platform)]


async def _transaction(connection: HTTPConnection, parts: PlatformOf) -> AsyncGenerator[AsyncSession]:
    async with parts.database.transaction() as session:
        if (caller := getattr(connection.state, "caller", None)) is not None:
            events.by(session, caller.id)
        yield session


Session = Annotated[AsyncSession, Depends(_transaction, scope="function")]
"""One request, one transaction: committed before the answer is sent, rolled back if the endpoint raises."""
