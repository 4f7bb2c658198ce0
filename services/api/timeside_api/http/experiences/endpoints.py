"""`/v1/experiences`."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import Experience
from timeside_api.http import collected, ownership
from timeside_api.http.access import CallerOf
from timeside_api.http.collected import WantedOf
from timeside_api.http.etags import UNCHANGED, TagOf, lock
from timeside_api.http.experiences import files, repository
from timeside_api.http.experiences.schemas import (
    ExperienceChange,
    ExperienceOut,
    NewExperience,
    Step,
    StepProcessor,
    StepProcessors,
)
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, Turn, turning
from timeside_api.http.platform import Session
from timeside_api.http.presets import repository as presets
from timeside_api.http.processors import repository as processors
from timeside_api.sharing import Level

router = APIRouter(prefix="/experiences", tags=["experiences"])

TurnOf = Annotated[Turn, Depends(turning(collected.orders(Experience)))]
_YAML: dict[str, Any] = {"requestBody": {"required": True, "content": {files.MEDIA_TYPE: {"schema": {}}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {files.MEDIA_TYPE: {}}},
    **errors(404),
}


@router.post("", operation_id="experience_create", status_code=201, responses=errors(404, 409))
async def experience_create(
    body: NewExperience, caller: CallerOf, session: Session, response: Response, tag: TagOf
) -> ExperienceOut:
    """Make an experience."""
    experience = await repository.add(session, caller, body.title, body.description, body.steps)
    response.headers["Location"] = f"/v1/experiences/{experience.id}"
    return tag.changed(await _out(session, experience))


@router.post(
    ":import", operation_id="experience_import", status_code=201, responses=errors(404, 409), openapi_extra=_YAML
)
async def experience_import(
    request: Request,
    caller: CallerOf,
    session: Session,
    response: Response,
    tag: TagOf,
    title: Annotated[str, Query(max_length=1000)] = "",
) -> ExperienceOut:
    """Make an experience of a file of presets.

    The body is YAML (or JSON), as the command line takes it: a list of processors with their parameters. A preset is
    made of each.
    """
    entries = files.read(await request.body())
    built = await asyncio.to_thread(processors.built, [(each.processor, each.parameters) for each in entries])
    made = [await presets.add(session, caller.id, each.id, "", each) for each in built]
    steps = [Step(preset_id=each.id) for each in made]
    experience = await repository.add(session, caller, title, "", steps)
    response.headers["Location"] = f"/v1/experiences/{experience.id}"
    return tag.changed(await _out(session, experience))


@router.get("", operation_id="experiences_list")
async def experiences_list(caller: CallerOf, session: Session, turn: TurnOf, wanted: WantedOf) -> Page[ExperienceOut]:
    """List experiences."""
    found = await turn.found(session, wanted.of(caller, Experience))
    return Page[ExperienceOut].of(found, await repository.out(session, found.rows))


@router.get("/{experience_id}", operation_id="experience_get", responses=UNCHANGED | errors(404))
async def experience_get(experience_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> ExperienceOut:
    """Get an experience."""
    return tag.shown(await _out(session, await ownership.get(session, caller, Experience, experience_id)))


@router.get("/{experience_id}/processors", operation_id="experience_processors", responses=errors(404))
async def experience_processors(experience_id: UUID, caller: CallerOf, session: Session) -> StepProcessors:
    """Get what an experience comes to: processors with all their parameters."""
    experience = await ownership.get(session, caller, Experience, experience_id)
    asked = await repository.resolve(session, experience)
    return StepProcessors(items=[StepProcessor(processor=id, parameters=values) for id, values in asked])


@router.get("/{experience_id}/file", operation_id="experience_file", response_class=Response, responses=_FILE)
async def experience_file(experience_id: UUID, caller: CallerOf, session: Session) -> Response:
    """Get an experience as a file of presets, for the command line."""
    experience = await ownership.get(session, caller, Experience, experience_id)
    return Response(files.written(await repository.resolve(session, experience)), media_type=files.MEDIA_TYPE)


@router.patch("/{experience_id}", operation_id="experience_change", responses=errors(403, 404, 409, 412))
async def experience_change(
    experience_id: UUID, body: ExperienceChange, caller: CallerOf, session: Session, tag: TagOf
) -> ExperienceOut:
    """Change an experience's name or steps.

    No experience can hold itself, by whatever way round.
    """
    await lock(session, Experience, experience_id)
    experience = await ownership.get(session, caller, Experience, experience_id, Level.EDITOR)
    tag.expect(await _out(session, experience))
    if body.steps is not None:
        await repository.set_steps(session, caller, experience, body.steps)
    await collected.change(session, experience, body.model_dump(exclude={"steps"}, exclude_none=True))
    return tag.changed(await _out(session, experience))


@router.delete(
    "/{experience_id}", operation_id="experience_delete", status_code=204, responses=errors(403, 404, 409, 412)
)
async def experience_delete(experience_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> None:
    """Remove an experience.

    Results that it was asked for stay, and its presets. One that is a step of another cannot be removed.
    """
    await lock(session, Experience, experience_id)
    experience = await ownership.get(session, caller, Experience, experience_id, Level.OWNER)
    tag.expect(await _out(session, experience))
    await repository.remove(session, experience)


async def _out(session: AsyncSession, experience: Experience) -> ExperienceOut:
    (shown,) = await repository.out(session, [experience])
    return shown
