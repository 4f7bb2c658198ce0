"""`/v1/presets`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import Preset
from timeside_api.http import collected, ownership
from timeside_api.http.access import CallerOf
from timeside_api.http.collected import WantedOf
from timeside_api.http.etags import UNCHANGED, TagOf, lock
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, Turn, turning
from timeside_api.http.platform import Session
from timeside_api.http.presets import repository
from timeside_api.http.presets.schemas import NewPreset, PresetChange, PresetOut, RevisionOut
from timeside_api.http.processors import repository as processors
from timeside_api.sharing import Level

router = APIRouter(prefix="/presets", tags=["presets"])

TurnOf = Annotated[Turn, Depends(turning(collected.orders(Preset)))]


@router.post("", operation_id="preset_create", status_code=201)
async def preset_create(
    body: NewPreset, caller: CallerOf, session: Session, response: Response, tag: TagOf
) -> PresetOut:
    """Make a preset.

    Parameters are checked, and their defaults are written down with them.
    """
    processor = await asyncio.to_thread(processors.build, body.processor, body.parameters, "/processor", "/parameters")
    preset = await repository.add(session, caller.id, body.title, body.description, processor)
    response.headers["Location"] = f"/v1/presets/{preset.id}"
    return tag.changed(await _out(session, preset))


@router.get("", operation_id="presets_list")
async def presets_list(
    caller: CallerOf,
    session: Session,
    turn: TurnOf,
    wanted: WantedOf,
    processor: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = None,
) -> Page[PresetOut]:
    """List presets."""
    presets = wanted.of(caller, Preset)
    if processor is not None:
        presets = repository.of_processor(presets, processor)
    found = await turn.found(session, presets)
    return Page[PresetOut].of(found, await repository.out(session, found.rows))


@router.get("/{preset_id}", operation_id="preset_get", responses=UNCHANGED | errors(404))
async def preset_get(preset_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> PresetOut:
    """Get a preset."""
    return tag.shown(await _out(session, await ownership.get(session, caller, Preset, preset_id)))


@router.patch("/{preset_id}", operation_id="preset_change", responses=errors(403, 404, 412))
async def preset_change(
    preset_id: UUID, body: PresetChange, caller: CallerOf, session: Session, tag: TagOf
) -> PresetOut:
    """Change a preset's name or parameters.

    Other parameters make a new revision. What was asked for before stays as it was; what is asked for from now on, also
    by experiences that do not name a revision, is the new one.
    """
    await lock(session, Preset, preset_id)
    preset = await ownership.get(session, caller, Preset, preset_id, Level.EDITOR)
    shown = await _out(session, preset)
    tag.expect(shown)
    said = body.model_dump(exclude={"parameters"}, exclude_none=True)
    if body.parameters is not None:
        processor = await asyncio.to_thread(processors.build, shown.processor, body.parameters, "", "/parameters")
        said |= await repository.revise(session, preset, processor)
    await collected.change(session, preset, said)
    return tag.changed(await _out(session, preset))


@router.delete("/{preset_id}", operation_id="preset_delete", status_code=204, responses=errors(403, 404, 409, 412))
async def preset_delete(preset_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> None:
    """Remove a preset.

    Results that it was asked for stay. One that is a step of an experience cannot be removed.
    """
    await lock(session, Preset, preset_id)
    preset = await ownership.get(session, caller, Preset, preset_id, Level.OWNER)
    tag.expect(await _out(session, preset))
    await repository.remove(session, preset)


@router.get("/{preset_id}/revisions", operation_id="preset_revisions", responses=errors(404))
async def preset_revisions(
    preset_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(turning(repository.REVISION_ORDERS))],
) -> Page[RevisionOut]:
    """List all that a preset is and was."""
    await ownership.get(session, caller, Preset, preset_id)
    found = await turn.found(session, repository.revisions(preset_id))
    return Page[RevisionOut].of(found, [RevisionOut.model_validate(each) for each in found.rows])


@router.get("/{preset_id}/revisions/{revision}", operation_id="preset_revision", responses=errors(404))
async def preset_revision(
    preset_id: UUID, revision: Annotated[int, Path(ge=1, lt=1 << 31)], caller: CallerOf, session: Session
) -> RevisionOut:
    """Get what a preset is or was."""
    await ownership.get(session, caller, Preset, preset_id)
    return RevisionOut.model_validate(await repository.revision(session, preset_id, revision))


async def _out(session: AsyncSession, preset: Preset) -> PresetOut:
    (shown,) = await repository.out(session, [preset])
    return shown
