"""The tables, and the states of what is in them.

A run, the work:

    queued ──(1)──▶ claimed ──(2)──▶ dispatched ──(3)──▶ running ──(4)──▶ done | failed
      ▲                │                 │                  │
      └──────(5)───────┴─────────────────┴──────────────────┘      (6) any of these ──▶ cancelled

1. The dispatcher will hand it out: `attempt` is raised, and what is said of earlier attempts counts no more.
2. Its command was sent, and lies in the log at `command_offset`.
3. A worker has it: it accepted the command, or gave a sign of life. From now on its lease runs.
4. All of its results are settled: `done` if any of them is done, else `failed`.
5. It will be handed out again: its lease ran out, a worker failed or gave it back, blocks of it were lost, or the
   dispatcher died before it had sent the command.
6. Nobody wants its results any more.

What workers say counts while a run is claimed, dispatched or running, and only of its present attempt.

A result, what is computed once however many ask: `pending` ──▶ `done` | `failed` | `cancelled`. At most one of a key is
pending or done; the others are history. A task, what somebody asked for: `running` until all of its results are
settled, then `done`, `partial` (some are done) or `failed` (none is); `cancelled` when its owner says so.

A live session has a run that lasts as long as its source, and a result for each processor that is pending as long; what
is made meanwhile is in `live`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from timeside_core.ids import uuid7


class RunState(StrEnum):
    """Of a run: see the module."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunKind(StrEnum):
    """What a run has workers do."""

    DECODE = "decode"
    """Decode the media, and make of it what is planned."""
    DRAW = "draw"
    """Draw a picture of results that are in the store."""


class ResultState(StrEnum):
    """Of a result: see the module."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskState(StrEnum):
    """Of a task: see the module."""

    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Base(DeclarativeBase):
    """Declares tables; constraints are named, so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        str: Text(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }


def _values(states: type[StrEnum]) -> list[str]:
    return [state.value for state in states]


def _state(states: type[StrEnum], name: str = "state") -> Enum:
    """A text with a check: states can be added by a migration that locks nothing for long."""
    return Enum(
        states,
        native_enum=False,
        create_constraint=True,
        name=name,
        length=16,
        values_callable=_values,
    )


Id: TypeAlias = Annotated[UUID, mapped_column(primary_key=True, default=uuid7)]
Created: TypeAlias = Annotated[datetime, mapped_column(server_default=func.now())]
OwnerRef: TypeAlias = Annotated[UUID, mapped_column(ForeignKey("owner.id"))]
MediaRef: TypeAlias = Annotated[str, mapped_column(ForeignKey("media.sha256"))]
LaneRef: TypeAlias = Annotated[str, mapped_column(ForeignKey("lane.name"))]
Big: TypeAlias = Annotated[int, mapped_column(BigInteger)]
Small: TypeAlias = Annotated[int, mapped_column(SmallInteger)]

_SHOWN = ("title", "artist", "album")
_NONE = text("'{}'")
_QUEUED = text("state = 'queued'")
_HELD = text("state IN ('claimed', 'dispatched', 'running')")


class Owner(Base):
    """Somebody who owns things, and whose share of the machines `weight` is."""

    __tablename__ = "owner"
    __table_args__ = (CheckConstraint("weight > 0", name="weight"),)

    id: Mapped[Id]
    weight: Mapped[float] = mapped_column(server_default="1")
    created_at: Mapped[Created]


class Project(Base):
    """Things that several people work on; who they are, and what each may do, is in `sharing`."""

    __tablename__ = "project"
    __table_args__ = (Index(None, "owner_id"),)

    id: Mapped[Id]
    owner_id: Mapped[OwnerRef]
    """Who made it: may do everything, as long as it is there."""
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class Owned:
    """What somebody owns, and may let the members of a project have."""

    __tablename__: str
    id: Mapped[Id]
    owner_id: Mapped[OwnerRef]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id", ondelete="SET NULL"), index=True)


