"""Imports as they go in and out."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_api.imports import Import, ImportKind, ImportRow, ImportState, RowState, Source
from timeside_core.fetch import shown

Mode: TypeAlias = Literal["copy", "in_place"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=8000)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern="^/")]


class _New(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    project_id: UUID | None = None
    """That the items are to be in."""


class NewUrlImport(_New):
    """What a URL leads to: a file, or what the provider that knows it finds there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "url", "url": "https://example.org/a.flac"}]})

    kind: Literal["url"]
    url: Url


class NewProviderImport(_New):
    """What a certain provider finds at a URL."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "provider", "provider": "archive", "url": "https://archive.example/details/1"}]
        }
    )

    kind: Literal["provider"]
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    url: Url


class NewFolderImport(_New):
    """All media files below a folder of the server; for administrators."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "folder", "folder": "/srv/music/1977", "mode": "in_place"}]}
    )

    kind: Literal["folder"]
    folder: Path
    mode: Mode = "copy"
    """`in_place` reads the files where they lie, then and always; one that changes later is refused. Workers must see
    the same paths."""


NewImport: TypeAlias = Annotated[
    NewUrlImport | NewProviderImport | NewFolderImport, Field(discriminator="kind", description="What is to come.")
]


class RowCounts(BaseModel):
    """Of rows, by state."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    expanded: int = 0


class ImportOut(BaseModel):
    """An import, and how far it is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    kind: ImportKind
    source: str
    """URL (without its secrets) or folder."""
    provider: str | None
    mode: Mode
    state: ImportState
    """`partial`: some of its rows could be had."""
    rows: RowCounts
    """Those that are `expanded` stood for others, which are counted too."""
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, row: Import, counts: dict[str, int]) -> "ImportOut":
        """Of rows."""
        same = {name: getattr(row, name) for name in cls.model_fields if name not in ("source", "mode", "rows")}
        mode: Mode = "in_place" if row.is_in_place else "copy"
        return cls(**same, source=_shown(row.source), mode=mode, rows=RowCounts(**counts))


class ImportRowOut(BaseModel):
    """One source, and what has come of it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    place: int
    """From 0, as in the manifest."""
    kind: Source
    source: str
    """URL (without its secrets) or path."""
    said: dict[str, Any]
    state: RowState
    reason: str
    """Why it failed, or is tried again, in words."""
    is_joined: bool
    """Whether an item with the same bytes was there already."""
    item_id: UUID | None
    attempt: int
    settled_at: datetime | None

    @classmethod
    def of(cls, row: ImportRow) -> "ImportRowOut":
        """Of a row."""
        same = {name: getattr(row, name) for name in cls.model_fields if name != "source"}
        return cls(**same, source=_shown(row.source))


def _shown(source: str) -> str:
    return source if source.startswith("/") else shown(source)[1:-1]
