"""Live sessions as they go in and out."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_api.http.tasks.schemas import AskedProcessor
from timeside_api.live import LiveAttempt, LiveSegment, LiveSession
from timeside_api.models import Media, Result, ResultState, Run, RunState
from timeside_api.plans import MAX_PROCESSORS
from timeside_core.fetch import masked


class LiveState(StrEnum):
    """How a session is."""

    WAITING = "waiting"
    """For its turn, for a decoder, or to be begun again."""
    LISTENING = "listening"
    STOPPING = "stopping"
    """It was told to stop, and is told to the end."""
    ENDED = "ended"
    """What was heard is analysed."""
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def of(cls, live: LiveSession, run: Run) -> "LiveState":
        """That of its run, in a listener's words."""
        over = {RunState.DONE: cls.ENDED, RunState.FAILED: cls.FAILED, RunState.CANCELLED: cls.CANCELLED}
        if run.state in over:
            return over[run.state]
        if live.stopped_at is not None:
            return cls.STOPPING
        return cls.LISTENING if run.state is RunState.RUNNING else cls.WAITING


class NewLive(BaseModel):
    """What is to be listened to. Processors are a pipeline: an effect acts on all that come after it."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "source": "https://radio.example.org/stream.mp3",
                    "processors": [{"processor": "loudness_itu"}, {"processor": "spectral_centroid"}],
                    "segment_s": 10,
                    "title": "Radio",
                }
            ]
        },
    )

    source: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """`http://…` or `https://…` of a stream: MP3, AAC, Ogg, or another that is read without seeking."""
    processors: Annotated[list[AskedProcessor], Field(min_length=1, max_length=MAX_PROCESSORS)]
    """Analyzers of rows; pictures, tiles and files need all of a media."""
    segment_s: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 10.0
    """Length of the segments that results are cut into, s: so late they are, and so much a cancel drops."""
    title: Annotated[str, StringConstraints(max_length=1000)] = ""


class LiveOut(BaseModel):
    """A source that is, or was, listened to."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    title: str
    source: str
    """Without what may be secret in it."""
    segment_s: float
    state: LiveState
    task_id: UUID
    """Its task: of `WS /v1/stream`, and what is shown of its processors as results."""
    run_id: UUID
    attempt: int
    """How often it was begun to be listened to."""
    causes: list[str]
    """Why it had to be begun again, in words; the last ones, oldest first."""
    samplerate: int | None
    """Of the session's clock; null until something was heard, as are the next ones."""
    channels: int | None
    codec: str
    samples: int | None
    """Where its clock is, or has stopped."""
    heard_at: datetime | None
    """When the first sample came."""
    stopped_at: datetime | None
    """When it was told to stop."""
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, live: LiveSession, run: Run, media: Media) -> "LiveOut":
        """Of rows."""
        return cls(**_facts(live, run, media))


class LiveResultOut(BaseModel):
    """What one processor makes of a session: a result that is pending while it lasts, and its segments."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    result_id: UUID
    processor: str
    version: str
    parameters: dict[str, Any]
    effects: list[Any]
    state: ResultState
    code: str
    reason: str
    """Why it failed, in words."""
    segments: int
    samples: int
    """Of all of them."""

    @classmethod
    def of(cls, result: Result, segments: int, samples: int) -> "LiveResultOut":
        """Of a row, and the sums over its segments."""
        names = ("processor", "version", "parameters", "effects", "state", "code", "reason")
        facts = {name: getattr(result, name) for name in names}
        return cls(result_id=result.id, segments=segments, samples=samples, **facts)


class AttemptOut(BaseModel):
    """Where listening began (again), on the session's clock: between two attempts nothing was heard."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int
    first_sample: int
    created_at: datetime


class LiveWithTracks(LiveOut):
    """A session, its tracks in the order in which they were asked for, and its latest attempts."""

    tracks: list[LiveResultOut]
    attempts: list[AttemptOut]

    @classmethod
    def whole(
        cls,
        live: LiveSession,
        run: Run,
        media: Media,
        tracks: Sequence[tuple[Result, int, int]],
        attempts: Sequence[LiveAttempt],
    ) -> "LiveWithTracks":
        """Of rows."""
        return cls(
            **_facts(live, run, media),
            tracks=[LiveResultOut.of(*each) for each in tracks],
            attempts=[AttemptOut.model_validate(each) for each in attempts],
        )


class SegmentOut(BaseModel):
    """A segment of a track: a result; `GET /v1/results/{id}/data/…` has its rows."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    result_id: UUID
    track_id: UUID
    """The `result_id` of its track."""
    processor: str
    outputs: list[str]
    attempt: int | None
    first_sample: int
    """On the session's clock."""
    samples: int
    start_s: float
    stop_s: float
    settled_at: datetime | None

    @classmethod
    def of(cls, segment: LiveSegment, result: Result, samplerate: int) -> "SegmentOut":
        """Of rows."""
        stop = segment.first_sample + segment.samples
        return cls(
            result_id=segment.result_id,
            track_id=segment.track_id,
            processor=result.processor,
            outputs=result.outputs,
            attempt=result.attempt,
            first_sample=segment.first_sample,
            samples=segment.samples,
            start_s=segment.first_sample / samplerate,
            stop_s=stop / samplerate,
            settled_at=result.settled_at,
        )


def _facts(live: LiveSession, run: Run, media: Media) -> dict[str, Any]:
    names = (
        *("id", "owner_id", "project_id", "title", "segment_s", "task_id", "run_id"),
        *("heard_at", "stopped_at", "created_at"),
    )
    samples = media.samples if media.decoded else run.first_sample + int(run.progress.get("decoder", 0))
    return {
        **{name: getattr(live, name) for name in names},
        "source": masked(live.source),
        "state": LiveState.of(live, run),
        "attempt": run.attempt,
        "causes": run.causes,
        "samplerate": media.samplerate,
        "channels": media.channels,
        "codec": media.codec,
        "samples": None if media.samplerate is None else samples,
        "ended_at": run.finished_at,
    }
