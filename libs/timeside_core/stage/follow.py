"""Which blocks of a partition count, and up to where it may be committed. Pure: no bus, no clock.

A run is followed from the latest `start` whose attempt is not lower than any that was seen of it. All else of the run
is dropped: blocks of an earlier decoding that woke up again, blocks seen before. A block that is missing ends the run.

An endless run says its start again and again. Who follows it notes these places, and moves on to the last one before
what is needed; who comes anew begins at one.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

from timeside_core.messages import Block, BlockKind, Start

REMEMBERED_RUNS = 4096
"""Runs whose attempt is remembered after their end, so that a late decoder cannot begin them again."""
PLACES = 1024
"""Places of an endless run to begin at that are remembered: an hour and more; nobody needs so much again."""


@dataclass(eq=False, slots=True)
class Followed:
    """A decoding that is followed."""

    run_id: UUID
    attempt: int
    stream_id: int
    first_offset: int
    """Of its start: where whoever has the partition next must begin."""
    next_seq: int = 1
    ended: bool = False
    """Whether its last block was taken."""
    places: deque[tuple[int, int]] = field(default_factory=lambda: deque[tuple[int, int]](maxlen=PLACES))
    """Where its start was said again: the sample that follows, the offset."""

    def need(self, first_sample: int) -> None:
        """No sample before that one is needed again."""
        while self.places and self.places[0][0] <= first_sample:
            _, self.first_offset = self.places.popleft()


class Verdict(NamedTuple):
    """What a block is."""

    action: Literal["begin", "feed", "drop", "note", "gap"]
    """`note`: a start that was said again; `gap`: `followed` lacks a block and is followed no more."""
    followed: Followed | None = None
    replaced: Followed | None = None
    """What was followed of the run until now, at a `begin`."""


_DROP = Verdict("drop")
_LAST = frozenset({BlockKind.END, BlockKind.ERROR, BlockKind.CANCELLED})


class Follower:
    """Follows the runs of one partition."""

    def __init__(self, position: int) -> None:
        self.position = position
        """Offset of the next record to be taken."""
        self._open: dict[UUID, Followed] = {}
        self._pinned: set[Followed] = set()
        """All that is open, and what has ended but is not settled."""
        self._attempts: OrderedDict[UUID, int] = OrderedDict()

    @property
    def watermark(self) -> int:
        """The first offset that may be needed again: that of the oldest start which is not settled."""
        return min((each.first_offset for each in self._pinned), default=self.position)

    @property
    def pinned(self) -> frozenset[Followed]:
        """What is not settled."""
        return frozenset(self._pinned)

    def take(self, offset: int, block: Block) -> Verdict:
        """Take the block at an offset; offsets rise."""
        self.position = offset + 1
        if block.kind is BlockKind.START:
            return self._begin(offset, block)
        followed = self._open.get(block.run_id)
        if followed is None or (block.attempt, block.stream_id) != (followed.attempt, followed.stream_id):
            return _DROP
        if block.seq < followed.next_seq:
            return _DROP
        if block.seq > followed.next_seq:
            del self._open[block.run_id]
            return Verdict("gap", followed)
        followed.next_seq += 1
        if block.kind in _LAST:
            followed.ended = True
            del self._open[block.run_id]
        return Verdict("feed", followed)

    def skip(self, offset: int) -> None:
        """Pass over a record that is no block."""
        self.position = offset + 1

    def settle(self, followed: Followed) -> None:
        """Nothing of it will be needed again: all that came of it is kept elsewhere, or it was given up."""
        self._pinned.discard(followed)
        if self._open.get(followed.run_id) is followed:
            del self._open[followed.run_id]

    def _begin(self, offset: int, block: Block) -> Verdict:
        known = self._attempts.get(block.run_id, 0)
        next_seq = block.body.next_seq if isinstance(block.body, Start) else 1
        if block.attempt < known:
            return _DROP
        if next_seq > 1 and block.attempt == known:
            return self._said_again(offset, block, next_seq)
        self._attempts[block.run_id] = block.attempt
        self._attempts.move_to_end(block.run_id)
        while len(self._attempts) > REMEMBERED_RUNS:
            self._attempts.popitem(last=False)
        replaced = self._open.get(block.run_id)
        followed = Followed(block.run_id, block.attempt, block.stream_id, offset, next_seq)
        self._open[block.run_id] = followed
        self._pinned.add(followed)
        return Verdict("begin", followed, replaced)

    def _said_again(self, offset: int, block: Block, next_seq: int) -> Verdict:
        """A start of what is followed, or was: who gave a run up does not take it up again in the middle."""
        followed = self._open.get(block.run_id)
        if followed is None or (followed.stream_id, followed.next_seq) != (block.stream_id, next_seq):
            return _DROP
        followed.places.append((block.first_sample, offset))
        return Verdict("note", followed)
