"""Uploads as they go in and out."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from timeside_api.http.items.schemas import Line, Prose
from timeside_api.http.problems import invalid
from timeside_api.uploads import Upload, UploadState


class Metadata(BaseModel):
    """What is known of `Upload-Metadata`; what else is there is only given back."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    filename: Annotated[str, StringConstraints(max_length=1000)] = ""
    """The title, where neither `title` nor tags give one."""
    item_id: UUID | None = None
    """Of an item that is to have the media; else one is made."""
    project_id: UUID | None = None
    """That the new item is to be in."""
    title: Line = ""
    artist: Line = ""
    album: Line = ""
    description: Prose = ""

    @classmethod
    def read(cls, said: dict[str, str]) -> "Metadata":
        """What a client has said; raises a problem that names the rule."""
        try:
            return cls.model_validate({name: text for name, text in said.items() if text})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise invalid("Upload-Metadata", f"{first['loc'][0]}: {first['msg']}") from None

    @property
    def said(self) -> dict[str, Any]:
        """Of the item."""
        texts = self.model_dump(include={"title", "artist", "album", "description"})
        name = PurePosixPath(self.filename.replace("\\", "/")).name
        return texts | {"details": {"filename": name} if name else {}}


class UploadOut(BaseModel):
    """An upload, and what has come of it."""

    model_config = ConfigDict(
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "0193a5e0-6d2c-7c39-b9e1-1d4a9f1f9f60",
                    "length": 48_000_044,
                    "received": 16_777_216,
                    "state": "open",
                    "reason": "",
                    "item_id": None,
                    "media_sha256": None,
                    "created_at": "2026-11-24T10:00:00Z",
                    "expires_at": "2026-11-25T10:00:00Z",
                }
            ]
        },
    )

    id: UUID
    length: int
    """Bytes."""
    received: int
    """Bytes that are kept; an open upload that has all of them is being looked at."""
    state: UploadState
    reason: str
    """Why it failed, in words."""
    item_id: UUID | None
    """That has its media, once it is done."""
    media_sha256: str | None
    created_at: datetime
    expires_at: datetime
    """An upload that is not gone on with until then is removed; so is one that is done, which the item survives."""

    @classmethod
    def of(cls, upload: Upload) -> "UploadOut":
        """Of a row."""
        return cls.model_validate(upload)
