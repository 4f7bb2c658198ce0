"""Annotation tracks, annotations and their changes as they go in and out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from timeside_api.annotations import Annotation, AnnotationChange, AnnotationTrack, ChangeKind, TrackKind

MAX_BATCH = 1000
MAX_LABELS = 1000
DAY_S = 86_400

Label = Annotated[str, StringConstraints(max_length=1000)]
Prose = Annotated[str, StringConstraints(max_length=20_000)]
Language = Annotated[str, StringConstraints(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$", max_length=64)]
Colour = Annotated[str, StringConstraints(pattern=r"^(#[0-9a-fA-F]{6})?$")]
Time = Annotated[float, Field(ge=0, le=366 * DAY_S, allow_inf_nan=False, description="From the beginning, s.")]
Value = Annotated[float, Field(allow_inf_nan=False)]
LabelsFormat = Literal["audacity", "textgrid", "jams", "csv", "elan", "sonic_visualiser"]


def _once(labels: list[str]) -> list[str]:
    return list(dict.fromkeys(labels))


Vocabulary = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]],
    Field(max_length=MAX_LABELS),
    AfterValidator(_once),
]


def _in(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [example]})


class NewTrack(BaseModel):
    """A track to be made."""

    model_config = _in({"item_id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70", "kind": "regions", "title": "Sections"})

    item_id: UUID
    kind: TrackKind = TrackKind.REGIONS
    title: Label = ""
    description: Prose = ""
    language: Language = ""
    """Of labels and texts (BCP 47): `fr`, `pt-BR`."""
    colour: Colour = ""
    """`#rrggbb`."""
    vocabulary: Vocabulary = []
    """Labels that there are; where there are none any will do."""
    overlapping: bool = True
    """Whether regions are meant to overlap: for those who draw them."""


class TrackChange(BaseModel):
    """What is to be said of a track from now on; what is left out stays."""

    model_config = _in({"title": "Verses and choruses", "vocabulary": ["verse", "chorus"]})

    title: Label | None = None
    description: Prose | None = None
    language: Language | None = None
    colour: Colour | None = None
    vocabulary: Vocabulary | None = None
    """Annotations that have another label keep it."""
    overlapping: bool | None = None


class TrackOut(BaseModel):
    """Annotations of an item that belong together."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    item_id: UUID
    author_id: UUID
    kind: TrackKind
    title: str
    description: str
    language: str
    colour: str
    vocabulary: list[str]
    overlapping: bool
    revision: int
    """Number of its last change."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, track: AnnotationTrack) -> "TrackOut":
        """Of a row."""
        return cls.model_validate(track)


class NewAnnotation(BaseModel):
    """Something to be said of a moment or of a stretch of time."""

    model_config = _in({"start_s": 12.5, "stop_s": 31.25, "label": "chorus"})

    start_s: Time
    stop_s: Time | None = None
    """Null in a track of points, and only there."""
    label: Label = ""
    text: Prose = ""
    value: Value | None = None


class AnnotationChanged(BaseModel):
    """What is to be said from now on; what is left out stays."""

    model_config = _in({"stop_s": 32.0})

    start_s: Time | None = None
    stop_s: Time | None = None
    label: Label | None = None
    text: Prose | None = None
    value: Value | None = None
    """Null takes it away."""


class ChangeOfBatch(AnnotationChanged):
    """One of several changes."""

    id: UUID
    version: int | None = None
    """Refuse all of it where another version is there."""


class RemovalOfBatch(BaseModel):
    """One of several removals."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    id: UUID
    version: int | None = None
    """Refuse all of it where another version is there."""


class Batch(BaseModel):
    """Several changes of a track, of which all are made or none."""

    model_config = _in({"add": [{"start_s": 1.5, "stop_s": 2, "label": "verse"}], "replace": False})

    replace: bool = False
    """First remove all that there are."""
    remove: Annotated[list[RemovalOfBatch], Field(max_length=MAX_BATCH)] = []
    change: Annotated[list[ChangeOfBatch], Field(max_length=MAX_BATCH)] = []
    add: Annotated[list[NewAnnotation], Field(max_length=MAX_BATCH)] = []


class AnnotationOut(BaseModel):
    """Something said of a moment or of a stretch of time."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    track_id: UUID
    start_s: float
    stop_s: float | None
    label: str
    text: str
    value: float | None
    author_id: UUID
    """Who made it."""
    version: int
    """Revision of the track that changed it last."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, annotation: Annotation) -> "AnnotationOut":
        """Of a row."""
        return cls.model_validate(annotation)


class Changed(BaseModel):
    """What came of changes to a track."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    revision: int
    """Of the track, now."""
    added: list[AnnotationOut] = []
    changed: list[AnnotationOut] = []
    removed: int = 0
    """Count of those that are gone."""


class Read(BaseModel):
    """What was read from a file."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    revision: int
    """Of the track, now."""
    added: int
    """Count of the annotations that were made."""
    removed: int
    """Count of those that were there before."""


class NewTrackOfResult(BaseModel):
    """Events or segments of a result that are to become annotations, which people can change."""

    model_config = _in({"item_id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70", "output": "result"})

    item_id: UUID
    """Whose annotations they are to be; it has the media of the result."""
    result_id: UUID
    output: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] = "result"
    title: Label = ""
    """Where there is none, the name of the output."""


class ChangeOut(BaseModel):
    """One change of a track."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    revision: int
    kind: ChangeKind
    """`track`: the track itself was changed."""
    annotation_id: UUID | None
    fields: dict[str, Any]
    """What the annotation (or the track) says since then; of one that was removed, what it said."""
    author_id: UUID
    """Who made the change."""
    created_at: datetime

    @classmethod
    def of(cls, change: AnnotationChange) -> "ChangeOut":
        """Of a row."""
        return cls.model_validate(change)


class ChangeList(BaseModel):
    """Changes in their order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ChangeOut]
    revision: int
    """Of the last of these: ask on from there."""
    is_last: bool
    """Whether there are no more at present."""