class Media(Base):
    """Bytes in the store, once each, or a live session (see `live`), and what decoders found them to be."""

    __tablename__ = "media"
    __table_args__ = (CheckConstraint("length(sha256) = 64 OR size = 0", name="key"),)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    """Of the bytes; of a live session, which has none, the id, which is shorter."""
    size: Mapped[Big]
    samplerate: Mapped[Big | None]
    channels: Mapped[int | None]
    samples: Mapped[Big | None]
    container: Mapped[str] = mapped_column(server_default="")
    codec: Mapped[str] = mapped_column(server_default="")
    bit_depth: Mapped[Small | None]
    mime_type: Mapped[str] = mapped_column(server_default="")
    tags: Mapped[dict[str, Any]] = mapped_column(server_default=_NONE)
    decoded: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether all of it was decoded: its length is what it is, not what a header claims."""
    created_at: Mapped[Created]


class Item(Owned, Base):
    """A source with its metadata; what it sounds like is its media."""

    __tablename__ = "item"
    __table_args__ = (
        Index(None, "owner_id", "id"),
        Index(None, "owner_id", "updated_at", "id"),
        *(Index(f"item_{name}_idx", "owner_id", text(f"lower(left(shown_{name}, 200))"), "id") for name in _SHOWN),
        Index("item_search_idx", "search", postgresql_using="gin"),
        Index("item_tags_idx", "tags", postgresql_using="gin"),
        Index("item_details_idx", "details", postgresql_using="gin", postgresql_ops={"details": "jsonb_path_ops"}),
        Index(None, "media_sha256"),
    )

    media_sha256: Mapped[str | None] = mapped_column(ForeignKey("media.sha256"))
    title: Mapped[str] = mapped_column(server_default="")
    artist: Mapped[str] = mapped_column(server_default="")
    album: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    details: Mapped[dict[str, Any]] = mapped_column(server_default=_NONE)
    """What else its owner says of it: any JSON object."""
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=_NONE)
    """In alphabetical order, each once."""
    shown_title: Mapped[str] = mapped_column(server_default="")
    """What its owner says, else what the media's tags say; this and the next three are kept by triggers."""
    shown_artist: Mapped[str] = mapped_column(server_default="")
    shown_album: Mapped[str] = mapped_column(server_default="")
    search: Mapped[Any] = mapped_column(TSVECTOR(), server_default="", deferred=True)
    """Words of all its texts and tags."""
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class LaneOfRuns(Base):
    """A lane, and how far its clock of fairness has come."""

    __tablename__ = "lane"

    name: Mapped[str] = mapped_column(primary_key=True)
    clock_s: Mapped[float] = mapped_column(server_default="0")
    """Audio seconds per weight at which the run that was handed out last began."""


class Share(Base):
    """What an owner had of a lane: audio seconds per weight, on the lane's clock."""

    __tablename__ = "share"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("owner.id"), primary_key=True)
    lane: Mapped[str] = mapped_column(ForeignKey("lane.name"), primary_key=True)
    served_s: Mapped[float] = mapped_column(server_default="0")


