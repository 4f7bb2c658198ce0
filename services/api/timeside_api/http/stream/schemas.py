"""What goes over `WS /v1/stream`: JSON in text frames, rows in binary frames.

A client says `{"op": "subscribe", "id": "a", "task": "…"}` (or `"result": "…"`, or `"live": "…"`; `"token": "…"` to go
on where it was),
`{"op": "unsubscribe", "id": "a"}` or `{"op": "ping"}`. For each subscription the server says, in this order:

1. `snapshot`: the task, its results and runs as they are now.
2. `ready`: what follows is new, or newer than the token.
3. `run` (an attempt begins: `results` are those that `processor` counts), `opened` (a processor has started: clock and
   columns), binary frames of rows, `progress`, `state`, `closed`, and `gap`: rows that are not to be had here any more,
   but by `GET /v1/results/{id}/data/…` once the result is done (`first_row` null: the last ones of a processor). A new
   attempt begins with row 0 again.
4. `token`, after each batch: to go on with after a disconnect. What came after the last one comes again.
5. `end`: the task has settled, and all rows that could be had were sent.

Of a live session it says the same, without an end for as long as that lasts, from some seconds ago on. `rows` of an
`opened` tells how many rows of each output were there before. Where `opened` comes again without them, row 0 follows.

Of an annotation track (`"track": "…"`, and `"since": 12` to go on after that revision) it says `snapshot` with the
track, `ready`, then `changes` in batches, as `GET /v1/annotation-tracks/{id}/changes` has them, until it is not to be
seen any more. Error `gone` says that not all changes since then are kept: read the annotations anew.

`error` says why there is no (or no more) subscription.

A binary frame is a 48-byte little-endian header and numbers: magic `TSP1`, version u8 (1), dtype u8, header length
u16 (what lies beyond 48 bytes is to be skipped), attempt u32, seq u32, run id 16 bytes, processor u16, output u16,
first row u64, rows u32. `dtype`: 1 float32, 2 float64, 3 int32, 4 float16, 5 uint8, 6 int16, 7 int64; plus 0x10 where
the times of the rows (float64, s) come before the values, 0x30 where times and durations do.
"""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

MAX_MESSAGE_BYTES = 128 << 10
"""Of a client: a token of a task with hundreds of outputs is the longest."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subscribe(_In):
    """Tell me of a task, of a result, of a live session, or of a track of annotations."""

    op: Literal["subscribe"]
    id: Id
    task: UUID | None = None
    result: UUID | None = None
    live: UUID | None = None
    track: UUID | None = None
    token: Annotated[str, StringConstraints(max_length=MAX_MESSAGE_BYTES)] | None = None
    since: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Subscribe":
        if sum(each is not None for each in (self.task, self.result, self.live, self.track)) != 1:
            raise ValueError("names either a task, or a result, or a live session, or a track")
        return self


class Unsubscribe(_In):
    """No more of that."""

    op: Literal["unsubscribe"]
    id: Id


class Ping(_In):
    """A sign of life."""

    op: Literal["ping"]


ClientMessage: TypeAlias = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="op")]
CLIENT_MESSAGE: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(ClientMessage)
