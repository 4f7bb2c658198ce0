"""Lists by pages: ordered by a field, from a cursor on, which is opaque to clients.

A cursor says where a page ended, not how many rows came before: a page is what stands beyond that row, in the order of
a field and then of the id. So rows that come or go meanwhile neither show twice nor hide others, and each page costs
the same, over an index in that order.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field, PrivateAttr, SerializerFunctionWrapHandler, model_serializer
from sqlalchemy import DateTime, Select, bindparam, func, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.problems import invalid

Row = TypeVar("Row")
Out = TypeVar("Out", bound=BaseModel)
MAX_LIMIT = 200
CREATED = "created_at"
"""A field by which all lists can be ordered: ids are made of the time."""


@dataclass(frozen=True)
class Orders:
    """Fields by which a list can be ordered, none of them ever null."""

    id: Any
    by: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Columns, besides `created_at`; each should stand before the id in an index."""
    default: str = f"-{CREATED}"

    @property
    def names(self) -> list[str]:
        """All that `sort` may be."""
        return [sign + name for name in (CREATED, *self.by) for sign in ("", "-")]

    def columns(self, sort: str) -> tuple[Any, ...]:
        """What a list is ordered by."""
        name = sort.removeprefix("-")
        return (self.id,) if name == CREATED else (self.by[name], self.id)


