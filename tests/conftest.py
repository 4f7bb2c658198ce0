"""Fixtures that several packages' tests share."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support import kafka, postgres


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[kafka.Broker]:
    """A real broker of our own, which a test may kill if it starts it again."""
    with kafka.running() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """Address of a real broker: that of `TIMESIDE_KAFKA_BOOTSTRAP`, else one of our own."""
    return os.environ.get("TIMESIDE_KAFKA_BOOTSTRAP") or request.getfixturevalue("kafka_broker").bootstrap


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A real PostgreSQL of our own."""
    with postgres.running() as server:
        yield server


@pytest.fixture
async def database_url(postgres_server: postgres.Server) -> AsyncIterator[str]:
    """Address of a database of the test's own, with all migrations."""
    async with postgres_server.database() as url:
        yield url
