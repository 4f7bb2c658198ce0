"""The HTTP role, on a database of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.api import Api, Person, serving

from timeside_api.database import Database


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database, tmp_path) as api:
        yield api


@pytest.fixture
async def ada(api: Api) -> Person:
    """A user."""
    return await api.person("ada")
