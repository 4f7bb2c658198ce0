"""SQL of uploads: who may add to one, what has been kept of it, what it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.problems import Problem
from timeside_api.http.settings import HttpSettings
from timeside_api.models import Owner
from timeside_api.uploads import Upload, UploadPart, UploadState

_FREE = or_(Upload.writer.is_(None), Upload.writer_until < func.now())


@dataclass(frozen=True)
class Claim:
    """The right to add to an upload, of one request at a time; it runs out unless it is renewed."""

    upload_id: UUID
    token: UUID
    received: int
    """Bytes that were kept when it was given."""
    length: int


@dataclass(frozen=True)
class Kept:
    """Some bytes, as an object of the store."""

    size: int
    object_name: str


async def add(session: AsyncSession, settings: HttpSettings, row: dict[str, Any]) -> Upload:
    """Make an upload, within what one account may have under way."""
    await session.execute(select(Owner.id).where(Owner.id == row["owner_id"]).with_for_update())
    is_open = Upload.owner_id == row["owner_id"], Upload.state == UploadState.OPEN
    counts = select(func.count(), func.coalesce(func.sum(Upload.length), 0)).where(*is_open)
    uploads, size = (await session.execute(counts)).one()
    if uploads >= settings.open_uploads:
        raise Problem(429, "too-many", f"{uploads} uploads are under way: end one, or terminate it by DELETE")
    if size + row["length"] > settings.open_upload_bytes:
        limit = settings.open_upload_bytes
        raise Problem(
            429, "too-many", f"uploads under way would have {size + row['length']} bytes; {limit} are allowed"
        )
    keep = func.now() + timedelta(seconds=settings.upload_keep_s)
    upload = Upload(**row, expires_at=keep)
    session.add(upload)
    await session.flush()
    await session.refresh(upload)
    return upload


async def claim(session: AsyncSession, upload: Upload, offset: int, settings: HttpSettings) -> Claim:
    """Become its writer; raises a problem where another is, or where bytes at that offset are not what comes next."""
    token = uuid4()
    wanted = update(Upload).where(Upload.id == upload.id, Upload.state == UploadState.OPEN, Upload.received == offset)
    values = {
        "writer": token,
        "writer_until": func.now() + timedelta(seconds=settings.upload_lease_s),
        "expires_at": func.now() + timedelta(seconds=settings.upload_keep_s),
    }
    if await session.scalar(wanted.where(_FREE).values(values).returning(Upload.id)):
        return Claim(upload.id, token, offset, upload.length)
    await session.refresh(upload)
    if upload.state is not UploadState.OPEN:
        raise Problem(409, str(upload.state), f"upload {upload.id} has ended: {upload.reason or upload.state}")
    if upload.received != offset:
        rule = f"Upload-Offset is {offset}, and {upload.received} bytes are kept"
        raise Problem(409, "offset", rule, headers={"Upload-Offset": str(upload.received)})
    raise Problem(423, "locked", f"another request adds to upload {upload.id}", headers={"Retry-After": "1"})


async def renew(session: AsyncSession, claim: Claim, lease_s: float) -> None:
    """Give a sign of life."""
    until = func.now() + timedelta(seconds=lease_s)
    await session.execute(_mine(claim).values(writer_until=until))


async def release(session: AsyncSession, claim: Claim) -> None:
    """Let others add to it."""
    await session.execute(_mine(claim).values(writer=None, writer_until=None))


async def keep(session: AsyncSession, claim: Claim, offset: int, parts: Sequence[Kept]) -> int:
    """Note that bytes from that offset on are kept; the offset after them. Raises a problem for who is too late."""
    after = offset + sum(part.size for part in parts)
    noted = await session.scalar(
        _mine(claim).where(Upload.received == offset).values(received=after).returning(Upload.id)
    )
    if noted is None:
        raise lost(claim)
    rows: list[dict[str, Any]] = []
    for part in parts:
        place = {"upload_id": claim.upload_id, "first_byte": offset}
        rows.append(place | {"size": part.size, "object_name": part.object_name})
        offset += part.size
    if rows:
        await session.execute(insert(UploadPart), rows)
    return after


async def object_names(session: AsyncSession, upload_id: UUID) -> Sequence[str]:
    """Names of its parts in the store, in order."""
    parts = select(UploadPart.object_name).where(UploadPart.upload_id == upload_id)
    return (await session.scalars(parts.order_by(UploadPart.first_byte))).all()


async def held(session: AsyncSession, claim: Claim) -> Upload:
    """The upload, locked until the transaction ends; raises a problem where somebody else is its writer now."""
    mine = Upload.id == claim.upload_id, Upload.writer == claim.token, Upload.state == UploadState.OPEN
    upload = await session.scalar(select(Upload).where(*mine).with_for_update())
    if upload is None:
        raise lost(claim)
    return upload


async def settle(session: AsyncSession, claim: Claim, keep_s: float, **values: Any) -> None:
    """Say what has come of it; its parts are not needed any more."""
    expires_at = func.now() + timedelta(seconds=keep_s)
    ended = {"writer": None, "writer_until": None, "expires_at": expires_at}
    await session.execute(_mine(claim).values(**values, **ended))
    await session.execute(delete(UploadPart).where(UploadPart.upload_id == claim.upload_id))


async def remove(session: AsyncSession, upload_id: UUID) -> None:
    """Remove it; the item that it has become stays."""
    await session.execute(delete(Upload).where(Upload.id == upload_id))


async def expired(session: AsyncSession, at_most: int) -> Sequence[UUID]:
    """Some that are to be removed, and that nobody adds to; locked until the transaction ends."""
    is_whole = (Upload.state == UploadState.OPEN) & (Upload.received == Upload.length)
    wanted = select(Upload.id).where(Upload.expires_at < func.now(), _FREE, ~is_whole).limit(at_most)
    return (await session.scalars(wanted.with_for_update(skip_locked=True))).all()


async def whole(session: AsyncSession, at_most: int) -> Sequence[Upload]:
    """Some whose bytes are all there, and of which nobody makes a media."""
    is_whole = Upload.state == UploadState.OPEN, Upload.received == Upload.length, _FREE
    return (await session.scalars(select(Upload).where(*is_whole).limit(at_most))).all()


def lost(claim: Claim) -> Problem:
    """For a request whose claim has run out."""
    return Problem(409, "lost", f"another request has gone on with upload {claim.upload_id}, or it was removed")


def _mine(claim: Claim) -> Any:
    return update(Upload).where(Upload.id == claim.upload_id, Upload.writer == claim.token)
