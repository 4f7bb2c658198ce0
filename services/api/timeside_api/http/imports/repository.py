"""SQL of imports: rows in, rows claimed by importers, rows settled; and the import with its last row."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events
from timeside_api.http.imports.manifest import Line
from timeside_api.http.problems import Problem
from timeside_api.http.settings import HttpSettings
from timeside_api.imports import Import, ImportRow, ImportState, RowState
from timeside_api.models import Item, Owner
from timeside_core.ids import uuid7

TOPIC = "imports"
"""That importers hear of."""
_UNSETTLED = (RowState.QUEUED, RowState.RUNNING)
_GONE = (ImportRow.state == RowState.RUNNING) & (ImportRow.lease_until < func.now())
_BATCH = 1000
"""Rows inserted by one statement."""


class LostError(Exception):
    """A row that is not this importer's any more: it was cancelled, or its lease had run out."""


async def add(session: AsyncSession, settings: HttpSettings, values: dict[str, Any], lines: Sequence[Line]) -> Import:
    """Make an import with its first rows."""
    await session.execute(select(Owner.id).where(Owner.id == values["owner_id"]).with_for_update())
    is_open = Import.owner_id == values["owner_id"], Import.state == ImportState.RUNNING
    count = await session.scalar(select(func.count()).select_from(Import).where(*is_open)) or 0
    if count >= settings.open_imports:
        raise Problem(429, "too-many", f"{count} imports are running: wait until one has ended, or cancel it")
    made = Import(**values)
    session.add(made)
    await session.flush()
    await _insert(session, made.id, 0, lines)
    await _settle_import(session, made.id)
    await session.refresh(made)
    await events.tell(session, [TOPIC])
    return made


