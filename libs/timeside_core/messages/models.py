"""The messages that are JSON: commands, results, progress, what opens and closes a stream.

A message names its `kind` and its `version`. An optional field may be added within a version, and is ignored by those
who do not know it; anything else is a new version. Samples are counted in the media's own samplerate.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from timeside_core.audio import Media, Segment, Stream

Lane: TypeAlias = Literal["interactive", "bulk"]
Count: TypeAlias = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
Attempt: TypeAlias = Annotated[int, Field(ge=1, le=(1 << 32) - 1)]
Index: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 16)]
"""Of a processor in the plan, or of an output among those a processor declares: 16 bits in partial rows."""
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Samplerate: TypeAlias = Annotated[int, Field(ge=1, le=(1 << 32) - 1)]
Channels: TypeAlias = Annotated[int, Field(ge=1, lt=1 << 16)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""Of a pool, a stage, a processor, an output, a code of failure."""
OutputName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_-]{0,63})?$")]
"""Empty where a processor has one output."""
Text: TypeAlias = Annotated[
    str, StringConstraints(max_length=4096), AfterValidator(lambda text: text.replace("\0", ""))
]
"""For people. Tags of media hold anything; PostgreSQL holds all of it but NUL."""
Version: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _stays_below(name: str) -> str:
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError("names an object below the store's root: no empty part, no . and no ..")
    return name


ObjectName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.=/-]+$", max_length=1024), AfterValidator(_stays_below)
]
"""Of an object in the store, or a prefix of several."""


class Model(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        use_attribute_docstrings=True,
    )


# What a run is


class StoredMedia(Model):
    """Media in the store."""

    kind: Literal["stored"] = "stored"
    sha256: Sha256
    size: Count
    """Bytes."""


class LiveSource(Model):
    """A stream that is not media yet."""

    kind: Literal["live"] = "live"
    session: UUID
    """What stands for the media's hash, as there are no bytes yet."""
    url: Annotated[str, StringConstraints(max_length=4096)]
    segment_s: Annotated[float, Field(ge=1, le=600)] = 10.0
    """Length of the segments that results are cut into, s."""


class SegmentOfMedia(Model):
    """The part that is decoded."""

    first_sample: Count = 0
    samples: Annotated[int, Field(ge=1, le=(1 << 63) - 1)] | None = None
    """None means to the end."""

    def segment(self) -> Segment:
        """As the core says it."""
        return Segment(self.first_sample, self.samples)


class ProcessorValue(Model):
    """A processor: the value of its parameters."""

    id: Name
    version: Version
    parameters: Mapping[str, JsonValue] = {}
    """All of them, fully defaulted, as `Processor.parameters` gives them."""


class PlannedProcessor(ProcessorValue):
    """What is to run, where, and where its result belongs."""

    effects: Annotated[tuple[ProcessorValue, ...], Field(max_length=64)] = ()
    """Effects upstream of it, first to last."""
    digest: Sha256
    """With the media's SHA-256, the id and the version: the key of the result (`key.digest`)."""
    pool: Name
    """Workers that run it."""
    result_id: UUID
    """The row that waits for the result."""
    outputs: Annotated[tuple[OutputName, ...], Field(max_length=1024)] = ("",)
    """Names of its outputs, in the order that partial rows count them."""


class BlockForm(Model):
    """How a pool is sent its blocks."""

    samples_as: Literal["narrowest", "f32"] = "narrowest"
    """The narrowest that loses nothing is s16 where the media holds integers of 16 bits or less, else f32."""
    mono: bool = False
    """Whether the channels are mixed (to f32) before they are sent, because nothing in the pool reads them apart."""
    block_samples: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    """None is as many as the rule of `block_samples` gives; live sources send 4096, 93 ms."""


class Sink(Model):
    """A pool that reads the blocks of a run."""

    pool: Name
    partition: Annotated[int, Field(ge=0, lt=1 << 16)]
    """Of the pool's topic in the run's lane: chosen by the dispatcher, the same in each attempt."""
    form: BlockForm = BlockForm()


class Plan(Model):
    """What to decode, whom to send it, what to make of it."""

    source: Annotated[StoredMedia | LiveSource, Field(discriminator="kind")]
    segment: SegmentOfMedia = SegmentOfMedia()
    processors: Annotated[tuple[PlannedProcessor, ...], Field(min_length=1, max_length=1024)]
    sinks: Annotated[tuple[Sink, ...], Field(max_length=64)]
    """One per pool that reads blocks; none where one worker does all of the run."""
    partial_rows: bool = True
    """Whether rows are sent as they are completed, because somebody may be watching."""

    @model_validator(mode="after")
    def _each_pool_once(self) -> Self:
        pools = [sink.pool for sink in self.sinks]
        if len(set(pools)) < len(pools):
            raise ValueError(f"pools {pools} are named twice among the sinks")
        if pools and (missing := {each.pool for each in self.processors} - set(pools)):
            raise ValueError(f"pools {sorted(missing)} of processors are not among the sinks {pools}")
        return self


