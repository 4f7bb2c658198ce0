"""Projects, their members and things as they go in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_api.models import Project
from timeside_api.sharing import Level

MAX_THINGS = 1000

Line = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Prose = Annotated[str, StringConstraints(max_length=20_000)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")]


def _in(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [example]})


class NewProject(BaseModel):
    """A project to be made."""

    model_config = _in({"name": "Songs of the coast"})

    name: Line
    description: Prose = ""


class ProjectChange(BaseModel):
    """What is to be said of it from now on; what is left out stays."""

    model_config = _in({"description": "Recorded from 1952 to 1961"})

    name: Line | None = None
    description: Prose | None = None


class ProjectOut(BaseModel):
    """What several people work on."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    """Who made it: may do everything."""
    name: str
    description: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectOut":
        """Of a row."""
        return cls.model_validate(project)


class MemberLevel(BaseModel):
    """What a member may do."""

    model_config = _in({"level": "editor"})

    level: Level


class MemberOut(BaseModel):
    """Somebody in a project."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    account_id: UUID
    name: str
    display_name: str
    level: Level
    """`viewer`: reads, and asks for results; `editor`: changes; `owner`: removes, and says who else is in it."""
    since: datetime


class MemberList(BaseModel):
    """Those in a project besides who made it, by name."""

    items: list[MemberOut]


class Thing(BaseModel):
    """Something that is owned."""

    model_config = _in({"kind": "item", "id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70"})

    kind: Kind
    """`item`, `selection`, `preset`, `experience` …"""
    id: UUID


class Things(BaseModel):
    """Things, all of which are dealt with or none."""

    model_config = _in({"things": [{"kind": "item", "id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70"}]})

    things: Annotated[list[Thing], Field(min_length=1, max_length=MAX_THINGS)]
