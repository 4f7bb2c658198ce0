"""SQL of annotations: who may read or change an item may do so with what is said of it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events
from timeside_api.annotations import Annotation, AnnotationChange, AnnotationTrack, ChangeKind, TrackKind, topic
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.problems import Problem, invalid, not_found
from timeside_api.models import Item, Media
from timeside_api.sharing import Level
from timeside_core.ids import uuid7

FIELDS = ("start_s", "stop_s", "label", "text", "value")
ROUNDING_S = 1e-3
"""By so much an annotation may end after its media: other programs keep times in milliseconds."""
CHANGES = 1000
"""Of a track, read at once."""


def visible(caller: Caller) -> Select[AnnotationTrack]:
    """Tracks that the caller may read."""
    items = ownership.visible(caller, Item).with_only_columns(Item.id)
    return select(AnnotationTrack).where(AnnotationTrack.item_id.in_(items))


async def get(
    session: AsyncSession, caller: Caller, track_id: UUID, level: Level = Level.VIEWER, *, lock: bool = False
) -> AnnotationTrack:
    """A track; raises a problem where the caller may not see one of that id, or may not do so much with its item.

    Whoever locks it is alone in changing it until the transaction ends.
    """
    wanted = visible(caller).where(AnnotationTrack.id == track_id).execution_options(populate_existing=True)
    track = await session.scalar(wanted.with_for_update(of=AnnotationTrack) if lock else wanted)
    if track is None:
        raise not_found("annotation track", track_id)
    await ownership.get(session, caller, Item, track.item_id, level)
    return track


async def get_annotation(session: AsyncSession, caller: Caller, annotation_id: UUID) -> Annotation:
    """An annotation; raises a problem where the caller may not see one of that id."""
    tracks = visible(caller).with_only_columns(AnnotationTrack.id)
    wanted = select(Annotation).where(Annotation.id == annotation_id, Annotation.track_id.in_(tracks))
    annotation = await session.scalar(wanted.execution_options(populate_existing=True))
    if annotation is None:
        raise not_found("annotation", annotation_id)
    return annotation


def within(track_id: UUID, start_s: float | None, stop_s: float | None) -> Select[Annotation]:
    """Annotations of a track that some of a span falls into."""
    wanted = select(Annotation).where(Annotation.track_id == track_id)
    if stop_s is not None:
        wanted = wanted.where(Annotation.start_s <= stop_s)
    if start_s is not None:
        wanted = wanted.where(func.coalesce(Annotation.stop_s, Annotation.start_s) >= start_s)
    return wanted


async def add(session: AsyncSession, author_id: UUID, said: Mapping[str, Any]) -> AnnotationTrack:
    """Make a track."""
    track = AnnotationTrack(author_id=author_id, **said)
    session.add(track)
    await session.flush()
    await session.refresh(track)
    return track


async def remove(session: AsyncSession, track: AnnotationTrack) -> None:
    """Remove a track with all that is in it."""
    await session.execute(delete(AnnotationTrack).where(AnnotationTrack.id == track.id))
    await events.tell(session, [topic(track.id)])


async def changes(session: AsyncSession, track: AnnotationTrack, since: int) -> Sequence[AnnotationChange]:
    """The next changes after a revision; raises a problem where not all of them are kept any more."""
    wanted = select(AnnotationChange).where(AnnotationChange.track_id == track.id, AnnotationChange.revision > since)
    found = (await session.scalars(wanted.order_by(AnnotationChange.revision).limit(CHANGES))).all()
    if since > track.revision or (since < track.revision and (not found or found[0].revision != since + 1)):
        raise Problem(410, "gone", f"changes since revision {since} are not there: read the annotations anew")
    return found


async def length_s(session: AsyncSession, item_id: UUID) -> float | None:
    """Length of an item's media; None where nobody has decoded all of it, as headers are not believed."""
    wanted = select(Media).join(Item, Item.media_sha256 == Media.sha256).where(Item.id == item_id, Media.decoded)
    media = await session.scalar(wanted)
    return None if media is None or not media.samplerate or media.samples is None else media.samples / media.samplerate


