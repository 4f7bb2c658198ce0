"""Forgets, every hour, what was kept for long enough."""

import asyncio
import logging

from timeside_api import annotations, audit, events
from timeside_api.database import Database, is_away
from timeside_api.http.imports import repository as imports
from timeside_api.http.settings import HttpSettings
from timeside_api.http.shares import repository as shares

EVERY_S = 3600.0
_log = logging.getLogger(__name__)


async def forget_old(database: Database, settings: HttpSettings) -> None:
    """Remove what is older than settings say; several processes at once do it once."""
    days = {
        events.forget: settings.events_days,
        annotations.forget: settings.annotation_changes_days,
        audit.forget: settings.audit_days,
        imports.forget: settings.imports_days,
    }
    for forget, kept_days in days.items():
        async with database.transaction() as session:
            await forget(session, kept_days)
    async with database.transaction() as session:
        await shares.forget(session)


async def keep_forgetting(database: Database, settings: HttpSettings) -> None:
    """As long as the process lasts."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await forget_old(database, settings)
        except Exception as error:
            if not is_away(error):
                raise
            _log.warning("what is old is removed later: %s", error)