class Run(Model):
    """One decoding of one media for one plan: the unit of work."""

    run_id: UUID
    attempt: Attempt
    """Raised by the dispatcher, and by nobody else, each time it hands the run out."""
    lane: Lane
    plan: Plan
    deadline: AwareDatetime | None = None
    """When nobody waits for it any more; None for live sources."""


class MediaFacts(Model):
    """What is known of a media."""

    samplerate: Samplerate
    channels: Channels
    samples: Count | None = None
    sha256: Sha256 | None = None
    size: Count | None = None
    container: Text = ""
    codec: Text = ""
    bit_depth: Annotated[int, Field(ge=1, le=64)] | None = None
    mime_type: Text = ""
    tags: Annotated[Mapping[Text, Text], Field(max_length=256)] = {}

    @classmethod
    def of(cls, media: Media) -> Self:
        """From what a decoder says."""
        return cls.model_validate(media, from_attributes=True)

    def media(self, uri: str) -> Media:
        """As the core says it."""
        return Media(uri=uri, **self.model_dump())


class Clock(Model):
    """The clock of an output's rows."""

    samplerate: Samplerate
    channels: Channels = 1
    hop_length: Annotated[int, Field(ge=1, le=1 << 32)] = 1
    frame_length: Annotated[int, Field(ge=1, le=1 << 32)] = 1
    start_s: Annotated[float, Field(allow_inf_nan=False)] = 0.0

    @classmethod
    def of(cls, stream: Stream) -> Self:
        """From a step's clock."""
        return cls.model_validate(stream, from_attributes=True)

    def stream(self) -> Stream:
        """As the core says it."""
        return Stream(**self.model_dump())


# Messages


class JsonMessage(Model):
    """A message of its own."""

    version: Literal[1] = 1


class OfRun(JsonMessage):
    """A message about one attempt of a run."""

    run_id: UUID
    attempt: Attempt


class Decode(JsonMessage):
    """Command: decode, and send the blocks to the sinks (or, without sinks, do all of the run)."""

    kind: Literal["decode"] = "decode"
    run: Run


class StoredResultRef(Model):
    """A result in the store."""

    prefix: ObjectName
    manifest_sha256: Sha256


class Draw(OfRun):
    """Command: draw a picture of results in the store."""

    kind: Literal["draw"] = "draw"
    grapher: ProcessorValue
    results: Annotated[tuple[StoredResultRef, ...], Field(min_length=1, max_length=64)]
    width: Annotated[int, Field(ge=1, le=16_384)] = 1024
    height: Annotated[int, Field(ge=1, le=16_384)] = 256
    start_s: Seconds | None = None
    stop_s: Seconds | None = None
    format: Literal["png", "svg"] = "png"
    object: ObjectName
    """Where it is put."""


class Done(OfRun):
    """Result: a processor has written its result, whole and synced."""

    kind: Literal["done"] = "done"
    processor: Index
    media: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$|^[0-9a-f]{64}$")]
    """SHA-256 of the bytes that were decoded; for a live source the UUID of its session."""
    id: Name
    processor_version: Version
    digest: Sha256
    result: StoredResultRef
    size: Count
    """Bytes in the store."""
    samples: Count
    """Samples that were analysed."""
    segment: SegmentOfMedia | None = None
    """Of a live source: the segment of the session that this result, and no other of the run, is for."""
    run_time_s: Seconds = 0.0
    """Time spent in the processor itself."""


class Ended(OfRun):
    """Result: a live source has ended, and a processor has reported all of its segments."""

    kind: Literal["ended"] = "ended"
    processor: Index
    samples: Count
    """That this attempt has heard."""


class Derived(OfRun):
    """Result: a file made of the media: a picture, or audio in another format."""

    kind: Literal["derived"] = "derived"
    processor: Index | None = None
    """None for a picture that was drawn later."""
    object: ObjectName
    sha256: Sha256
    size: Count
    mime_type: Text


class Failed(OfRun):
    """Result: a run, or one processor of it, cannot be finished in this attempt."""

    kind: Literal["failed"] = "failed"
    stage: Name
    processor: Index | None = None
    """None where the run as a whole failed."""
    code: Name
    reason: Text
    at_sample: Count | None = None
    retriable: bool
    """Whether another attempt may succeed."""


class Facts(OfRun):
    """Result: what a decoder found out about the media."""

    kind: Literal["facts"] = "facts"
    facts: MediaFacts
    final: bool
    """Whether all was decoded: length and hash are what they are, not what a header claims."""


