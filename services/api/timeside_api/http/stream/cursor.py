"""How far a client is in the rows of some runs: what it needs, what it has, what is missing; and that as a token."""

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from timeside_core.messages import Closed, Opened, PartialRows
from timeside_core.outputs import Rows


class Gap(NamedTuple):
    """Rows that are not to be had from the bus any more."""

    processor: int
    output: int
    first_row: int
    rows: int


@dataclass
class _Reached:
    attempt: int
    next_rows: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    """By processor and output."""
    next_seqs: dict[int, int] = field(default_factory=dict[int, int])
    """By processor."""
    closed: set[int] = field(default_factory=set[int])
    """Processors that have said all."""
    heard_ms: dict[str, int] = field(default_factory=dict[str, int])
    """When the last message that was told was sent, by topic: Unix time."""
    clocks: dict[int, float] = field(default_factory=dict[int, float])
    """Of a live source: begin of the clock that rows are counted by, by processor."""
    opened: set[int] = field(default_factory=set[int])
    """Processors of which that was heard; not in tokens: who comes back waits to hear it again."""


class Cursor:
    """The next row wanted of each output of each run; rows of earlier attempts are not wanted any more."""

    def __init__(self) -> None:
        self._runs: dict[UUID, _Reached] = {}

    @classmethod
    def of(cls, token: str) -> "Cursor":
        """From a token; raises `ValueError`."""
        cursor = cls()
        try:
            said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token))
            for run_id, (attempt, rows, seqs, closed, heard, clocks) in said.items():
                next_rows = {(int(processor), int(output)): int(next) for processor, output, next in rows}
                next_seqs = {int(processor): int(next) for processor, next in seqs}
                heard_ms = {str(topic): int(ms) for topic, ms in heard}
                cursor._runs[UUID(run_id)] = _Reached(
                    int(attempt),
                    next_rows,
                    next_seqs,
                    {int(processor) for processor in closed},
                    heard_ms,
                    {int(processor): float(start_s) for processor, start_s in clocks},
                )
        except (ValueError, TypeError, AttributeError, binascii.Error) as error:
            raise ValueError("the token is none that we gave") from error
        return cursor

    def token(self) -> str:
        """To go on with."""
        said = {
            str(run_id): [
                reached.attempt,
                [[*place, next] for place, next in sorted(reached.next_rows.items())],
                sorted(reached.next_seqs.items()),
                sorted(reached.closed),
                sorted(reached.heard_ms.items()),
                sorted(reached.clocks.items()),
            ]
            for run_id, reached in self._runs.items()
        }
        return base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode()

    @property
    def has_begun(self) -> bool:
        """Whether something was told before."""
        return bool(self._runs)

    def heard_ms(self, run_id: UUID, attempt: int, topics: Collection[str]) -> int:
        """Time until which all was told that these topics have of an attempt; 0 where that is not known."""
        if not self.counts(run_id, attempt):
            return 0
        return min(self._runs[run_id].heard_ms.get(topic, 0) for topic in topics)

    def hear(self, run_id: UUID, topic: str, at_ms: int) -> None:
        """A message of the attempt that is followed was told."""
        self._runs[run_id].heard_ms[topic] = at_ms

    def follow(self, run_id: UUID, attempt: int) -> None:
        """From now on that attempt counts; a later one than before begins with row 0 again."""
        reached = self._runs.get(run_id)
        if reached is None or attempt > reached.attempt:
            self._runs[run_id] = _Reached(attempt)

    def counts(self, run_id: UUID, attempt: int) -> bool:
        """Whether that is the attempt that is followed."""
        return run_id in self._runs and self._runs[run_id].attempt == attempt

    def is_past(self, run_id: UUID, attempt: int) -> bool:
        """Whether a later attempt is followed."""
        return run_id in self._runs and self._runs[run_id].attempt > attempt

    def open(self, message: Opened) -> bool:
        """Note what rows of a live source come; whether that is news. Clocks of those who take over are later ones."""
        reached, processor, start_s = self._runs[message.run_id], message.processor, message.clock.start_s
        known_s = reached.clocks.get(processor)
        if known_s is not None and start_s < known_s:
            return False
        is_news = start_s != known_s or processor not in reached.opened
        if start_s != known_s:
            reached.next_rows = {at: row for at, row in reached.next_rows.items() if at[0] != processor}
            reached.next_rows |= {(processor, output): row for output, row in enumerate(message.rows)}
        reached.opened.add(processor)
        reached.clocks[processor] = start_s
        return is_news

    def is_open(self, run_id: UUID, processor: int) -> bool:
        """Whether it was heard what rows of a live source come."""
        return processor in self._runs[run_id].opened

    def close(self, message: Closed) -> bool:
        """Note that a processor has said all; whether the last of it was missed, and is not to be had any more."""
        reached = self._runs[message.run_id]
        reached.closed.add(message.processor)
        return reached.next_seqs.get(message.processor, 0) < message.messages

    def is_closed(self, run_id: UUID, processor: int) -> bool:
        """Whether a processor has said all."""
        return run_id in self._runs and processor in self._runs[run_id].closed

    def take(self, message: PartialRows) -> tuple[Gap | None, PartialRows | None]:
        """What is missing before these rows, and what of them is new."""
        reached = self._runs[message.run_id]
        reached.next_seqs[message.processor] = max(message.seq + 1, reached.next_seqs.get(message.processor, 0))
        rows = reached.next_rows
        place = message.processor, message.output
        wanted, stop = rows.get(place, 0), message.first_row + len(message.rows)
        if stop <= wanted:
            return None, None
        rows[place] = stop
        if message.first_row > wanted:
            return Gap(*place, wanted, message.first_row - wanted), message
        return None, _from(message, wanted)


def _from(message: PartialRows, row: int) -> PartialRows:
    skip = row - message.first_row
    if not skip:
        return message
    rows = message.rows
    return PartialRows(
        run_id=message.run_id,
        attempt=message.attempt,
        seq=message.seq,
        processor=message.processor,
        output=message.output,
        first_row=row,
        rows=Rows(rows.values[skip:], rows.times[skip:], rows.durations[skip:]),
    )
