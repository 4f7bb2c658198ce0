"""`/v1/items:batch`."""

from fastapi import APIRouter

from timeside_api import quotas
from timeside_api.http.access import CallerOf
from timeside_api.http.batches.repository import Work
from timeside_api.http.batches.schemas import BatchOut, ItemBatch
from timeside_api.http.openapi import errors
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.trail import TrailOf

router = APIRouter(prefix="/items", tags=["items"])


@router.post(":batch", operation_id="items_batch", responses=errors(403, 409))
async def items_batch(
    body: ItemBatch, caller: CallerOf, session: Session, parts: PlatformOf, trail: TrailOf
) -> BatchOut:
    """Make, change, tag or remove many items at once.

    By their ids or by a filter. What came of each is told; where one cannot be done, nothing is, unless
    `all_or_nothing` is false. With `dry_run` nothing is done in any case.
    """
    work = Work(session, caller)
    async with session.begin_nested() as savepoint:
        for number, operation in enumerate(body.operations):
            await work.do(number, operation)
        await quotas.check_items(session, caller.id, parts.settings.quotas)
        is_applied = not body.dry_run and not (body.all_or_nothing and work.failed)
        if not is_applied:
            await savepoint.rollback()
    if is_applied:
        work.say()
        if removed := [str(each.id) for each in work.touched if each.done == "removed"]:
            trail.note(session, "items.removed", removed=removed)
    for each in work.outcomes:
        if each.outcome == "created" and not is_applied:
            each.item_id = None
    return BatchOut(applied=is_applied, succeeded=len(work.touched), failed=work.failed, outcomes=work.outcomes)
