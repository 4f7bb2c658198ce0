"""Lists by pages: newest first, from a cursor on, which is the id of the last one seen, and opaque to clients."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.problems import invalid

Row = TypeVar("Row")
Out = TypeVar("Out", bound=BaseModel)
MAX_LIMIT = 200


class Page(BaseModel, Generic[Out]):
    """A part of a list, newest first."""

    items: list[Out]
    next_cursor: str | None = Field(description="Of the next page; null on the last.")


class Turn(BaseModel):
    """Which page."""

    before: UUID | None
    limit: int

    async def rows(
        self, session: AsyncSession, statement: Select[Row], id_column: Any
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of a statement that are on it, and the cursor of the next."""
        wanted = statement if self.before is None else statement.where(id_column < self.before)
        found = (await session.scalars(wanted.order_by(id_column.desc()).limit(self.limit + 1))).all()
        shown: Sequence[Any] = found[: self.limit]
        return shown, _cursor(shown[-1].id) if len(found) > self.limit else None


def turn(
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items on the page.")] = 50,
) -> Turn:
    """The page that is asked for."""
    return Turn(before=None if cursor is None else _id(cursor), limit=limit)


PageOf = Annotated[Turn, Depends(turn)]


def _cursor(id: UUID) -> str:
    return base64.urlsafe_b64encode(id.bytes).decode().rstrip("=")


def _id(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise invalid("cursor", "is none that a page gave") from None
