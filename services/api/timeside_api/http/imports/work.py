"""Importers: take rows one at a time, fetch or read what they name, and make items of it.

A row is claimed for the length of a lease, which is renewed; what came of it counts only while it is claimed in the
same attempt. So an importer that dies, freezes or is cut off costs an attempt, and nothing is there twice.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import quotas
from timeside_api.database import is_away
from timeside_api.http.changes import pause
from timeside_api.http.imports import repository
from timeside_api.http.imports.folders import allowed, chunks, media_below
from timeside_api.http.imports.manifest import TEXTS, Line
from timeside_api.http.imports.repository import TOPIC, LostError
from timeside_api.http.items import repository as items
from timeside_api.http.items.schemas import NewItem
from timeside_api.http.media import repository as media
from timeside_api.http.media.intake import described, titled
from timeside_api.http.platform import Platform
from timeside_api.http.problems import Problem
from timeside_api.imports import Import, ImportRow, RowState, Source
from timeside_api.models import Item
from timeside_core.errors import BusError, ChangedMediaError, FetchError, StoreError, TimesideError
from timeside_core.fetch import Fetcher, RemoteItem, get_provider, provider_of, resolve
from timeside_core.fetch.providers import GENERIC
from timeside_core.messages import MediaFacts

PAUSE_GROWS = 4
"""So many times longer is each pause before a row is tried again."""
_PASSING = frozenset({"unreachable", "slow", "busy", "broken"})
"""Failures of a fetch that may be over the next time."""
_log = logging.getLogger(__name__)


async def keep_importing(parts: Platform) -> None:
    """As long as the process lasts."""
    if not parts.settings.importers:
        return
    async with Fetcher(parts.settings.import_fetch) as fetcher:
        await asyncio.gather(*(Importer(parts, fetcher).run() for _ in range(parts.settings.importers)))


class Importer:
    """Takes one row at a time."""

    def __init__(self, parts: Platform, fetcher: Fetcher) -> None:
        self._parts, self._settings, self._fetcher = parts, parts.settings, fetcher

    async def run(self) -> None:
        """As long as the process lasts."""
        with self._parts.changes.watch(TOPIC) as changed:
            while True:
                try:
                    if not await self.take():
                        await pause(changed, self._settings.import_poll_s)
                except Exception as error:  # of the database, which will be back
                    _log.warning("imports wait: %s", error)
                    await asyncio.sleep(self._settings.import_poll_s)

    async def take(self) -> bool:
        """Whether there was a row to be imported."""
        async with self._parts.database.transaction() as session:
            await repository.give_up(session, self._settings.import_attempts)
        async with self._parts.database.transaction() as session:
            claimed = await repository.claim(session, self._settings)
        if claimed is None:
            return False
        row, made = claimed
        doing = asyncio.create_task(self._do(row, made))
        try:
            await self._watch(row, doing)
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.wait([doing])
            async with self._parts.database.transaction() as session:
                await repository.give_back(session, row)
            raise
        return True

    async def _watch(self, row: ImportRow, doing: "asyncio.Task[None]") -> None:
        """Until it is done; end it when the row is not ours any more."""
        while not doing.done():
            await asyncio.wait([doing], timeout=self._settings.import_lease_s / 3)
            if not doing.done() and not await self._renewed(row):
                doing.cancel()
                await asyncio.wait([doing])
        if not doing.cancelled() and (error := doing.exception()) is not None:
            await self._failed(row, error)

    async def _renewed(self, row: ImportRow) -> bool:
        try:
            async with self._parts.database.transaction() as session:
                return await repository.renew(session, row, self._settings.import_lease_s)
        except (DBAPIError, OSError, TimeoutError) as error:
            _log.warning("the lease of import row %s is not renewed: %s", row.id, error)
            return True  # whether it has run out is asked when it is settled

    async def _failed(self, row: ImportRow, error: BaseException) -> None:
        if isinstance(error, LostError):
            return
        if not isinstance(error, TimesideError | Problem) and not is_away(error):
            _log.error("import row %s failed", row.id, exc_info=error)
            error = TimesideError("this is our mistake; the logs tell more")
        reason = str(error)[:2000] or "the database is away"
        async with self._parts.database.transaction() as session:
            if _passes(error) and row.attempt < self._settings.import_attempts:
                pause_s = self._settings.import_pause_s * PAUSE_GROWS ** (row.attempt - 1)
                await repository.put_off(session, row, reason, pause_s)
                return
            try:
                held = await repository.hold(session, row)
            except LostError:
                return
            await repository.settle(session, held, RowState.FAILED, reason=reason)

    async def _do(self, row: ImportRow, made: Import) -> None:
        match row.kind:
            case Source.URL:
                await self._resolve(row, made)
            case Source.DOWNLOAD:
                await self._download(row, made, row.source, row.said)
            case Source.FOLDER:
                folder = allowed(row.source, self._settings.import_roots)
                found = await asyncio.to_thread(media_below, folder, self._settings.max_import_rows)
                await self._expand(row, [Line(Source.FILE, path, {}) for path in found])
            case Source.FILE:
                await self._read(row, made)

    async def _resolve(self, row: ImportRow, made: Import) -> None:
        provider = provider_of(row.source) if made.provider is None else get_provider(made.provider)
        found = await resolve(row.source, self._fetcher, provider.id)
        said = [_said(each, row, is_known=provider.id != GENERIC) for each in found]
        if len(found) == 1:
            await self._download(row, made, found[0].url, said[0])
            return
        lines = [Line(Source.DOWNLOAD, each.url, about) for each, about in zip(found, said, strict=True)]
        await self._expand(row, lines)

    async def _expand(self, row: ImportRow, lines: Sequence[Line]) -> None:
        if not lines:
            raise Problem(422, "nothing", "nothing to import was found there")
        async with self._parts.database.transaction() as session:
            held = await repository.hold(session, row)
            await repository.expand(session, held, lines, self._settings.max_import_rows)

    async def _download(self, row: ImportRow, made: Import, url: str, said: dict[str, Any]) -> None:
        async with self._fetcher.open(url, max_bytes=self._settings.max_upload_bytes) as body:
            sha256, size = await self._parts.uploads.keep(aiter(body))
        await self._become(row, made, sha256, size, said, body.filename)

    async def _read(self, row: ImportRow, made: Import) -> None:
        path, uploads = allowed(row.source, self._settings.import_roots), self._parts.uploads
        if made.is_in_place:
            sha256, size = await uploads.in_thread(self._parts.store.refer_media, path)
        else:
            bytes_of = chunks(path, self._settings.max_upload_bytes)
            sha256, size = await uploads.in_thread(self._parts.store.put_media, bytes_of)
        await self._become(row, made, sha256, size, row.said, Path(row.source).name)

    async def _become(
        self, row: ImportRow, made: Import, sha256: str, size: int, said: dict[str, Any], filename: str
    ) -> None:
        """An item, in one transaction with the row."""
        if not size:
            raise Problem(422, "media", "it is empty")
        facts = await described(self._parts, sha256)
        async with self._parts.database.transaction() as session:
            held = await repository.hold(session, row)
            await media.keep(session, sha256, size, facts)  # waits for others who come with the same bytes
            same = await repository.same_item(session, made, sha256)
            item = same or await self._new_item(session, made, sha256, _item(said, facts, filename))
            await repository.settle(session, held, RowState.DONE, item_id=item.id, is_joined=same is not None)

    async def _new_item(self, session: AsyncSession, made: Import, sha256: str, said: dict[str, Any]) -> Item:
        item = await items.add(session, made.owner_id, said | {"project_id": made.project_id})
        await items.change(session, item, {"media_sha256": sha256})
        await quotas.check_items(session, made.owner_id, self._settings.quotas)
        return item


def _said(found: RemoteItem, row: ImportRow, *, is_known: bool) -> dict[str, Any]:
    """What is said of an item: by the manifest, else by the provider; what is made of a URL's text counts little."""
    texts = {name: text for name in TEXTS if is_known and (text := getattr(found, name))}
    details = {"external_id": found.external_id} if found.external_id else {}
    own = {name: value for name, value in row.said.items() if value}
    return {**texts, **own, "details": {**details, **own.get("details", {})}}


def _item(said: dict[str, Any], facts: MediaFacts | None, filename: str) -> dict[str, Any]:
    return NewItem.model_validate(titled(said, facts, filename)).model_dump()


def _passes(error: BaseException) -> bool:
    """Whether it may go better next time."""
    match error:
        case FetchError():
            return error.kind in _PASSING or (error.status or 0) >= 500 or error.status == 429
        case Problem():
            return error.status >= 500
        case ChangedMediaError():
            return False
        case StoreError() | BusError():
            return True
        case _:
            return is_away(error)
