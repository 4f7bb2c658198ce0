"""Presets as they go in and out."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from timeside_api.collections import Preset, PresetRevision
from timeside_api.http.collected import Named, Renamed
from timeside_api.http.tasks.schemas import AskedProcessor


class NewPreset(Named, AskedProcessor):
    """A processor and its parameters, under a name; parameters that are left out have their defaults."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "20 MFCC", "processor": "mfcc", "parameters": {"n_mfcc": 20}}]}
    )


class PresetChange(Renamed):
    """What is to be said of it from now on; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"parameters": {"n_mfcc": 13}}]})

    parameters: dict[str, JsonValue] | None = None
    """All of them: those that are left out have their defaults again."""


class RevisionOut(BaseModel):
    """What a preset is, or was."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    revision: int
    processor: str
    version: str
    """Of the processor, when this was made."""
    parameters: dict[str, Any]
    """All of them, with their defaults."""
    digest: str
    """Of the processor and its parameters: equal ones ask for the same."""
    created_at: datetime


class PresetOut(BaseModel):
    """A processor and its parameters, under a name."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    title: str
    description: str
    revision: int
    """Each change of parameters makes a new one; those before can still be read, and asked for."""
    processor: str
    version: str
    parameters: dict[str, Any]
    digest: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, preset: Preset, revision: PresetRevision) -> "PresetOut":
        """Of rows."""
        said = RevisionOut.model_validate(revision).model_dump()
        return cls(**said | {name: getattr(preset, name) for name in cls.model_fields if hasattr(preset, name)})
