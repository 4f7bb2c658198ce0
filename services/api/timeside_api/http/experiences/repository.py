"""SQL of experiences, and what they come to: processors with parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import Experience, ExperienceStep, Preset, PresetRevision
from timeside_api.http.access import Caller
from timeside_api.http.collected import EXPERIENCES, check_seen, lock_links, too_many
from timeside_api.http.experiences.schemas import ExperienceOut, Step
from timeside_api.http.problems import Problem, not_found
from timeside_api.plans import MAX_PROCESSORS

Asked = tuple[str, dict[str, Any]]
"""A processor's id and its parameters."""


async def add(session: AsyncSession, caller: Caller, title: str, description: str, steps: Sequence[Step]) -> Experience:
    """Make an experience."""
    experience = Experience(owner_id=caller.id, title=title, description=description)
    session.add(experience)
    await session.flush()
    await set_steps(session, caller, experience, steps)
    await session.refresh(experience)
    return experience


async def set_steps(session: AsyncSession, caller: Caller, experience: Experience, steps: Sequence[Step]) -> None:
    """Have it consist of things that the caller may see; raises a problem where it would hold itself."""
    presets = {each.preset_id for each in steps if each.preset_id is not None}
    parts = {each.experience_id for each in steps if each.experience_id is not None}
    await check_seen(session, caller, Preset, presets)
    await check_seen(session, caller, Experience, parts)
    await _check_revisions(session, steps)
    if parts:
        await lock_links(session)
    await session.execute(delete(ExperienceStep).where(ExperienceStep.experience_id == experience.id))
    rows = [
        {"experience_id": experience.id, "place": place, "part_id": step.experience_id}
        | step.model_dump(include={"preset_id", "revision"})
        for place, step in enumerate(steps)
    ]
    await session.execute(insert(ExperienceStep), rows)
    await EXPERIENCES.check(session, experience.id)
    await resolve(session, experience)


async def out(session: AsyncSession, experiences: Sequence[Experience]) -> list[ExperienceOut]:
    """Experiences as they go out."""
    steps = await _steps(session, ExperienceStep.experience_id.in_([each.id for each in experiences]))
    return [ExperienceOut.of(each, steps.get(each.id, [])) for each in experiences]


async def remove(session: AsyncSession, experience: Experience) -> None:
    """Remove it; raises a problem where another needs it."""
    await session.refresh(experience, with_for_update=True)  # from now on no step can come to refer to it
    if await session.scalar(select(exists().where(ExperienceStep.part_id == experience.id))):
        raise Problem(409, "in-use", f"experience {experience.id} is a step of another")
    await session.delete(experience)


async def resolve(session: AsyncSession, experience: Experience) -> list[Asked]:
    """What it comes to, in order. Whoever may see it may see what it asks for, also presets that are not theirs."""
    below = EXPERIENCES.below(experience.id)
    ids = select(literal(experience.id)).union(select(below.c.id))
    steps = await _steps(session, ExperienceStep.experience_id.in_(ids))
    presets = {each.preset_id for of in steps.values() for each in of if each.preset_id is not None}
    asked = await presets_asked(session, presets)
    found: list[Asked] = []
    for preset_id, revision in _walk(steps, experience.id):
        found.append(asked[preset_id, revision])
        if len(found) > MAX_PROCESSORS:
            raise too_many(f"experience {experience.id} comes to more than {MAX_PROCESSORS} processors")
    return found


async def presets_asked(session: AsyncSession, ids: Iterable[UUID]) -> dict[tuple[UUID, int | None], Asked]:
    """What presets ask for, by id and revision; the latest is that of no revision, too."""
    of_preset = PresetRevision.preset_id == Preset.id
    rows = await session.execute(
        select(PresetRevision, Preset.revision).join(Preset, of_preset).where(Preset.id.in_(set(ids)))
    )
    found: dict[tuple[UUID, int | None], Asked] = {}
    for each, latest in rows:
        found[each.preset_id, each.revision] = each.processor, each.parameters
        if each.revision == latest:
            found[each.preset_id, None] = each.processor, each.parameters
    return found


def _walk(steps: Mapping[UUID, list[ExperienceStep]], id: UUID) -> Iterator[tuple[UUID, int | None]]:
    """Presets and revisions, those of nested experiences in place of these; each experience has some."""
    ahead = list(reversed(steps[id]))
    while ahead:
        step = ahead.pop()
        if step.preset_id is not None:
            yield step.preset_id, step.revision
        elif step.part_id is not None:
            ahead += reversed(steps[step.part_id])


async def _steps(session: AsyncSession, which: Any) -> dict[UUID, list[ExperienceStep]]:
    """Steps by experience, in order."""
    found: dict[UUID, list[ExperienceStep]] = {}
    wanted = select(ExperienceStep).where(which).order_by(ExperienceStep.experience_id, ExperienceStep.place)
    for each in await session.scalars(wanted):
        found.setdefault(each.experience_id, []).append(each)
    return found


async def _check_revisions(session: AsyncSession, steps: Iterable[Step]) -> None:
    named = {(each.preset_id, each.revision) for each in steps if each.preset_id and each.revision}
    for preset_id, revision in sorted(named):
        if await session.get(PresetRevision, (preset_id, revision)) is None:
            raise not_found(f"revision {revision} of preset", preset_id)
