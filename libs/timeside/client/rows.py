"""Rows of a result as a client has them, and which of them it had before."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from timeside_core.audio import Array
from timeside_core.messages import PartialRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultRows:
    """Consecutive rows of an output of a result."""

    result_id: str
    output: str
    """`result` where there is but one."""
    first_row: int
    values: Array
    """Shape `(rows, …)`."""
    times: Array
    """Shape `(rows,)`, s: centres of frames, instants of events, starts of segments; empty for a global value."""
    durations: Array = field(default_factory=lambda: np.empty(0))
    """Of segments, s."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def stop_row(self) -> int:
        """One past the last."""
        return self.first_row + len(self)

    def since(self, row: int) -> "ResultRows":
        """Those from a row on."""
        skip = max(0, row - self.first_row)
        timing = {"times": self.times[skip:], "durations": self.durations[skip:]}
        return replace(self, first_row=self.first_row + skip, values=self.values[skip:], **timing) if skip else self


@dataclass(frozen=True, slots=True)
class Opened:
    """What the rows of a processor are, as it said when it started."""

    clock: dict[str, Any]
    outputs: list[dict[str, Any]]

    def rows(self, result_id: str, message: PartialRows) -> ResultRows:
        """Of a message, with their shape and their times."""
        output = self.outputs[message.output]
        values = message.rows.values
        if math.prod(output["columns"]) * len(values) == values.size:  # said before all rows of all outputs were known
            values = values.reshape(len(values), *output["columns"])
        times = message.rows.times
        if not len(times) and output["time_mode"] == "framewise":
            times = times_of(self.clock, message.first_row, len(values))
        return ResultRows(
            result_id=result_id,
            output=output["name"] or "result",
            first_row=message.first_row,
            values=values,
            times=times,
            durations=message.rows.durations,
        )


def times_of(clock: dict[str, Any], first_row: int, rows: int) -> Array:
    """Centres of framewise rows, s."""
    step_s = clock["hop_length"] / clock["samplerate"]
    return clock["start_s"] + np.arange(first_row, first_row + rows) * step_s


class Had:
    """Which rows of an output were had: all below `next`, but for holes."""

    def __init__(self) -> None:
        self.next = 0
        self.holes: list[tuple[int, int]] = []
        """First row, and one past the last."""

    def take(self, rows: ResultRows) -> ResultRows | None:
        """What of these is new; what is missing before them becomes a hole."""
        if rows.stop_row <= self.next:
            return None
        if rows.first_row > self.next:
            self.holes.append((self.next, rows.first_row))
        new = rows.since(self.next)
        self.next = rows.stop_row
        return new

    def missing(self, total: int) -> list[tuple[int, int]]:
        """Spans that were not had of so many rows."""
        return [*self.holes, *([(self.next, total)] if self.next < total else [])]