async def counts(session: AsyncSession, import_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Counts of rows by state, of each."""
    found: dict[UUID, dict[str, int]] = {id: {} for id in import_ids}
    by_state = select(ImportRow.import_id, ImportRow.state, func.count()).where(ImportRow.import_id.in_(import_ids))
    for import_id, state, count in await session.execute(by_state.group_by(ImportRow.import_id, ImportRow.state)):
        found[import_id][state.value] = count
    return found


async def cancel(session: AsyncSession, import_id: UUID) -> None:
    """Give up what is not settled; does nothing to one that has ended."""
    await _lock(session, import_id)
    unsettled = ImportRow.import_id == import_id, ImportRow.state.in_(_UNSETTLED)
    given_up = {"state": RowState.CANCELLED, "lease_until": None, "settled_at": func.now()}
    await session.execute(update(ImportRow).where(*unsettled).values(**given_up))
    cancelled = {"state": ImportState.CANCELLED, "settled_at": func.now()}
    running = Import.id == import_id, Import.state == ImportState.RUNNING
    await session.execute(update(Import).where(*running).values(**cancelled))


async def claim(session: AsyncSession, settings: HttpSettings) -> tuple[ImportRow, Import] | None:
    """The next row, with a lease on it."""
    ready = (ImportRow.state == RowState.QUEUED) & (ImportRow.not_before <= func.now())
    has_attempts = ImportRow.attempt < settings.import_attempts
    next_one = (
        select(ImportRow).where(or_(ready, _GONE & has_attempts)).order_by(ImportRow.place, ImportRow.id).limit(1)
    )
    row = await session.scalar(next_one.with_for_update(skip_locked=True))
    if row is None:
        return None
    row.state, row.attempt = RowState.RUNNING, row.attempt + 1
    row.lease_until = await session.scalar(select(func.now() + timedelta(seconds=settings.import_lease_s)))
    return row, await session.get_one(Import, row.import_id)


async def give_up(session: AsyncSession, attempts: int) -> None:
    """Fail rows that have ended too many importers."""
    worn = _GONE & (ImportRow.attempt >= attempts)
    for row in (await session.scalars(select(ImportRow).where(worn).limit(100))).all():
        await _lock(session, row.import_id)
        reason = f"given up: {row.attempt} times the process that imported it ended before it was done"
        ended: dict[str, Any] = {"state": RowState.FAILED, "reason": reason, "settled_at": func.now()}
        await session.execute(update(ImportRow).where(ImportRow.id == row.id, worn).values(**ended))
        await _settle_import(session, row.import_id)


async def renew(session: AsyncSession, row: ImportRow, lease_s: float) -> bool:
    """Give a sign of life; whether the row is still this importer's."""
    until = func.now() + timedelta(seconds=lease_s)
    return await session.scalar(_mine(row).values(lease_until=until).returning(ImportRow.id)) is not None


async def give_back(session: AsyncSession, row: ImportRow) -> None:
    """Let another importer take it, as if this one never had."""
    values = {"state": RowState.QUEUED, "lease_until": None, "attempt": ImportRow.attempt - 1}
    await session.execute(_mine(row).values(**values))


async def put_off(session: AsyncSession, row: ImportRow, reason: str, pause_s: float) -> None:
    """Try it again later."""
    not_before = func.now() + timedelta(seconds=pause_s)
    values = {"state": RowState.QUEUED, "lease_until": None, "not_before": not_before, "reason": reason}
    await session.execute(_mine(row).values(**values))


async def hold(session: AsyncSession, row: ImportRow) -> ImportRow:
    """The row and its import, locked until the transaction ends; raises `LostError`."""
    await _lock(session, row.import_id)
    mine = ImportRow.id == row.id, ImportRow.attempt == row.attempt, ImportRow.state == RowState.RUNNING
    held = await session.scalar(select(ImportRow).where(*mine).with_for_update())
    if held is None:
        raise LostError
    return held


async def settle(session: AsyncSession, row: ImportRow, state: RowState, **values: Any) -> None:
    """Say what has come of a row that is held."""
    ended: dict[str, Any] = {"state": state, "lease_until": None, "settled_at": func.now()}
    await session.execute(update(ImportRow).where(ImportRow.id == row.id).values(**{"reason": ""} | values | ended))
    await _settle_import(session, row.import_id)


async def expand(session: AsyncSession, row: ImportRow, lines: Sequence[Line], at_most: int) -> None:
    """Put the rows that a row stands for behind the others; raises a problem where there would be too many."""
    last = await session.scalar(select(func.max(ImportRow.place)).where(ImportRow.import_id == row.import_id)) or 0
    if last + len(lines) >= at_most:
        raise Problem(422, "too-many", f"it stands for {len(lines)} sources, and an import may have {at_most} rows")
    await _insert(session, row.import_id, last + 1, lines)
    await settle(session, row, RowState.EXPANDED, reason=f"stands for {len(lines)} others")
    await events.tell(session, [TOPIC])


async def same_item(session: AsyncSession, made: Import, sha256: str) -> Item | None:
    """An item of the same owner in the same project that has these bytes."""
    same = Item.owner_id == made.owner_id, Item.media_sha256 == sha256
    in_project = Item.project_id.is_not_distinct_from(made.project_id)
    return await session.scalar(select(Item).where(*same, in_project).order_by(Item.id).limit(1))


async def forget(session: AsyncSession, days: int) -> None:
    """Remove imports that ended longer ago; their items stay."""
    await session.execute(delete(Import).where(Import.settled_at < func.now() - timedelta(days=days)))


async def _insert(session: AsyncSession, import_id: UUID, place: int, lines: Sequence[Line]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": uuid7(),
            "import_id": import_id,
            "place": place + number,
            "kind": line.kind,
            "source": line.source,
            "said": line.said,
            "state": RowState.FAILED if line.reason else RowState.QUEUED,
            "reason": line.reason,
        }
        for number, line in enumerate(lines)
    ]
    for first in range(0, len(rows), _BATCH):
        await session.execute(insert(ImportRow), rows[first : first + _BATCH])


async def _lock(session: AsyncSession, import_id: UUID) -> None:
    """Rows of an import are settled one after the other, so that the last one knows that it is."""
    await session.execute(select(Import.id).where(Import.id == import_id).with_for_update())


async def _settle_import(session: AsyncSession, import_id: UUID) -> None:
    await session.execute(_SETTLED, {"import": import_id})


def _mine(row: ImportRow) -> Any:
    is_mine = ImportRow.id == row.id, ImportRow.attempt == row.attempt, ImportRow.state == RowState.RUNNING
    return update(ImportRow).where(*is_mine)


_SETTLED = text(
    "UPDATE import SET settled_at = now(), state = CASE WHEN n.failed + n.cancelled = 0 THEN 'done'"
    "  WHEN n.done > 0 THEN 'partial' ELSE 'failed' END"
    " FROM (SELECT count(*) FILTER (WHERE state IN ('queued', 'running')) AS unsettled,"
    "  count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'failed') AS failed,"
    "  count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM import_row WHERE import_id = :import) AS n"
    " WHERE import.id = :import AND import.state = 'running' AND n.unsettled = 0"
)
