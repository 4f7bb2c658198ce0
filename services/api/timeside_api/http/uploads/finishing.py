"""From an upload that is whole to a media and its item, in one transaction."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import quotas
from timeside_api.errors import QuotaError
from timeside_api.http.access import Caller
from timeside_api.http.items import repository as items
from timeside_api.http.items.schemas import NewItem
from timeside_api.http.media import repository as media
from timeside_api.http.media.intake import described, titled
from timeside_api.http.platform import Platform
from timeside_api.http.problems import Problem
from timeside_api.http.uploads import repository
from timeside_api.http.uploads.receiving import remove_objects, renewed
from timeside_api.http.uploads.repository import Claim
from timeside_api.identity import Account, Role
from timeside_api.models import Item
from timeside_api.sharing import Level
from timeside_api.uploads import Upload, UploadState
from timeside_core.messages import MediaFacts
from timeside_core.store import Store


async def finish(parts: Platform, claim: Claim) -> None:
    """Make a media of an upload, and an item of that; what cannot become one is settled as failed, with the reason."""
    async with renewed(parts, claim):
        async with parts.database.transaction() as session:
            names = await repository.object_names(session, claim.upload_id)
        try:
            sha256, size = await parts.uploads.in_thread(parts.store.put_media, _bytes_of(parts.store, names))
            facts = await described(parts, sha256)
            async with parts.database.transaction() as session:
                await _settle(session, parts, claim, sha256, size, facts)
        except (Problem, QuotaError) as error:
            if isinstance(error, Problem) and (error.status >= 500 or error.code == "lost"):
                raise
            await _fail(parts, claim, str(error))
    await remove_objects(parts, list(names))


async def _settle(
    session: AsyncSession, parts: Platform, claim: Claim, sha256: str, size: int, facts: MediaFacts | None
) -> None:
    upload = await repository.held(session, claim)
    owner = await _owner(session, upload.owner_id)
    await media.keep(session, sha256, size, facts)
    item = await _item(session, owner, upload, facts)
    await items.change(session, item, {"media_sha256": sha256})
    await quotas.check_items(session, item.owner_id, parts.settings.quotas)
    done: dict[str, Any] = {"state": UploadState.DONE, "media_sha256": sha256, "item_id": item.id}
    await repository.settle(session, claim, parts.settings.upload_keep_s, **done)


async def _item(session: AsyncSession, owner: Caller, upload: Upload, facts: MediaFacts | None) -> Item:
    if upload.is_for_item:
        if upload.item_id is None:
            raise Problem(404, "not-found", "the item that it was for was removed")
        return await items.get(session, owner, upload.item_id, Level.EDITOR)
    said = titled(upload.said, facts, upload.said.get("details", {}).get("filename", ""))
    return await items.add(session, owner.id, NewItem(**said).model_dump() | {"project_id": upload.project_id})


async def _owner(session: AsyncSession, owner_id: UUID) -> Caller:
    """In whose name the item is made, as they may do now."""
    account = await session.get(Account, owner_id)
    if account is None or account.disabled_at is not None:
        raise Problem(403, "forbidden", "the account of its owner is disabled")
    return Caller(account.id, account.name, account.role is Role.ADMIN)


async def _fail(parts: Platform, claim: Claim, reason: str) -> None:
    async with parts.database.transaction() as session:
        failed: dict[str, Any] = {"state": UploadState.FAILED, "reason": reason}
        await repository.settle(session, claim, parts.settings.upload_keep_s, **failed)


def _bytes_of(store: Store, names: Sequence[str]) -> Iterator[bytes]:
    for name in names:
        yield from store.objects.chunks(name)