class Task(Owned, Base):
    """What somebody asked for, and how much of it is settled; its project is that of what it is about."""

    __tablename__ = "task"
    __table_args__ = (
        UniqueConstraint("owner_id", "idempotency_key"),
        Index(None, "owner_id", "id"),
        Index("task_open_idx", "owner_id", postgresql_where=text("state = 'running'")),
    )

    item_id: Mapped[UUID | None] = mapped_column(ForeignKey("item.id", ondelete="SET NULL"))
    selection_id: Mapped[UUID | None] = mapped_column(ForeignKey("selection.id", ondelete="SET NULL"))
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Which items it is about; else the item or the selection, unless that was removed."""
    experience_id: Mapped[UUID | None] = mapped_column(ForeignKey("experience.id", ondelete="SET NULL"))
    items: Mapped[int] = mapped_column(server_default="1")
    """Count of the items that it was about when it was made."""
    skipped: Mapped[int] = mapped_column(server_default="0")
    """Of these, those that had no media."""
    ahead: Mapped[int] = mapped_column(server_default="0")
    """Count of media that it has not asked anything of yet: it is not settled before that is none."""
    lane: Mapped[LaneRef]
    priority: Mapped[Small]
    state: Mapped[TaskState] = mapped_column(_state(TaskState), server_default=TaskState.RUNNING)
    results: Mapped[int]
    """Count of its results; those that are neither done nor failed nor cancelled are pending."""
    done: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    cancelled: Mapped[int] = mapped_column(server_default="0")
    idempotency_key: Mapped[str | None]
    request_sha256: Mapped[str]
    """Of what was asked: the same key with another request is a mistake."""
    created_at: Mapped[Created]
    settled_at: Mapped[datetime | None]


class Run(Base):
    """One decoding of a media (or a drawing of what is known of it) for the results that wait for it."""

    __tablename__ = "run"
    __table_args__ = (
        Index("run_queue_idx", "lane", "owner_id", text("priority DESC"), "id", postgresql_where=_QUEUED),
        Index("run_held_idx", "lane", "partition", postgresql_where=_HELD),
        Index(None, "media_sha256"),
    )

    id: Mapped[Id]
    owner_id: Mapped[OwnerRef]
    """Whose share it takes: that of who asked first."""
    media_sha256: Mapped[MediaRef]
    kind: Mapped[RunKind] = mapped_column(_state(RunKind, "kind"), server_default=RunKind.DECODE)
    first_sample: Mapped[Big]
    samples: Mapped[Big | None]
    """Length of the segment; None means to the end."""
    lane: Mapped[LaneRef]
    priority: Mapped[Small]
    """Among the runs of its owner; higher goes first."""
    cost_s: Mapped[float]
    """Audio seconds, as far as they are known."""
    on_demand: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether somebody waits for it who made no task: it goes on also where all tasks that want it are given up."""
    state: Mapped[RunState] = mapped_column(_state(RunState), server_default=RunState.QUEUED)
    attempt: Mapped[Big] = mapped_column(server_default="0")
    """The fencing token: what is said of an earlier attempt does not count."""
    strikes: Mapped[Small] = mapped_column(server_default="0")
    """Attempts that ended badly while a worker had it; after two it runs alone."""
    partition: Mapped[Small | None]
    """The same in each attempt."""
    planned: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default=_NONE)
    """Results that this attempt is to make, in the order of its plan."""
    causes: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=_NONE)
    """Why it had to be handed out again, in words, oldest first."""
    progress: Mapped[dict[str, Any]] = mapped_column(server_default=_NONE)
    """Samples done, by stage."""
    not_before: Mapped[Created]
    """A run that failed waits a little."""
    command_partition: Mapped[Small | None]
    command_offset: Mapped[Big | None]
    """Where its command lies: a group that has committed past it has accepted it."""
    lease_until: Mapped[datetime | None]
    """Set while a worker has it: without a sign of life until then it is handed out again."""
    traceparent: Mapped[str | None] = mapped_column(Text())
    """The trace of the request that asked first."""
    created_at: Mapped[Created]
    dispatched_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Result(Base):
    """What one processor makes of one media, known by its key; the run that makes it owns it until it is settled."""

    __tablename__ = "result"
    __table_args__ = (
        Index(
            "result_key_idx",
            *("media_sha256", "processor", "version", "digest"),
            unique=True,
            postgresql_where=text("state IN ('pending', 'done')"),
        ),
        Index("result_pending_idx", "run_id", postgresql_where=text("state = 'pending'")),
        Index("result_run_idx", "run_id"),
    )

    id: Mapped[Id]
    media_sha256: Mapped[MediaRef]
    processor: Mapped[str]
    version: Mapped[str]
    digest: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    effects: Mapped[list[Any]]
    """Effects upstream, first to last: id, version and parameters of each."""
    pool: Mapped[str]
    """Workers that run it."""
    outputs: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", deferrable=True, initially="DEFERRED"))
    state: Mapped[ResultState] = mapped_column(_state(ResultState), server_default=ResultState.PENDING)
    attempt: Mapped[Big | None]
    """Attempt of its run that made it."""
    object_name: Mapped[str | None]
    """Prefix of its arrays in the store, or name of its file."""
    object_sha256: Mapped[str | None]
    """Of the manifest of its arrays, or of its file."""
    mime_type: Mapped[str] = mapped_column(server_default="")
    """Of its file; empty for arrays."""
    size: Mapped[Big | None]
    samples: Mapped[Big | None]
    """That were analysed."""
    run_time_s: Mapped[float | None]
    code: Mapped[str] = mapped_column(server_default="")
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it failed, in words."""
    created_at: Mapped[Created]
    settled_at: Mapped[datetime | None]


class TaskResult(Base):
    """A result that a task waits for, whoever asked for it first."""

    __tablename__ = "task_result"
    __table_args__ = (Index(None, "result_id"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    result_id: Mapped[UUID] = mapped_column(ForeignKey("result.id"), primary_key=True)
    place: Mapped[Small]
    """In the order of what was asked."""


class Outbox(Base):
    """Messages that are to be sent because of what was committed with them; sent at least once, then removed."""

    __tablename__ = "outbox"

    id: Mapped[Big] = mapped_column(Identity(always=True), primary_key=True)
    topic: Mapped[str]
    key: Mapped[bytes]
    value: Mapped[bytes]
    created_at: Mapped[Created]


class RecorderOffset(Base):
    """How far the bus was recorded: moved in the transaction that records."""

    __tablename__ = "recorder_offset"

    bus: Mapped[str] = mapped_column(primary_key=True)
    """A bus in memory begins anew with each process, and has a name of its own each time."""
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[Big]
    updated_at: Mapped[Created]
