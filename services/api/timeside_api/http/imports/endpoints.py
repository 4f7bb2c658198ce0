"""`/v1/imports`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import quotas
from timeside_api.http import ownership
from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.imports import repository
from timeside_api.http.imports.folders import FileRefusedError, allowed
from timeside_api.http.imports.manifest import Line, read
from timeside_api.http.imports.schemas import (
    ImportOut,
    ImportRowOut,
    Mode,
    NewFolderImport,
    NewImport,
    NewProviderImport,
)
from timeside_api.http.media.body import Chunks
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Platform, PlatformOf, Session
from timeside_api.http.problems import Problem, invalid
from timeside_api.imports import Import, ImportKind, ImportRow, RowState, Source
from timeside_api.models import Project
from timeside_api.sharing import Level
from timeside_core.errors import FetchError, UnknownProviderError
from timeside_core.fetch import get_provider
from timeside_core.fetch.urls import vetted_url

router = APIRouter(prefix="/imports", tags=["imports"])

TurnOf = Annotated[Turn, Depends(turning(Orders(Import.id)))]
ROWS = Orders(ImportRow.id, {"place": ImportRow.place}, default="place")
_CSV: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string"}, "example": "url,title\nhttps://example.org/a.flac,A\n"}},
    }
}


@router.post("", operation_id="import_create", status_code=202, responses=errors(403, 404, 409, 429))
async def import_create(
    body: NewImport, caller: CallerOf, session: Session, parts: PlatformOf, response: Response
) -> ImportOut:
    """Import what a URL leads to, or the files of a folder of the server.

    It is done beside the request; a file whose bytes an item of mine has already is joined to that item. Folders are
    for administrators, and only below those that the server's settings name.
    """
    kind, provider = ImportKind(body.kind), None
    if isinstance(body, NewFolderImport):
        line = Line(Source.FOLDER, str(await _allowed(parts, caller, body.folder)), {})
    else:
        _check_url(parts, body.url)
        provider = _known(body.provider) if isinstance(body, NewProviderImport) else None
        line = Line(Source.URL, body.url, {})
    values: dict[str, Any] = {
        "kind": kind,
        "source": line.source,
        "provider": provider,
        "is_in_place": isinstance(body, NewFolderImport) and body.mode == "in_place",
    }
    return await _made(session, parts, caller, response, values | {"project_id": body.project_id}, [line])


@router.post(
    ":csv",
    operation_id="import_csv",
    status_code=202,
    responses=errors(403, 404, 408, 409, 413, 429),
    openapi_extra=_CSV,
)
async def import_csv(
    request: Request,
    caller: CallerOf,
    parts: PlatformOf,
    response: Response,
    project_id: Annotated[UUID | None, Query(description="That the items are to be in.")] = None,
    mode: Annotated[Mode, Query(description="Of files of the server.")] = "copy",
) -> ImportOut:
    """Import what a manifest names.

    The body is CSV in UTF-8. The first line names the columns: `url` (or, for administrators, `path`), and `title`,
    `artist`, `album`, `description`; what others have goes to the details of the item.
    """
    text = await _text(request, parts)
    lines = await asyncio.to_thread(read, text, parts.settings.max_import_rows)
    if any(line.kind is Source.FILE for line in lines):
        _check_admin(caller)
    values: dict[str, Any] = {"kind": ImportKind.CSV, "is_in_place": mode == "in_place", "project_id": project_id}
    async with parts.database.transaction() as session:
        return await _made(session, parts, caller, response, values, lines)


@router.get("", operation_id="imports_list")
async def imports_list(caller: CallerOf, session: Session, turn: TurnOf) -> Page[ImportOut]:
    """List my imports."""
    found = await turn.found(session, select(Import).where(Import.owner_id == caller.id))
    return Page[ImportOut].of(found, await _out(session, found.rows))


@router.get("/{import_id}", operation_id="import_get", responses=errors(404))
async def import_get(import_id: UUID, caller: CallerOf, session: Session) -> ImportOut:
    """Get an import, and how far it is."""
    return (await _out(session, [await ownership.get(session, caller, Import, import_id)]))[0]


@router.get("/{import_id}/rows", operation_id="import_rows", responses=errors(404))
async def import_rows(
    import_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(turning(ROWS))],
    state: Annotated[RowState | None, Query()] = None,
) -> Page[ImportRowOut]:
    """List the rows of an import: what has come of each, and why."""
    await ownership.get(session, caller, Import, import_id)
    wanted = select(ImportRow).where(ImportRow.import_id == import_id)
    found = await turn.found(session, wanted if state is None else wanted.where(ImportRow.state == state))
    return Page[ImportRowOut].of(found, [ImportRowOut.of(each) for each in found.rows])


@router.post("/{import_id}:cancel", operation_id="import_cancel", responses=errors(403, 404))
async def import_cancel(import_id: UUID, caller: CallerOf, session: Session) -> ImportOut:
    """Give up what is not imported yet; items that are there stay."""
    await ownership.get(session, caller, Import, import_id, Level.EDITOR)
    await repository.cancel(session, import_id)
    return (await _out(session, [await ownership.get(session, caller, Import, import_id)]))[0]


async def _made(
    session: AsyncSession,
    parts: Platform,
    caller: Caller,
    response: Response,
    values: dict[str, Any],
    lines: Sequence[Line],
) -> ImportOut:
    if values["project_id"] is not None:
        await ownership.get(session, caller, Project, values["project_id"], Level.EDITOR)
    await quotas.check_items(session, caller.id, parts.settings.quotas)
    made = await repository.add(session, parts.settings, {"owner_id": caller.id, **values}, lines)
    response.headers["Location"] = f"/v1/imports/{made.id}"
    return (await _out(session, [made]))[0]


async def _out(session: AsyncSession, found: Sequence[Import]) -> list[ImportOut]:
    counts = await repository.counts(session, [each.id for each in found])
    return [ImportOut.of(each, counts[each.id]) for each in found]


async def _allowed(parts: Platform, caller: Caller, folder: str) -> str:
    _check_admin(caller)
    try:
        found = await asyncio.to_thread(allowed, folder, parts.settings.import_roots)
    except FileRefusedError as error:
        raise invalid("/folder", str(error)) from None
    if not await asyncio.to_thread(found.is_dir):
        raise invalid("/folder", f"{folder!r} is not a folder")
    return str(found)


def _check_admin(caller: Caller) -> None:
    if not caller.is_admin:
        raise Problem(403, "forbidden", "only administrators may import files of the server")


def _check_url(parts: Platform, url: str) -> None:
    """Refuse at once what would be refused anyway."""
    try:
        vetted_url(url, parts.settings.import_fetch)
    except FetchError as error:
        raise invalid("/url", str(error)) from None


def _known(provider: str) -> str:
    try:
        return get_provider(provider).id
    except UnknownProviderError as error:
        raise invalid("/provider", str(error)) from None


async def _text(request: Request, parts: Platform) -> str:
    chunks, body = Chunks(request, parts.settings, parts.settings.max_manifest_bytes), bytearray()
    while (chunk := await chunks.next()) is not None:
        body += chunk
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise invalid("/", "must be UTF-8") from None
