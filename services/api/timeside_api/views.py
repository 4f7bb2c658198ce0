"""Views: pictures that are drawn from results in the store, each known by all that it depends on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

import rfc8785
from sqlalchemy import ARRAY, ForeignKey, Uuid, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api import tasks
from timeside_api.models import Base, Result, ResultState, RunKind
from timeside_api.plans import Asked
from timeside_api.tasks import Part, Terms
from timeside_core.key import digest
from timeside_core.pipeline import Grapher

POOL = "drawer"
"""Workers that draw what is in the store."""

PictureFormat: TypeAlias = Literal["png", "svg"]


class View(Base):
    """What a result that is such a picture shows."""

    __tablename__ = "view"

    result_id: Mapped[UUID] = mapped_column(ForeignKey("result.id", ondelete="CASCADE"), primary_key=True)
    shown: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    """Results that it is drawn from."""
    width: Mapped[int]
    height: Mapped[int]
    start_s: Mapped[float | None]
    """The begin of the signal where it is not given, and its end."""
    stop_s: Mapped[float | None]
    format: Mapped[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Size, span and format of a picture."""

    width: int
    height: int
    start_s: float | None = None
    stop_s: float | None = None
    format: PictureFormat = "png"

    def value(self) -> dict[str, Any]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A picture that is asked for: a grapher, and results that are done, all of one media."""

    grapher: Grapher
    shown: Sequence[Result]
    frame: Frame

    def asked(self) -> Asked:
        """The key of the picture says all that it depends on: also what made the results that it shows."""
        of = [[each.processor, each.version, each.digest] for each in self.shown]
        value = {"grapher": digest(self.grapher), "shown": of, **self.frame.value()}
        return Asked(
            processor=self.grapher.id,
            version=self.grapher.version,
            digest=hashlib.sha256(rfc8785.dumps(value)).hexdigest(),
            parameters=self.grapher.parameters(),
            effects=tuple(self.shown[0].effects),
            pool=POOL,
            outputs=("",),
        )


async def draw(session: AsyncSession, owner_id: UUID, drawing: Drawing) -> UUID:
    """The picture, as a result that is there or to come; where nobody draws it yet, a run for it."""
    part = Part(drawing.shown[0].media_sha256, (drawing.asked(),))
    (result_id,) = await tasks.demand(session, part, Terms(owner_id), kind=RunKind.DRAW)
    shown = [each.id for each in drawing.shown]
    row = {"result_id": result_id, "shown": shown, **drawing.frame.value()}
    await session.execute(insert(View).values(row).on_conflict_do_nothing())
    return result_id


async def shown_in(session: AsyncSession, result_id: UUID) -> tuple[View, list[Result]] | None:
    """What a picture is to show, if all of it is in the store."""
    view = await session.get(View, result_id)
    if view is None:
        return None
    wanted = select(Result).where(Result.id.in_(view.shown), Result.state == ResultState.DONE)
    found = {each.id: each for each in await session.scalars(wanted)}
    return (view, [found[id] for id in view.shown]) if found.keys() >= set(view.shown) else None


def object_name(picture: Result, view: View) -> str:
    """A fresh name for its file, as of all that is derived from a media."""
    media = picture.media_sha256
    folder = f"derived/{media[:2]}/{media}/{picture.processor}/{picture.version}/{picture.digest[:16]}"
    return f"{folder}/{uuid4().hex}.{view.format}"
