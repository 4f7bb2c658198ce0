"""`…/provenance`, `…/export` and `…/store` of results, `…/table` of tasks."""

import asyncio
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import select

from timeside_api.collections import Selection
from timeside_api.http import ownership
from timeside_api.http.access import CallerOf
from timeside_api.http.demand.schemas import ProcessorId
from timeside_api.http.exports import files, tables
from timeside_api.http.exports.schemas import Origin
from timeside_api.http.media.sending import StoredFile, send
from timeside_api.http.openapi import errors
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.results import repository
from timeside_api.http.results.schemas import manifest_of
from timeside_api.http.results.states import done
from timeside_api.http.selections import repository as selections_seen
from timeside_api.http.tasks import repository as tasks_seen
from timeside_api.models import Item, Result, TaskResult
from timeside_api.views import View
from timeside_core.formats import FORMATS
from timeside_core.store import StoredResult

results = APIRouter(prefix="/results", tags=["exports"])
tasks = APIRouter(prefix="/tasks", tags=["exports"])
selections = APIRouter(prefix="/selections", tags=["exports"])

FormatName: TypeAlias = Literal[
    "hdf5",
    "json",
    "yaml",
    "xml",
    "numpy",
    "zarr",
    "csv",
    "parquet",
    "jams",
    "audacity",
    "textgrid",
    "elan",
    "sonic_visualiser",
]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": {}}},
    **errors(404, 409, 503),
}
_OBJECT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The object.", "content": {"application/octet-stream": {}}},
    206: {"description": "The range that was asked for.", "content": {"application/octet-stream": {}}},
    304: {"description": "The client has it already."},
    **errors(404, 409, 416),
}
_TABLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The table.", "content": {each: {} for each in tables.MEDIA_TYPES.values()}},
    **errors(404),
}


@results.get("/{result_id}/provenance", operation_id="result_provenance", responses=errors(404, 409))
async def result_provenance(result_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> Origin:
    """Where a result comes from."""
    result = done(await repository.get(session, caller, result_id))
    view = await session.get(View, result_id)
    recorded = None if result.mime_type else (await parts.library.read(result, manifest_of))["provenance"]
    row = {name: getattr(result, name) for name in Origin.model_fields if hasattr(result, name)}
    return Origin(**row, result_id=result.id, shown=[] if view is None else view.shown, recorded=recorded)


@results.get(
    "/{result_id}/export",
    operation_id="result_export",
    response_class=Response,
    responses=_FILE,
)
async def result_export(
    result_id: UUID, format: Annotated[FormatName, Query()], caller: CallerOf, parts: PlatformOf
) -> Response:
    """A result in a file of any format.

    Not every format holds every result: Audacity's, Praat's and ELAN's hold events and segments. What is too large to
    be made in memory is refused; its rows and arrays can be had by slice.
    """
    async with parts.database.transaction() as session:
        result = _with_rows(await repository.get(session, caller, result_id))
    limit, folder = parts.settings.max_export_bytes, parts.scratch
    stored = await parts.library.read(result, lambda stored: stored)
    loop = asyncio.get_running_loop()
    file = await loop.run_in_executor(parts.exporters, files.written, stored, format, folder, limit)
    name = f"{result.processor}-{result.id}{FORMATS[format].suffixes[-1]}"
    return files.TemporaryFile(file, name, files.media_type(format), parts.readers)


@results.head("/{result_id}/store/{key:path}", operation_id="result_object_head", responses=_OBJECT)
@results.get(
    "/{result_id}/store/{key:path}",
    operation_id="result_object",
    response_class=Response,
    responses=_OBJECT,
)
async def result_object(
    result_id: UUID,
    key: Annotated[str, Path(max_length=500, description="Key of the Zarr store: `zarr.json`, `result/values/c/0`.")],
    request: Request,
    caller: CallerOf,
    session: Session,
    parts: PlatformOf,
) -> Response:
    """Zarr over HTTP: the arrays of a result, read only, also by range.

    `…/store` is the root of a Zarr v3 store that any reader opens: `values` of each output, `levels`, `times`.
    """
    result = _with_rows(await repository.get(session, caller, result_id))
    facts = await parts.library.read(result, lambda stored: _object(stored, key))
    if facts is None:
        raise not_found(f"object {key!r} of result", result_id)
    file = StoredFile(
        name=f"{result.object_name}/{key}",
        size=facts["size"],
        sha256=facts["sha256"],
        mime_type="application/octet-stream",
        file_name=key.rpartition("/")[2],
    )
    return await send(request, file, parts.store, parts.readers)


@tasks.get(
    "/{task_id}/table",
    operation_id="task_table",
    response_class=Response,
    responses=_TABLE,
)
async def task_table(
    task_id: UUID,
    caller: CallerOf,
    parts: PlatformOf,
    format: Annotated[tables.Format, Query()] = "parquet",
) -> Response:
    """All results of a task as one table, a row for each number.

    Those that are done and have rows; it is sent while it is made. Its columns are those of a result's Parquet or CSV,
    after the hash of the media and the id of the result.
    """
    async with parts.database.transaction() as session:
        await tasks_seen.get(session, caller, task_id)
    of_task = select(Result).join(TaskResult, TaskResult.result_id == Result.id).where(TaskResult.task_id == task_id)
    return tables.table(of_task, format, f"task-{task_id}", parts.database, parts.library, parts.exporters)


@selections.get(
    "/{selection_id}/table",
    operation_id="selection_table",
    response_class=Response,
    responses={**_TABLE, **errors(409)},
)
async def selection_table(
    selection_id: UUID,
    caller: CallerOf,
    parts: PlatformOf,
    format: Annotated[tables.Format, Query()] = "parquet",
    processor: Annotated[list[ProcessorId] | None, Query(max_length=64, description="Those wanted; else all.")] = None,
) -> Response:
    """All results of a selection's items as one table, as that of a task.

    Of the items that the caller may see, whoever had asked for the results.
    """
    async with parts.database.transaction() as session:
        selection = await ownership.get(session, caller, Selection, selection_id)
        items = await selections_seen.items(session, caller, selection)
    wanted = select(Result).where(Result.media_sha256.in_(items.with_only_columns(Item.media_sha256)))
    if processor:
        wanted = wanted.where(Result.processor.in_(processor))
    name = f"selection-{selection_id}"
    return tables.table(wanted, format, name, parts.database, parts.library, parts.exporters)


def _with_rows(result: Result) -> Result:
    if done(result).mime_type:
        raise Problem(409, "no-rows", "it is a file: GET …/file")
    return result


def _object(stored: StoredResult, key: str) -> dict[str, Any] | None:
    return stored.manifest["objects"].get(key)
