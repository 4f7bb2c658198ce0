"""Tags: what a file says of itself."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

MOST = 200
"""Tags in a file."""
LONGEST = 10_000
"""Characters in a tag; longer ones are cut."""


class Tags(Mapping[str, str]):
    """Tags by lower-case name, in order of names; a value, hashable."""

    def __init__(self, tags: Mapping[str, str] | None = None) -> None:
        written = {name.lower(): _written(text) for name, text in (tags or {}).items() if _writable(name)}
        self._tags = {name: text for name, text in sorted(written.items()) if text}

    def __getitem__(self, name: str) -> str:
        return self._tags[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)

    def __hash__(self) -> int:
        return hash(tuple(self._tags.items()))

    def __repr__(self) -> str:
        return repr(self._tags)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(dict[str, str])
        return core_schema.no_info_plain_validator_function(_checked, serialization=write)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "string"}}


def _writable(name: str) -> bool:
    """Whether Vorbis comments, the strictest, can hold a name; what encoded another file is not said of this one."""
    return bool(name) and name.isascii() and name.isprintable() and "=" not in name and name.lower() != "encoder"


def _written(text: str) -> str:
    """Up to a NUL or `LONGEST`, what has no UTF-8 replaced."""
    return text.partition("\0")[0][:LONGEST].encode(errors="replace").decode()


def _checked(given: Any) -> Tags:
    if not isinstance(given, Mapping):
        raise ValueError("tags are given by name")
    named = cast("Mapping[Any, Any]", given)
    if wrong := [name for name, text in named.items() if not (isinstance(name, str) and isinstance(text, str))]:
        raise ValueError(f"tag {wrong[0]!r} is not text")
    if len(named) > MOST:
        raise ValueError(f"{len(named)} tags are more than {MOST}")
    return Tags(named)


Metadata: TypeAlias = Annotated[Mapping[str, str], GetPydanticSchema(lambda _, handler: handler(Tags))]
"""Tags, given as any mapping.

`title artist album date genre comment track copyright` are written in every format. FLAC, Opus, MP3 and WebM hold any
name; the others leave out what they have no place for. Names that no format can hold (not printable ASCII, or with
=), empty texts and `encoder` are left out.
"""
