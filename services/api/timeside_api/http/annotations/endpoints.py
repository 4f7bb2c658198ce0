"""`/v1/annotation-tracks`, `/v1/annotations`."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from timeside_api import events
from timeside_api.annotations import Annotation, AnnotationTrack
from timeside_api.http import ownership, sse
from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.annotations import exchange, repository
from timeside_api.http.annotations.following import Look, follow
from timeside_api.http.annotations.schemas import (
    AnnotationChanged,
    AnnotationOut,
    Batch,
    Changed,
    ChangeList,
    ChangeOut,
    LabelsFormat,
    NewAnnotation,
    NewTrack,
    NewTrackOfResult,
    Read,
    TrackChange,
    TrackOut,
)
from timeside_api.http.etags import UNCHANGED, TagOf
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Platform, PlatformOf, Session
from timeside_api.http.problems import Problem
from timeside_api.http.results import repository as results
from timeside_api.models import Item, Media, Result, ResultState
from timeside_api.sharing import Level
from timeside_core.errors import FormatError

router = APIRouter(tags=["annotations"])
TracksTurnOf = Annotated[Turn, Depends(turning(Orders(AnnotationTrack.id)))]

MAX_PAGE = 5000
_IN_TIME = Orders(Annotation.id, {"start_s": Annotation.start_s}, default="start_s")
_LABELS: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/octet-stream": {}, "text/*": {}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {each.split(";")[0]: {} for each in exchange.MEDIA_TYPES.values()}},
    **errors(404),
}
_Since = Annotated[int | None, Query(ge=0, description="Revision after which changes are wanted.")]
_Seconds = Annotated[float | None, Query(ge=0, allow_inf_nan=False, description="s.")]
_FormatOf = Annotated[LabelsFormat, Query(description="Of the file.")]


def _turn(
    cursor: Annotated[str | None, Query(max_length=4096, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most annotations on the page.")] = 1000,
) -> Turn:
    return Turn(cursor=cursor, limit=limit, orders=_IN_TIME, sort=_IN_TIME.default)


@router.post("/annotation-tracks", operation_id="track_create", status_code=201, responses=errors(403, 404))
async def track_create(body: NewTrack, caller: CallerOf, session: Session, response: Response) -> TrackOut:
    """Make a track of annotations for an item."""
    track = await _add(session, caller, body.model_dump())
    response.headers["Location"] = f"/v1/annotation-tracks/{track.id}"
    return TrackOut.of(track)


@router.post(
    "/annotation-tracks:from-result",
    operation_id="track_from_result",
    status_code=201,
    responses=errors(403, 404, 409),
)
async def track_from_result(
    body: NewTrackOfResult, caller: CallerOf, session: Session, parts: PlatformOf, response: Response
) -> TrackOut:
    """Make a track of the events or segments of a result.

    From then on they are annotations: whoever may change the item may change them, and the result stays as it is.
    """
    item = await ownership.get(session, caller, Item, body.item_id, Level.EDITOR)
    result = await results.get(session, caller, body.result_id)
    if result.media_sha256 != item.media_sha256:
        raise Problem(409, "other-media", f"result {result.id} is not of the media of item {item.id}")
    if result.state is not ResultState.DONE or result.mime_type:
        raise Problem(409, "no-rows", f"result {result.id} has no rows that could be annotations")
    most = parts.settings.max_annotations
    found = await parts.library.read(result, lambda stored: exchange.from_result(stored, body.output, most))
    said = {"item_id": item.id, "kind": found.kind, "title": body.title or _title(result, body.output)}
    track = await _add(session, caller, said | {"vocabulary": found.vocabulary})
    async with repository.editing(session, caller, track.id) as edit:
        await edit.add(found.annotations, most)
    response.headers["Location"] = f"/v1/annotation-tracks/{track.id}"
    return TrackOut.of(edit.track)


@router.get("/annotation-tracks", operation_id="tracks_list", responses=errors(404))
async def tracks_list(item_id: UUID, caller: CallerOf, session: Session, turn: TracksTurnOf) -> Page[TrackOut]:
    """List the tracks of an item."""
    await ownership.get(session, caller, Item, item_id)
    wanted = repository.visible(caller).where(AnnotationTrack.item_id == item_id)
    found = await turn.found(session, wanted)
    return Page[TrackOut].of(found, [TrackOut.of(each) for each in found.rows])


@router.get("/annotation-tracks/{track_id}", operation_id="track_get", responses={**UNCHANGED, **errors(404)})
async def track_get(track_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> TrackOut:
    """Get a track."""
    return tag.shown(TrackOut.of(await repository.get(session, caller, track_id)))


@router.patch("/annotation-tracks/{track_id}", operation_id="track_change", responses=errors(403, 404, 412))
async def track_change(track_id: UUID, body: TrackChange, caller: CallerOf, session: Session, tag: TagOf) -> TrackOut:
    """Say something else of a track."""
    async with repository.editing(session, caller, track_id) as edit:
        tag.expect(TrackOut.of(edit.track))
        if said := body.model_dump(exclude_none=True):
            await edit.describe(said)
    return tag.changed(TrackOut.of(edit.track))


@router.delete(
    "/annotation-tracks/{track_id}", operation_id="track_delete", status_code=204, responses=errors(403, 404, 412)
)
async def track_delete(track_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> None:
    """Remove a track with all its annotations."""
    track = await repository.get(session, caller, track_id, Level.EDITOR, lock=True)
    tag.expect(TrackOut.of(track))
    await repository.remove(session, track)
    await _note(session, "track.removed", track)


@router.get("/annotation-tracks/{track_id}/annotations", operation_id="annotations_list", responses=errors(404))
async def annotations_list(
    track_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(_turn)],
    start: _Seconds = None,
    stop: _Seconds = None,
) -> Page[AnnotationOut]:
    """List annotations in the order of time.

    With `start` and `stop` those that some of that span falls into. Whoever wants to follow the track reads it first:
    changes since its `revision` complete what the pages show.
    """
    await repository.get(session, caller, track_id)
    found = await turn.found(session, repository.within(track_id, start, stop))
    return Page[AnnotationOut].of(found, [AnnotationOut.of(each) for each in found.rows])


@router.post(
    "/annotation-tracks/{track_id}/annotations",
    operation_id="annotation_create",
    status_code=201,
    responses=errors(403, 404),
)
async def annotation_create(
    track_id: UUID, body: NewAnnotation, caller: CallerOf, session: Session, parts: PlatformOf, tag: TagOf
) -> AnnotationOut:
    """Annotate a moment or a stretch of time."""
    async with repository.editing(session, caller, track_id) as edit:
        ids = await edit.add([body.model_dump()], parts.settings.max_annotations)
    (made,) = await repository.several(session, ids)
    tag.response.headers["Location"] = f"/v1/annotations/{made.id}"
    return tag.changed(AnnotationOut.of(made))


@router.post(
    "/annotation-tracks/{track_id}/annotations:batch",
    operation_id="annotations_batch",
    responses=errors(403, 404, 412),
)
async def annotations_batch(
    track_id: UUID, body: Batch, caller: CallerOf, session: Session, parts: PlatformOf
) -> Changed:
    """Make several changes at once, all or none."""
    async with repository.editing(session, caller, track_id) as edit:
        removed = await edit.remove_all() if body.replace else 0
        for gone in body.remove:
            await edit.remove(await repository.of_track(session, track_id, gone.id, gone.version))
        for each in body.change:
            annotation = await repository.of_track(session, track_id, each.id, each.version)
            await edit.change(annotation, _said(each, without={"id", "version"}))
        added = await edit.add([each.model_dump() for each in body.add], parts.settings.max_annotations)
    return Changed(
        revision=edit.track.revision,
        added=[AnnotationOut.of(each) for each in await repository.several(session, added)],
        changed=[
            AnnotationOut.of(each)
            for each in await repository.several(session, list(dict.fromkeys(each.id for each in body.change)))
        ],
        removed=removed + len(body.remove),
    )


@router.post(
    "/annotation-tracks/{track_id}/annotations:import",
    operation_id="annotations_import",
    responses=errors(403, 404, 408, 413),
    openapi_extra=_LABELS,
)
async def annotations_import(
    track_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    format: _FormatOf,
    replace: Annotated[bool, Query(description="Remove what there is.")] = False,
    tier: Annotated[str | None, Query(max_length=1000, description="Only those of a row of that name.")] = None,
) -> Read:
    """Read annotations from a file of another program.

    The body is the file, as it is. Moments become regions of no length in a track of regions.
    """
    async with parts.database.transaction() as session:
        track = await repository.get(session, caller, track_id, Level.EDITOR)
    data = await _body(request, parts)
    said = await _read(parts, data, format, track, tier)
    async with parts.database.transaction() as session:
        async with repository.editing(session, caller, track_id) as edit:
            removed = await edit.remove_all() if replace else 0
            await edit.add(said, parts.settings.max_annotations)
        return Read(revision=edit.track.revision, added=len(said), removed=removed)


@router.get(
    "/annotation-tracks/{track_id}/annotations/file",
    operation_id="annotations_export",
    response_class=Response,
    responses=_FILE,
)
async def annotations_export(
    track_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf, format: _FormatOf
) -> Response:
    """All annotations as a file for another program."""
    track = await repository.get(session, caller, track_id)
    annotations = await repository.all_of(session, track_id)
    item = await session.get_one(Item, track.item_id)
    media = None if item.media_sha256 is None else await session.get(Media, item.media_sha256)
    loop = asyncio.get_running_loop()
    try:
        body = await loop.run_in_executor(parts.readers, exchange.written, track, annotations, media, format)
    except FormatError as error:
        raise Problem(422, "invalid", str(error)) from None
    headers = {"Content-Disposition": f'attachment; filename="annotations-{track.id}{exchange.suffix(format)}"'}
    return Response(body, headers=headers, media_type=exchange.MEDIA_TYPES[format])


@router.get("/annotation-tracks/{track_id}/changes", operation_id="track_changes", responses=errors(404, 410))
async def track_changes(
    track_id: UUID,
    caller: CallerOf,
    session: Session,
    since: Annotated[int, Query(ge=0, description="Revision after which changes are wanted.")] = 0,
) -> ChangeList:
    """Changes of a track after a revision, oldest first: what who was away has missed, and who did what."""
    track = await repository.get(session, caller, track_id)
    found = [ChangeOut.of(each) for each in await repository.changes(session, track, since)]
    revision = found[-1].revision if found else since
    return ChangeList(items=found, revision=revision, is_last=revision == track.revision)


@router.get(
    "/annotation-tracks/{track_id}/stream",
    operation_id="track_stream",
    response_class=Response,
    responses={**sse.STREAM, **errors(404, 410, 429)},
)
async def track_stream(
    track_id: UUID,
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    since: _Since = None,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> Response:
    """Changes of a track as they are made.

    Server-sent events `changes`, each with the changes of `GET …/changes`; the id is the revision, so that a browser
    goes on where it was. `WS /v1/stream` has the same under `track`. Browsers send `?ticket=…` of
    `POST /v1/stream-tickets`.
    """
    looks = follow(parts, caller, track_id, since if last_event_id is None else last_event_id)
    first = await anext(looks)  # raises where there is nothing to follow
    return sse.answer(request, caller, _messages(first, looks))


@router.get("/annotations/{annotation_id}", operation_id="annotation_get", responses={**UNCHANGED, **errors(404)})
async def annotation_get(annotation_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> AnnotationOut:
    """Get an annotation."""
    return tag.shown(AnnotationOut.of(await repository.get_annotation(session, caller, annotation_id)))


@router.patch("/annotations/{annotation_id}", operation_id="annotation_change", responses=errors(403, 404, 412))
async def annotation_change(
    annotation_id: UUID, body: AnnotationChanged, caller: CallerOf, session: Session, tag: TagOf
) -> AnnotationOut:
    """Say something else: what is left out stays, whoever else changes it at the same time."""
    track_id = (await repository.get_annotation(session, caller, annotation_id)).track_id
    async with repository.editing(session, caller, track_id) as edit:
        annotation = await repository.of_track(session, track_id, annotation_id)
        tag.expect(AnnotationOut.of(annotation))
        if said := _said(body):
            await edit.change(annotation, said)
    return tag.changed(AnnotationOut.of(annotation))


@router.delete(
    "/annotations/{annotation_id}", operation_id="annotation_delete", status_code=204, responses=errors(403, 404, 412)
)
async def annotation_delete(annotation_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> None:
    """Remove an annotation."""
    track_id = (await repository.get_annotation(session, caller, annotation_id)).track_id
    async with repository.editing(session, caller, track_id) as edit:
        annotation = await repository.of_track(session, track_id, annotation_id)
        tag.expect(AnnotationOut.of(annotation))
        await edit.remove(annotation)


async def _add(session: Session, caller: Caller, said: Mapping[str, Any]) -> AnnotationTrack:
    await ownership.get(session, caller, Item, said["item_id"], Level.EDITOR)
    track = await repository.add(session, caller.id, said)
    await _note(session, "track.created", track)
    return track


async def _note(session: Session, kind: str, track: AnnotationTrack) -> None:
    item = await session.get_one(Item, track.item_id)
    details = {"item_id": str(item.id), "title": track.title}
    events.note(session, kind, owner_id=item.owner_id, project_id=item.project_id, subject_id=track.id, **details)


def _said(body: AnnotationChanged, without: set[str] | None = None) -> dict[str, Any]:
    """What a change gives; only a value can be taken away by null."""
    given = body.model_dump(exclude_unset=True, exclude=without)
    return {name: value for name, value in given.items() if value is not None or name == "value"}


def _title(result: Result, output: str) -> str:
    return result.processor if output == "result" else f"{result.processor} {output}"


async def _body(request: Request, parts: Platform) -> bytes:
    limit, body = parts.settings.max_labels_bytes, bytearray()
    try:
        async with asyncio.timeout(parts.settings.body_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Problem(413, "too-large", f"a file of labels may have {limit} bytes")
    except TimeoutError:
        raise Problem(408, "too-slow", f"the body took longer than {parts.settings.body_s:g} s") from None
    return bytes(body)


async def _read(
    parts: Platform, data: bytes, format: LabelsFormat, track: AnnotationTrack, tier: str | None
) -> list[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(parts.readers, exchange.read, data, format, track.kind, tier)
    except ValueError as error:  # FormatError among them
        raise Problem(422, "invalid", str(error)[:1000]) from None


async def _messages(first: Look, looks: AsyncGenerator[Look]) -> AsyncGenerator[bytes]:
    yield _message(first)
    async for look in looks:
        yield _message(look)


def _message(look: Look) -> bytes:
    if not look.changes:
        return b""
    revision = look.changes[-1].revision
    found = ChangeList(items=list(look.changes), revision=revision, is_last=revision == look.track.revision)
    return sse.message("changes", revision, found)
