"""Items as they go in and out."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from timeside_api.http.media.schemas import MediaOut
from timeside_api.models import Item, Media

MAX_DETAILS_BYTES = 16 << 10
MAX_TAGS = 64

Line = Annotated[str, StringConstraints(max_length=1000)]
Prose = Annotated[str, StringConstraints(max_length=20_000)]


def _short(details: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(details)) > MAX_DETAILS_BYTES:
        raise ValueError(f"must be shorter than {MAX_DETAILS_BYTES} bytes of JSON")
    return details


def _once(tags: list[str]) -> list[str]:
    return sorted(set(tags))


Details = Annotated[dict[str, JsonValue], AfterValidator(_short)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_once)]


class NewItem(BaseModel):
    """What is said of a source; texts left empty are those of the tags in its media."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"title": "Étude", "artist": "Chopin", "tags": ["piano"]}]},
    )

    title: Line = ""
    artist: Line = ""
    album: Line = ""
    description: Prose = ""
    details: Details = {}
    """Anything else."""
    tags: Tags = []


class ItemChange(BaseModel):
    """What is to be said of it from now on; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"tags": ["piano", "live"]}]})

    title: Line | None = None
    artist: Line | None = None
    album: Line | None = None
    description: Prose | None = None
    details: Details | None = None
    tags: Tags | None = None


class ItemOut(BaseModel):
    """A source."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    title: str
    """Where its owner gave none, that of the media's tags; the same holds for artist and album."""
    artist: str
    album: str
    description: str
    details: dict[str, Any]
    tags: list[str]
    """In alphabetical order."""
    media: MediaOut | None
    """Null until something was uploaded."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, pair: tuple[Item, Media | None]) -> "ItemOut":
        """Of rows."""
        item, media = pair
        row: dict[str, Any] = {name: getattr(item, name) for name in cls.model_fields if name != "media"}
        row |= {name: getattr(item, f"shown_{name}") for name in ("title", "artist", "album")}
        return cls.model_validate(row | {"media": None if media is None else MediaOut.of(media)})
