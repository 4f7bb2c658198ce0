"""ETags of what changes: who reads twice need not load it twice, and who changes it changes what they have read.

A tag is a hash of all that is shown, so it changes when, and only when, that does.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.problems import REVALIDATED, NotModified, Problem

Out = TypeVar("Out", bound=BaseModel)
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has it already."}}


def etag(out: BaseModel) -> str:
    """Of what is shown."""
    return f'"{hashlib.sha256(out.model_dump_json().encode()).hexdigest()[:32]}"'


@dataclass(frozen=True)
class Tag:
    """What a client says that it has, and the answer to it."""

    if_match: str | None
    if_none_match: str | None
    response: Response

    def shown(self, out: Out) -> Out:
        """What is sent, under its tag; not at all where the client has it."""
        tag = etag(out)
        if _names(self.if_none_match, tag):
            raise NotModified(tag)
        self.response.headers["Cache-Control"] = REVALIDATED
        return self.changed(out)

    def changed(self, out: Out) -> Out:
        """What it is now, after a change, under its new tag."""
        self.response.headers["ETag"] = etag(out)
        return out

    def expect(self, out: BaseModel) -> None:
        """Raise a problem where the client has read something else than what is to be changed."""
        if self.if_match is not None and not _names(self.if_match, etag(out)):
            raise Problem(412, "changed", "somebody has changed it since it was read: read it again")


def _tag(
    response: Response,
    if_match: Annotated[
        str | None, Header(max_length=1000, description="ETags, or `*`: only what is still that is changed.")
    ] = None,
    if_none_match: Annotated[
        str | None, Header(max_length=1000, description="ETags: what is still one of them is not sent again.")
    ] = None,
) -> Tag:
    return Tag(if_match, if_none_match, response)


TagOf = Annotated[Tag, Depends(_tag)]


async def lock(session: AsyncSession, table: Any, id: UUID) -> None:
    """Have nobody else change a row between the look at it and the change; others may still refer to it."""
    await session.execute(select(table.id).where(table.id == id).with_for_update(key_share=True))


def _names(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    named = {each.strip().removeprefix("W/") for each in header.split(",")}
    return "*" in named or tag in named
