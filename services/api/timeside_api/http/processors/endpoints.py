"""`/v1/processors`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from timeside_api.http.openapi import errors
from timeside_api.http.processors import repository
from timeside_api.http.processors.schemas import ProcessorOut

router = APIRouter(prefix="/processors", tags=["processors"])


class ProcessorList(BaseModel):
    """All processors, by id."""

    items: list[ProcessorOut]


@router.get("", operation_id="processors_list")
async def processors_list() -> ProcessorList:
    """List all processors."""
    return ProcessorList(items=await asyncio.to_thread(repository.every))


@router.get("/{processor}", operation_id="processor_get", responses=errors(404))
async def processor_get(processor: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$")]) -> ProcessorOut:
    """Get a processor."""
    return await asyncio.to_thread(repository.get, processor)