class Edit:
    """Changes of a track that is locked, each with a revision of its own; told to those who listen."""

    def __init__(self, session: AsyncSession, track: AnnotationTrack, author_id: UUID, length_s: float | None) -> None:
        self.track = track
        self._session, self._author_id, self._length_s = session, author_id, length_s
        self._revision = track.revision
        self._log: list[dict[str, Any]] = []

    async def add(self, said: Sequence[Mapping[str, Any]], limit: int) -> list[UUID]:
        """Annotations; raises a problem where one breaks a rule, or there would be more than `limit`."""
        rows = [self._row(index, each) for index, each in enumerate(said)]
        if rows:
            await self._session.execute(insert(Annotation), rows)
        of_track = select(func.count()).select_from(Annotation).where(Annotation.track_id == self.track.id)
        if (await self._session.scalar(of_track) or 0) > limit:
            raise Problem(422, "too-many", f"a track has {limit} annotations at most")
        return [row["id"] for row in rows]

    async def change(self, annotation: Annotation, said: Mapping[str, Any]) -> None:
        """An annotation: what is left out stays."""
        for name, value in said.items():
            setattr(annotation, name, value)
        fields = {name: getattr(annotation, name) for name in FIELDS}
        self._check("", fields, is_label_new="label" in said)
        annotation.version = self._note(ChangeKind.CHANGED, annotation.id, fields)
        annotation.updated_at = func.now()
        await self._session.flush()
        await self._session.refresh(annotation)

    async def remove(self, annotation: Annotation) -> None:
        """An annotation."""
        self._note(ChangeKind.REMOVED, annotation.id, {name: getattr(annotation, name) for name in FIELDS})
        await self._session.delete(annotation)
        await self._session.flush()

    async def remove_all(self) -> int:
        """All annotations; returns how many there were."""
        columns = (Annotation.id, *(getattr(Annotation, name) for name in FIELDS))
        gone = delete(Annotation).where(Annotation.track_id == self.track.id).returning(*columns)
        found = (await self._session.execute(gone)).all()
        for id, *fields in sorted(found, key=lambda row: (row[1], row[0])):
            self._note(ChangeKind.REMOVED, id, dict(zip(FIELDS, fields, strict=True)))
        return len(found)

    async def describe(self, said: Mapping[str, Any]) -> None:
        """The track itself."""
        await self._session.execute(
            update(AnnotationTrack).where(AnnotationTrack.id == self.track.id).values(dict(said))
        )
        self._note(ChangeKind.TRACK, None, dict(said))

    async def close(self) -> None:
        """Keep the changes as history, and tell of them."""
        if not self._log:
            return
        await self._session.execute(insert(AnnotationChange), self._log)
        changed = update(AnnotationTrack).where(AnnotationTrack.id == self.track.id)
        await self._session.execute(changed.values(revision=self._revision, updated_at=func.now()))
        await self._session.refresh(self.track)
        await events.tell(self._session, [topic(self.track.id)])

    def _row(self, index: int, said: Mapping[str, Any]) -> dict[str, Any]:
        fields = {name: said[name] for name in FIELDS}
        self._check(f"/{index}", fields)
        id = uuid7()
        row = {"id": id, "track_id": self.track.id, "author_id": self._author_id, **fields}
        return row | {"version": self._note(ChangeKind.ADDED, id, fields)}

    def _check(self, pointer: str, fields: Mapping[str, Any], *, is_label_new: bool = True) -> None:
        start_s, stop_s, label = fields["start_s"], fields["stop_s"], fields["label"]
        if (stop_s is None) is not (self.track.kind is TrackKind.POINTS):
            raise invalid(f"{pointer}/stop_s", "is null in a track of points, and only there")
        if stop_s is not None and stop_s < start_s:
            raise invalid(f"{pointer}/stop_s", f"{stop_s:g} is before start_s, {start_s:g}")
        end_s = start_s if stop_s is None else stop_s
        if self._length_s is not None and end_s > self._length_s + ROUNDING_S:
            name = "start_s" if stop_s is None else "stop_s"
            raise invalid(f"{pointer}/{name}", f"{end_s:g} is after the end of the media, {self._length_s:g}")
        if is_label_new and self.track.vocabulary and label not in self.track.vocabulary:
            raise invalid(f"{pointer}/label", f"{label!r:.100} is not in the vocabulary of the track")

    def _note(self, kind: ChangeKind, annotation_id: UUID | None, fields: dict[str, Any]) -> int:
        self._revision += 1
        row = {
            "track_id": self.track.id,
            "revision": self._revision,
            "kind": kind,
            "annotation_id": annotation_id,
            "fields": fields,
            "author_id": self._author_id,
        }
        self._log.append(row)
        return self._revision


@asynccontextmanager
async def editing(session: AsyncSession, caller: Caller, track_id: UUID) -> AsyncGenerator[Edit]:
    """Change a track, alone until the transaction ends; raises a problem where the caller may not."""
    track = await get(session, caller, track_id, Level.EDITOR, lock=True)
    edit = Edit(session, track, caller.id, await length_s(session, track.item_id))
    yield edit
    await edit.close()


async def of_track(
    session: AsyncSession, track_id: UUID, annotation_id: UUID, version: int | None = None
) -> Annotation:
    """An annotation of a track that is locked; raises a problem where it is not there, or of another version."""
    wanted = select(Annotation).where(Annotation.id == annotation_id, Annotation.track_id == track_id)
    annotation = await session.scalar(wanted.execution_options(populate_existing=True))
    if annotation is None:
        raise not_found("annotation", annotation_id)
    if version not in (None, annotation.version):
        raise Problem(412, "changed", f"annotation {annotation_id} is of version {annotation.version} by now")
    return annotation


async def several(session: AsyncSession, ids: Sequence[UUID]) -> list[Annotation]:
    """Annotations, in that order."""
    found = {each.id: each for each in await session.scalars(select(Annotation).where(Annotation.id.in_(ids)))}
    return [found[id] for id in ids]


async def all_of(session: AsyncSession, track_id: UUID) -> Sequence[Annotation]:
    """All annotations of a track in the order of time."""
    wanted = select(Annotation).where(Annotation.track_id == track_id)
    return (await session.scalars(wanted.order_by(Annotation.start_s, Annotation.id))).all()
