"""Media as they go out."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from timeside_api.models import Media


class MediaOut(BaseModel):
    """Bytes, and what is known of them; `GET /v1/media/{sha256}` has the bytes themselves."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    sha256: str
    size: int
    """Bytes."""
    samplerate: int | None
    """Hz; null, as what follows, until somebody has looked at the header."""
    channels: int | None
    samples: int | None
    """Length in samples."""
    duration_s: float | None
    container: str
    codec: str
    bit_depth: int | None
    mime_type: str
    tags: Mapping[str, Any]
    decoded: bool
    """Whether all of it was decoded: its length is what it is, not what the header claims."""

    @classmethod
    def of(cls, media: Media) -> "MediaOut":
        """Of a row."""
        samples, samplerate = media.samples, media.samplerate
        duration_s = None if samples is None or not samplerate else samples / samplerate
        fields = {name: getattr(media, name) for name in cls.model_fields if name != "duration_s"}
        return cls(**fields, duration_s=duration_s)
