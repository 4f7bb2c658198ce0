"""Looks of streams at the database: a bounded number at a time, and patient with one that is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.database import is_away
from timeside_api.http.platform import Platform

Answer = TypeVar("Answer")
RETRY_S = 1.0
_log = logging.getLogger(__name__)


async def look(parts: Platform, work: Callable[[AsyncSession], Awaitable[Answer]]) -> Answer:
    """What `work` finds, in a transaction of its own; waits while the database is away."""
    while True:
        try:
            async with parts.tap.looks, parts.database.transaction() as session:
                return await work(session)
        except Exception as error:
            if not is_away(error):
                raise
            _log.warning("a stream waits: %s", error)
        await asyncio.sleep(RETRY_S)
