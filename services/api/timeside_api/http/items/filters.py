"""Filters of items: the same as parameters of a list, in selections that find their items, and in tasks and batches."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import ColumnElement, func, literal_column

from timeside_api.http.items.schemas import Details, Tags
from timeside_api.http.problems import invalid
from timeside_api.models import Item

MAX_TEXT = 200
"""Characters of a text that count for its place in a list, and for whether it is the one asked for."""
_DETAILS = "details."
_MAX_DEPTH = 8

Short = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


class ItemFilter(BaseModel):
    """Finds items: those for which all holds that it says."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"artist": "Chopin", "tags": ["piano"], "details": {"year": 1830}}]},
    )

    q: Short | None = None
    """Words among their texts and tags; `"two words"` that stand together, `or`, and `-` before what must not be."""
    title: Short | None = None
    """In capitals or not, as for artist and album."""
    artist: Short | None = None
    album: Short | None = None
    tags: Tags = []
    """All of which they have."""
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    has_media: bool | None = None
    details: Details = {}
    """Which theirs contain."""
    project_id: UUID | None = None
    """Whose they are; else those of one's own."""
    shared: bool = False
    """Others that one may see, too."""

    def conditions(self, owner_id: UUID) -> Iterator[ColumnElement[bool]]:
        """In SQL, of rows that the caller may see; `owner_id` is whose filter it is."""
        if self.project_id is not None:
            yield Item.project_id == self.project_id
        elif not self.shared:
            yield Item.owner_id == owner_id
        if self.q is not None:
            yield Item.search.op("@@")(func.websearch_to_tsquery(literal_column("'simple'"), self.q))
        texts = (self.title, Item.shown_title), (self.artist, Item.shown_artist), (self.album, Item.shown_album)
        for text, column in texts:
            if text is not None:
                yield key(column) == func.lower(text)
        if self.tags:
            yield Item.tags.op("@>")(self.tags)
        if self.details:
            yield Item.details.op("@>")(self.details)
        if self.created_after is not None:
            yield Item.created_at > self.created_after
        if self.created_before is not None:
            yield Item.created_at < self.created_before
        if self.has_media is not None:
            yield Item.media_sha256.is_not(None) if self.has_media else Item.media_sha256.is_(None)

    def stored(self) -> dict[str, Any]:
        """As it is kept: what it says, and no more."""
        return self.model_dump(mode="json", exclude_defaults=True)


def key(column: Any) -> ColumnElement[str]:
    """Of a text of an item, as its index has it."""
    return func.lower(func.left(column, literal_column(str(MAX_TEXT)), type_=column.type), type_=column.type)


def _asked(
    request: Request,
    q: Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT, description=ItemFilter.__doc__)] = None,
    title: Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT)] = None,
    artist: Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT)] = None,
    album: Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT)] = None,
    tag: Annotated[list[str], Query(max_length=64, description="All of which they have.")] = [],  # noqa: B006
    created_after: Annotated[AwareDatetime | None, Query()] = None,
    created_before: Annotated[AwareDatetime | None, Query()] = None,
    has_media: Annotated[bool | None, Query()] = None,
    project_id: Annotated[UUID | None, Query(description="Whose they are; else those of one's own.")] = None,
    shared: Annotated[bool, Query(description="Others that one may see, too.")] = False,
) -> ItemFilter:
    try:
        return ItemFilter(
            q=q,
            title=title,
            artist=artist,
            album=album,
            tags=tag,
            created_after=created_after,
            created_before=created_before,
            has_media=has_media,
            details=_details(request.query_params),
            project_id=project_id,
            shared=shared,
        )
    except ValidationError as error:
        (first, *_) = error.errors()
        raise invalid(str(first["loc"][0]), first["msg"].removeprefix("Value error, ")) from None


FilterOf = Annotated[ItemFilter, Depends(_asked)]


def _details(query: Mapping[str, str]) -> dict[str, Any]:
    """`details.place.city=Lyon`: a path of names, and a JSON value, or else a text."""
    found: dict[str, Any] = {}
    for name, text in query.items():
        if name.startswith(_DETAILS):
            *outer, last = name.removeprefix(_DETAILS).split(".", _MAX_DEPTH)
            inner = found
            for each in outer:
                next: Any = inner.setdefault(each, {})
                if not isinstance(next, dict):
                    raise invalid(name, "is said to be two things at once")
                inner = cast("dict[str, Any]", next)
            inner[last] = _value(name, text)
    return found


def _value(name: str, text: str) -> Any:
    if "\0" in text + name:
        raise invalid(name, "holds the character NUL, which cannot be kept")
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