class Gap(OfRun):
    """Result: blocks of a run are missing; it is to be handed out again."""

    kind: Literal["gap"] = "gap"
    stage: Name
    seq: Count
    """Of the block that should have come."""
    found_seq: Count


class Lost(JsonMessage):
    """Result: records of a partition are gone that a group had not read; its runs are to be handed out again."""

    kind: Literal["lost"] = "lost"
    topic: Annotated[str, StringConstraints(max_length=249)]
    partition: Annotated[int, Field(ge=0, lt=1 << 16)]
    group: Annotated[str, StringConstraints(max_length=249)]
    offset: Count | None
    """What was wanted; None where the group had no offset."""
    first_offset: Count
    """What is left."""


class Progress(OfRun):
    """Progress of one stage; a sign of life too."""

    kind: Literal["progress"] = "progress"
    stage: Name
    samples_done: Count
    samples: Count | None = None
    """In all, where that is known."""


class State(OfRun):
    """Progress: what PostgreSQL says of a run now."""

    kind: Literal["state"] = "state"
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    reason: Text = ""


class RunRef(Model):
    """An attempt of a run."""

    run_id: UUID
    attempt: Attempt


class Renewal(JsonMessage):
    """A worker's sign of life for the runs it holds, whether or not they get on."""

    kind: Literal["renewal"] = "renewal"
    worker: UUID
    stage: Name
    runs: Annotated[tuple[RunRef, ...], Field(max_length=1024)]


class Cancel(JsonMessage):
    """Control: stop working on a run. PostgreSQL says so too: this is only faster."""

    kind: Literal["cancel"] = "cancel"
    run_id: UUID
    attempt: Attempt | None = None
    """Only up to that attempt; None: on all of them."""


class Stop(JsonMessage):
    """Control: end a live run as if its source had ended, so that what was heard is kept."""

    kind: Literal["stop"] = "stop"
    run_id: UUID


class OpenedOutput(Model):
    """What the rows of an output are."""

    name: OutputName
    columns: Annotated[tuple[Annotated[int, Field(ge=1, le=1 << 20)], ...], Field(max_length=4)] = ()
    """Shape of a row; none for a number."""
    bins: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | tuple[Text, ...] | None = None
    """Positions or names of the columns."""


class Opened(OfRun):
    """Partial: a processor has started; rows or chunks follow, and begin again if it was opened before."""

    kind: Literal["opened"] = "opened"
    processor: Index
    clock: Clock
    outputs: Annotated[tuple[OpenedOutput, ...], Field(max_length=1024)] = ()
    mime_type: Text = ""
    """Of an encoder's chunks."""
    rows: Annotated[tuple[Count, ...], Field(max_length=1024)] = ()
    """Where it is said again, of an endless stream, for who comes later: rows of each output that were sent before."""


class Closed(OfRun):
    """Partial: a processor has sent all of its rows or chunks."""

    kind: Literal["closed"] = "closed"
    processor: Index
    messages: Count
    """How many followed `opened`: the next `seq`."""


class Start(JsonMessage):
    """Body of a start block: all that a consumer of blocks needs to know, for it reads nothing else."""

    kind: Literal["start"] = "start"
    run: Run
    facts: MediaFacts
    """As the header claims; the end knows better."""
    next_seq: Annotated[int, Field(ge=1, lt=1 << 32)] = 1
    """Of the block that follows. An endless stream says its start again every few seconds, so that whoever comes later
    can begin there."""


class End(JsonMessage):
    """Body of an end block."""

    kind: Literal["end"] = "end"
    facts: MediaFacts
    samples: Count
    """That were sent."""
    decoder: ProcessorValue
    warnings: Annotated[tuple[Text, ...], Field(max_length=64)] = ()


class DecodingError(JsonMessage):
    """Body of an error block."""

    kind: Literal["error"] = "error"
    code: Name
    reason: Text
    retriable: bool


class Discontinuity(JsonMessage):
    """Body of a discontinuity block: a live source went on after a break."""

    kind: Literal["discontinuity"] = "discontinuity"
    reason: Text
    missing_samples: Count | None = None
    """None where it is not known how much was missed."""


class DeadLetter(JsonMessage):
    """Bytes that were not the message they should be, and where they lay."""

    kind: Literal["dead_letter"] = "dead_letter"
    topic: Annotated[str, StringConstraints(max_length=249)]
    partition: Annotated[int, Field(ge=0, lt=1 << 16)]
    offset: Count
    timestamp_ms: Count
    key: bytes | None
    headers: Mapping[str, bytes] = {}
    group: Annotated[str, StringConstraints(max_length=249)]
    """Who could not read it."""
    cause: Text
    value: bytes | None
    """None where it is too long to be carried along: it may still lie where it lay."""
    redriven: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    """How often it had been sent again before."""
