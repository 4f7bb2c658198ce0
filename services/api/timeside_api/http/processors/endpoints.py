"""`/v1/processors`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from timeside_api.http.openapi import errors
from timeside_api.http.problems import not_found
from timeside_api.http.processors import repository
from timeside_api.http.processors.schemas import Kind, ProcessorOut

Id = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
router = APIRouter(prefix="/processors", tags=["processors"])


class ProcessorList(BaseModel):
    """All processors, by id."""

    items: list[ProcessorOut]


@router.get("", operation_id="processors_list")
async def processors_list(
    kind: Annotated[Kind | None, Query()] = None,
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="Part of its id or description.")] = None,
) -> ProcessorList:
    """List all processors."""
    found = await asyncio.to_thread(repository.every)
    if kind is not None:
        found = [each for each in found if each.kind == kind]
    if q is not None:
        found = [each for each in found if q.casefold() in f"{each.id} {each.description}".casefold()]
    return ProcessorList(items=found)


@router.get("/{processor}", operation_id="processor_get", responses=errors(404))
async def processor_get(processor: Id) -> ProcessorOut:
    """Get a processor."""
    return await asyncio.to_thread(repository.get, processor)


@router.get("/{processor}/versions/{version}", operation_id="processor_version", responses=errors(404))
async def processor_version(processor: Id, version: Annotated[str, Path(max_length=64)]) -> ProcessorOut:
    """Get a processor, if it is of that version.

    Results of other versions stay as they are, and say which they are of.
    """
    found = await asyncio.to_thread(repository.get, processor)
    if found.version != version:
        raise not_found(f"version {version} of processor", f"{processor}, which is {found.version},")
    return found
