"""Bytes of one request on their way into an upload: kept in the store part by part, and noted once they are there.

What was noted is what is acknowledged. A request that breaks off leaves all bytes that came, unless they had a checksum
that is now never to be checked; a process that is killed loses what it had not put into the store yet.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import Request

from timeside_api.http.media.body import Chunks
from timeside_api.http.platform import Platform
from timeside_api.http.uploads import repository
from timeside_api.http.uploads.repository import Claim, Kept
from timeside_api.http.uploads.tus import Checksum
from timeside_core.errors import StoreError

_log = logging.getLogger(__name__)


async def receive(parts: Platform, request: Request, claim: Claim, checksum: Checksum | None) -> int:
    """Take the body in; the offset after it. Raises a problem where it breaks off, or is not what it should be."""
    chunks = Chunks(request, parts.settings, claim.length - claim.received)
    if checksum is not None:
        return await _checked(parts, chunks, claim, checksum)
    into, is_whole = _Into(parts, claim), False
    try:
        while (chunk := await chunks.next()) is not None:
            if await into.add(chunk):
                await into.note()
        is_whole = True
    finally:  # also when it has broken off: what came counts
        await _to_the_end(into, is_whole=is_whole)
    return into.offset


async def _to_the_end(into: "_Into", *, is_whole: bool) -> None:
    try:
        await into.put()
        await into.note()
    except Exception as error:
        if is_whole:
            raise
        _log.warning("some bytes of an upload that broke off are lost: %s", error)


async def _checked(parts: Platform, chunks: Chunks, claim: Claim, checksum: Checksum) -> int:
    into, digest = _Into(parts, claim), checksum.new()
    try:
        while (chunk := await chunks.next()) is not None:
            digest.update(chunk)
            await into.add(chunk)
        checksum.check(digest.digest())
        await into.put()
        await into.note()
    except BaseException:
        await remove_objects(parts, into.unnoted())
        raise
    return into.offset


@asynccontextmanager
async def renewed(parts: Platform, claim: Claim) -> AsyncGenerator[None]:
    """Keep a claim from running out."""
    task = asyncio.create_task(_renew(parts, claim))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _renew(parts: Platform, claim: Claim) -> None:
    lease_s = parts.settings.upload_lease_s
    while True:
        await asyncio.sleep(lease_s / 3)
        try:
            async with parts.database.transaction() as session:
                await repository.renew(session, claim, lease_s)
        except Exception as error:  # whether it has run out is asked when something is noted
            _log.warning("the claim of upload %s is not renewed: %s", claim.upload_id, error)


async def remove_objects(parts: Platform, names: list[str]) -> None:
    """Remove parts that do not count; what remains is swept."""
    for name in names:
        with contextlib.suppress(StoreError):
            await parts.uploads.in_thread(parts.store.objects.delete, name)


class _Into:
    """Where bytes go: first to memory, then to the store, then to the notes of the database."""

    def __init__(self, parts: Platform, claim: Claim) -> None:
        self._parts, self._claim = parts, claim
        self._buffer = bytearray()
        self._kept: list[Kept] = []
        self.offset = claim.received
        """After what is noted."""

    async def add(self, chunk: bytes) -> bool:
        """Whether there is something to be noted."""
        self._buffer += chunk
        if len(self._buffer) >= self._parts.settings.upload_part_bytes:
            await self.put()
        return bool(self._kept)

    async def put(self) -> None:
        """Make what is in memory lasting."""
        if not self._buffer:
            return
        data, self._buffer = self._buffer, bytearray()
        id = self._claim.upload_id
        name = f"uploads/{id.hex[-2:]}/{id}/{uuid4().hex}"
        await self._parts.uploads.in_thread(self._put, name, data)
        self._kept.append(Kept(len(data), name))

    def _put(self, name: str, data: bytearray) -> None:
        self._parts.store.objects.put(name, memoryview(data))
        self._parts.store.objects.sync_object(name)

    async def note(self) -> None:
        """Note what is lasting."""
        if not self._kept:
            return
        async with self._parts.database.transaction() as session:
            self.offset = await repository.keep(session, self._claim, self.offset, self._kept)
        self._kept = []

    def unnoted(self) -> list[str]:
        """Names of what does not count."""
        return [each.object_name for each in self._kept]
