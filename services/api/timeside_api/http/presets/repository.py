"""SQL of presets: what they are called changes, what they were is kept."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.collections import ExperienceStep, Preset, PresetRevision
from timeside_api.http.pages import Orders
from timeside_api.http.presets.schemas import PresetOut
from timeside_api.http.problems import Problem, not_found
from timeside_core.key import digest
from timeside_core.processor import Processor

_LATEST = and_(PresetRevision.preset_id == Preset.id, PresetRevision.revision == Preset.revision)


async def add(session: AsyncSession, owner_id: UUID, title: str, description: str, processor: Processor) -> Preset:
    """Make a preset."""
    preset = Preset(owner_id=owner_id, title=title, description=description, revision=1)
    session.add(preset)
    await session.flush()
    session.add(PresetRevision(preset_id=preset.id, revision=1, **_said(processor)))
    await session.flush()
    await session.refresh(preset)
    return preset


async def revise(session: AsyncSession, preset: Preset, processor: Processor) -> dict[str, Any]:
    """Have it be something else from now on; what is then to be said of it. The same again is no new revision."""
    said = _said(processor)
    latest = await revision(session, preset.id, preset.revision)
    if (latest.version, latest.digest) == (said["version"], said["digest"]):
        return {}
    session.add(PresetRevision(preset_id=preset.id, revision=preset.revision + 1, **said))
    await session.flush()
    return {"revision": preset.revision + 1}


async def revision(session: AsyncSession, preset_id: UUID, number: int) -> PresetRevision:
    """What a preset is, or was; raises a problem where there was none of that number."""
    found = await session.get(PresetRevision, (preset_id, number))
    if found is None:
        raise not_found(f"revision {number} of preset", preset_id)
    return found


def revisions(preset_id: UUID) -> Select[PresetRevision]:
    """All that a preset is and was."""
    return select(PresetRevision).where(PresetRevision.preset_id == preset_id)


def of_processor(presets: Select[Preset], processor: str) -> Select[Preset]:
    """Those that are of that processor."""
    return presets.where(exists().where(_LATEST, PresetRevision.processor == processor))


async def out(session: AsyncSession, presets: Sequence[Preset]) -> list[PresetOut]:
    """Presets as they go out."""
    wanted = select(PresetRevision).join(Preset, _LATEST).where(Preset.id.in_([each.id for each in presets]))
    latest = {each.preset_id: each for each in await session.scalars(wanted)}
    return [PresetOut.of(each, latest[each.id]) for each in presets]


async def remove(session: AsyncSession, preset: Preset) -> None:
    """Remove it; raises a problem where an experience needs it."""
    await session.refresh(preset, with_for_update=True)  # from now on no step can come to refer to it
    if await session.scalar(select(exists().where(ExperienceStep.preset_id == preset.id))):
        raise Problem(409, "in-use", f"preset {preset.id} is a step of an experience")
    await session.delete(preset)


def _said(processor: Processor) -> dict[str, Any]:
    return {
        "processor": processor.id,
        "version": processor.version,
        "parameters": processor.parameters(),
        "digest": digest(processor),
    }


REVISION_ORDERS = Orders(PresetRevision.revision, default="-created_at")
