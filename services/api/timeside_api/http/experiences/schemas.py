"""Experiences as they go in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from timeside_api.collections import Experience, ExperienceStep
from timeside_api.http.collected import Named, Renamed
from timeside_api.plans import MAX_PROCESSORS

_ID = "01930000-0000-7000-8000-000000000000"


class Step(BaseModel):
    """A preset, or all steps of another experience."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    preset_id: UUID | None = None
    revision: Annotated[int | None, Field(ge=1, lt=1 << 31)] = None
    """Of the preset; without, what it is when it is asked for."""
    experience_id: UUID | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Step":
        if (self.preset_id is None) == (self.experience_id is None):
            raise ValueError("has either a preset_id or an experience_id")
        if self.revision is not None and self.preset_id is None:
            raise ValueError("only presets have revisions")
        return self

    @classmethod
    def of(cls, step: ExperienceStep) -> "Step":
        """Of a row."""
        return cls(preset_id=step.preset_id, revision=step.revision, experience_id=step.part_id)


Steps = Annotated[list[Step], Field(min_length=1, max_length=MAX_PROCESSORS)]


class NewExperience(Named):
    """What is to be asked together, in this order: an effect acts on all that come after it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Rhythm", "steps": [{"preset_id": _ID}]}]})

    steps: Steps


class ExperienceChange(Renamed):
    """What is to be said of it from now on; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Rhythm and pitch"}]})

    steps: Steps | None = None
    """All of them."""


class ExperienceOut(BaseModel):
    """What is asked of media together."""

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    title: str
    description: str
    steps: list[Step]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, experience: Experience, steps: list[ExperienceStep]) -> "ExperienceOut":
        """Of rows."""
        said = {name: getattr(experience, name) for name in cls.model_fields if name != "steps"}
        return cls(**said, steps=[Step.of(each) for each in steps])


class StepProcessor(BaseModel):
    """A processor and its parameters."""

    processor: str
    parameters: dict[str, Any]


class StepProcessors(BaseModel):
    """A pipeline: an effect acts on all that come after it."""

    items: list[StepProcessor]
