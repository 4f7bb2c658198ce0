"""A database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from timeside_api.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With all tables, and nothing in them."""
    database = Database(database_url)
    yield database
    await database.close()