class Cursor(NamedTuple):
    """Where a page begins."""

    sort: str
    at: tuple[Any, ...]
    """Values of the columns, of the row beside it."""
    is_backward: bool = False
    """Whether the page ends there."""

    def __str__(self) -> str:
        at = [value.isoformat() if isinstance(value, datetime) else value for value in self.at]
        text = json.dumps([self.sort, at, self.is_backward], default=str, ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Found(Generic[Row]):
    """Rows of a page, and where its neighbours begin."""

    rows: Sequence[Row]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    count: int | None = None
    fields: tuple[str, ...] = ()


class Page(BaseModel, Generic[Out]):
    """A part of a list."""

    items: list[Out]
    next_cursor: str | None = Field(description="Of the next page; null on the last.")
    prev_cursor: str | None = Field(default=None, description="Of the page before; null on the first.")
    count: int | None = Field(default=None, description="Of all pages together, where `count` asks for it.")
    _fields: tuple[str, ...] = PrivateAttr(())

    @classmethod
    def of(cls, found: Found[Any], items: list[Out]) -> "Page[Out]":
        """Of what was found, as it goes out."""
        (kind,) = get_args(cls.model_fields["items"].annotation)
        if unknown := [name for name in found.fields if name not in kind.model_fields]:
            raise invalid("fields", f"{unknown[0]!r} is none of {', '.join(kind.model_fields)}")
        page = cls(items=items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor, count=found.count)
        page._fields = found.fields
        return page

    @model_serializer(mode="wrap")
    def _with_fields(self, whole: SerializerFunctionWrapHandler):  # noqa: ANN202 — would hide the schema
        page = whole(self)
        if self._fields:
            page["items"] = [{name: each[name] for name in self._fields} for each in page["items"]]
        return page


@dataclass(frozen=True)
class Turn:
    """Which page is asked for, in which order, and what of each row."""

    cursor: str | None
    limit: int
    orders: Orders
    sort: str = f"-{CREATED}"
    fields: tuple[str, ...] = ()
    wants_count: bool = False
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    response: Response | None = None

    async def found(
        self, session: AsyncSession, statement: Select[Row], parts: Sequence[Select[Row]] = ()
    ) -> Found[Row]:
        """The rows of a statement that are on it; the answer links to its neighbours.

        `parts` have the same rows together, and can each be read in order where the whole cannot.
        """
        found = await self._found(session, statement, parts)
        if self.response is not None and (links := self._links(found)):
            self.response.headers["Link"] = ", ".join(links)
        return found

    async def _found(self, session: AsyncSession, statement: Select[Row], parts: Sequence[Select[Row]]) -> Found[Row]:
        orders, columns = self.orders, self.orders.columns(self.sort)
        cursor = None if self.cursor is None else _cursor(self.cursor, self.sort, columns)
        is_backward = cursor is not None and cursor.is_backward
        is_descending = self.sort.startswith("-") != is_backward

        def in_order(wanted: Select[Any]) -> Select[Any]:
            ordered = wanted.order_by(*[each.desc() if is_descending else each.asc() for each in columns])
            return ordered.limit(self.limit + 1)

        def on_page(wanted: Select[Any]) -> Select[Any]:
            beyond = [] if cursor is None else [_beyond(columns, cursor.at, is_descending)]
            return in_order(wanted.where(*beyond))

        wanted = on_page(statement)
        if len(parts) > 1:
            ids = [select(on_page(part.with_only_columns(orders.id)).subquery()) for part in parts]
            wanted = in_order(select(orders.id.class_).where(orders.id.in_(union(*ids))))
        rows = (await session.execute(wanted.add_columns(*columns))).all()
        shown, has_more = rows[: self.limit], len(rows) > self.limit
        if is_backward:
            shown = shown[::-1]
        ends = [Cursor(self.sort, tuple(row[-len(columns) :])) for row in (shown[0], shown[-1])] if shown else None
        return Found(
            [row[0] for row in shown],
            next_cursor=str(ends[1]) if ends and (has_more or is_backward) else None,
            prev_cursor=str(ends[0]._replace(is_backward=True))
            if ends and (has_more if is_backward else cursor is not None)
            else None,
            count=await _count(session, statement, orders) if self.wants_count else None,
            fields=self.fields,
        )

    def _links(self, found: Found[Any]) -> list[str]:
        there = {"next": found.next_cursor, "prev": found.prev_cursor}
        query = [pair for pair in self.query if pair[0] != "cursor"]
        return [
            f'<{self.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="{relation}"'
            for relation, cursor in there.items()
            if cursor is not None
        ]


_Cursor = Annotated[
    str | None, Query(max_length=4096, description="`next_cursor` or `prev_cursor` of a page of the same list.")
]
_Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items on the page.")]


def turning(orders: Orders) -> Callable[..., Turn]:
    """For `Depends`: the page that is asked for, of a list with these orders."""

    def turn(
        request: Request,
        response: Response,
        cursor: _Cursor = None,
        limit: _Limit = 50,
        sort: str = Query(
            orders.default,
            max_length=64,
            description="Field that orders the list; `-` before it: from the last to the first.",
            json_schema_extra={"enum": orders.names},
        ),
        fields: Annotated[str, Query(max_length=1000, description="Those to show, parted by commas; else all.")] = "",
        count: Annotated[bool, Query(description="Whether to count all pages together, which takes time.")] = False,
    ) -> Turn:
        if sort not in orders.names:
            raise invalid("sort", f"{sort!r} is none of {', '.join(orders.names)}")
        return Turn(
            cursor=cursor,
            limit=limit,
            orders=orders,
            sort=sort,
            fields=tuple(dict.fromkeys(name.strip() for name in fields.split(",") if name.strip())),
            wants_count=count,
            path=request.url.path,
            query=tuple(request.query_params.multi_items()),
            response=response,
        )

    return turn


def _beyond(columns: tuple[Any, ...], at: tuple[Any, ...], is_descending: bool) -> Any:
    """Rows that stand beyond that place."""
    place = tuple_(*(bindparam(None, value, each.type) for value, each in zip(at, columns, strict=True)))
    return tuple_(*columns) < place if is_descending else tuple_(*columns) > place


async def _count(session: AsyncSession, statement: Select[Any], orders: Orders) -> int:
    counted = statement.with_only_columns(orders.id).order_by(None).subquery()
    return await session.scalar(select(func.count()).select_from(counted)) or 0


def _cursor(text: str, sort: str, columns: tuple[Any, ...]) -> Cursor:
    try:
        of, at, is_backward = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        values = tuple(_value(each, column) for each, column in zip(at, columns, strict=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise invalid("cursor", "is none that a page gave") from None
    if of != sort:
        raise invalid("cursor", f"is of a list that is sorted by {of!r}")
    return Cursor(sort, values, bool(is_backward))


def _value(value: Any, column: Any) -> Any:
    """A value of a column, as its type says; raises `ValueError`."""
    kind = column.type.python_type
    if kind is UUID:
        return UUID(value)
    if isinstance(column.type, DateTime):
        time = datetime.fromisoformat(value)
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    if not isinstance(value, kind):
        raise ValueError(value)
    str(value).encode()  # a text that is no Unicode cannot be asked for
    return value
