"""Links as they go in and out."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

_EXAMPLE = "/v1/media/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_FILES = r"^/v1/(media/[0-9a-f]{64}|results/[0-9a-f-]{36}/file|items/[0-9a-f-]{36}/transcode/[a-z0-9]{1,8})$"


class NewLink(BaseModel):
    """A link to be made."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [{"path": _EXAMPLE}]}
    )

    path: Annotated[str, StringConstraints(pattern=_FILES)]
    """Of media, of the file of a result, or of a transcode."""


class LinkOut(BaseModel):
    """An address that needs no header."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"url": f"{_EXAMPLE}?link=eyJhbGciOi…", "expires_in": 14400}]},
    )

    url: str
    """Without scheme and host."""
    expires_in: int
    """s; it serves no longer than the credential that it was asked for with."""
