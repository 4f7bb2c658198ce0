"""What selections, presets and experiences have in common: names, lists, and links that never lead back."""

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import CTE, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import Experience, ExperienceStep, Preset, Selection, SelectionPart
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.items.schemas import Line, Prose
from timeside_api.http.pages import Orders
from timeside_api.http.problems import Problem, not_found
from timeside_api.models import Owned

Collected = TypeVar("Collected", Selection, Preset, Experience)
Seen = TypeVar("Seen", bound=Owned)
MAX_INSIDE = 1000
"""Of selections, or experiences, that one holds by whatever way: looking through them must stay cheap."""
_LOCK = 0x7473_636C
"""Key of the advisory lock under which links are made."""


class Named(BaseModel):
    """What people call it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Line = ""
    description: Prose = ""


class Renamed(BaseModel):
    """What people are to call it; what is left out stays."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Line | None = None
    description: Prose | None = None


class Wanted(BaseModel):
    """Which of a list."""

    q: str | None
    project_id: UUID | None
    shared: bool

    def of(self, caller: Caller, table: type[Collected]) -> Select[Collected]:
        """Rows that the caller may see."""
        found = ownership.visible(caller, table)
        if self.project_id is not None:
            found = found.where(table.project_id == self.project_id)
        elif not self.shared:
            found = found.where(table.owner_id == caller.id)
        return found if self.q is None else found.where(table.title.icontains(self.q, autoescape=True))


def _wanted(
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="Part of the title.")] = None,
    project_id: Annotated[UUID | None, Query(description="Whose they are; else those of one's own.")] = None,
    shared: Annotated[bool, Query(description="Others that one may see, too.")] = False,
) -> Wanted:
    return Wanted(q=q, project_id=project_id, shared=shared)


WantedOf = Annotated[Wanted, Depends(_wanted)]


def orders(table: type[Collected]) -> Orders:
    """By which they can be ordered."""
    return Orders(table.id, {"updated_at": table.updated_at, "title": func.lower(table.title, type_=table.title.type)})


async def change(session: AsyncSession, thing: Collected, said: dict[str, Any]) -> None:
    """Say something else of it; nothing at all: something that belongs to it has changed."""
    for name, value in said.items():
        setattr(thing, name, value)
    thing.updated_at = func.now()
    await session.flush()
    await session.refresh(thing)


class Links(NamedTuple):
    """Which of them holds which."""

    outer: Any
    part: Any

    def below(self, id: UUID) -> CTE:
        """Column `id`: all that one holds by whatever way."""
        parts = select(self.part.label("id")).where(self.outer == id, self.part.is_not(None))
        reached = parts.cte("below", recursive=True)
        return reached.union(select(self.part).where(self.outer == reached.c.id, self.part.is_not(None)))

    async def check(self, session: AsyncSession, id: UUID) -> None:
        """Raise a problem where one holds itself, or too much."""
        below = self.below(id)
        held, is_circle = (await session.execute(select(func.count(), func.bool_or(below.c.id == id)))).one()
        if is_circle:
            raise Problem(409, "circle", f"{id} would hold itself")
        if held > MAX_INSIDE:
            raise too_many(f"{id} would hold {held} others: {MAX_INSIDE} can be held, by whatever way")


SELECTIONS = Links(SelectionPart.selection_id, SelectionPart.part_id)
EXPERIENCES = Links(ExperienceStep.experience_id, ExperienceStep.part_id)


async def lock_links(session: AsyncSession) -> None:
    """Have nobody else make links until this transaction ends: two that are right alone may be wrong together."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def check_seen(session: AsyncSession, caller: Caller, table: type[Seen], ids: Iterable[UUID]) -> None:
    """Raise a problem where the caller may not see one of these; the others stay until the transaction ends."""
    wanted = set(ids)
    seen = ownership.visible(caller, table).with_only_columns(table.id).where(table.id.in_(wanted))
    found = set(await session.scalars(seen.order_by(table.id).with_for_update(read=True, key_share=True)))
    if missing := sorted(wanted - found):
        raise not_found(table.__tablename__, missing[0])


def too_many(detail: str) -> Problem:
    """More than can be."""
    return Problem(409, "too-many", detail)
