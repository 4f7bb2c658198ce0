"""What an analyzer yields: declared outputs, and the rows that fill them.

Four time modes (`global`, `framewise`, `event`, `segment`) times two data modes: a *value* is a number,
a *label* is an index into the vocabulary that its output declares.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from timeside_core.audio import Array
from timeside_core.errors import ProcessorError

TimeMode = Literal["global", "framewise", "event", "segment"]
DataMode = Literal["value", "label"]
Pooling = Literal["summary", "min", "max", "rms"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """One named output of an analyzer."""

    time_mode: ClassVar[TimeMode]

    unit: str = ""
    """Unit of the values: `Hz`, `dBFS`, `s`, `%`; empty for a bare number."""
    description: str = ""
    labels: tuple[str, ...] = ()
    """Vocabulary; where it is not empty the values are indices into it."""
    bins: str = ""
    """What the columns of a row are: `frequency`, `mel band`, `pitch class`; empty for one column."""
    bin_unit: str = ""
    """Unit of the columns' positions (`Hz`)."""

    @property
    def data_mode(self) -> DataMode:
        """`label` where there is a vocabulary, else `value`."""
        return "label" if self.labels else "value"


@dataclass(frozen=True, kw_only=True)
class Value(Output):
    """One value for the whole signal, shape `()` or `(bins,)`."""

    time_mode: ClassVar[TimeMode] = "global"


@dataclass(frozen=True, kw_only=True)
class Framewise(Output):
    """One row per frame, shape `(rows,)` or `(rows, bins…)`, on the clock of the analyzer's stream."""

    time_mode: ClassVar[TimeMode] = "framewise"

    pooling: Pooling = "summary"
    """What stands for several rows where there is no room for each: their minimum, maximum and mean (`summary`), or,
    for what is made to be displayed, one of them, kept as tiles."""


@dataclass(frozen=True, kw_only=True)
class Events(Output):
    """Instants, each with a time and a value or label."""

    time_mode: ClassVar[TimeMode] = "event"


@dataclass(frozen=True, kw_only=True)
class Segments(Output):
    """Intervals, each with a time, a duration and a value or label."""

    time_mode: ClassVar[TimeMode] = "segment"


def _empty() -> Array:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of one output; `len()` counts them.

    `values` has shape `(rows, …)`. `times` and `durations`, shape `(rows,)`, seconds, are set for events
    and segments (events: no durations), empty otherwise.
    """

    values: Array
    times: Array = field(default_factory=_empty)
    durations: Array = field(default_factory=_empty)

    def __len__(self) -> int:
        """Count of the rows."""
        return len(self.values)


def events(times: Array, values: Array | None = None, *, labelled: bool = False) -> Rows:
    """Rows of an event output; without `values` each is label 0, or the number 1."""
    times = np.asarray(times, dtype=float)
    return Rows(_values_for(len(times), values, labelled), times)


def segments(times: Array, durations: Array, values: Array | None = None, *, labelled: bool = False) -> Rows:
    """Rows of a segment output; without `values` each is label 0, or the number 1."""
    times, durations = np.asarray(times, dtype=float), np.asarray(durations, dtype=float)
    return Rows(_values_for(len(times), values, labelled), times, durations)


def _values_for(rows: int, values: Array | None, labelled: bool) -> Array:
    if values is None:
        return np.zeros(rows, dtype=np.int32) if labelled else np.ones(rows, dtype=np.float32)
    return np.asarray(values, dtype=np.int32) if labelled else np.asarray(values)


def as_rows(output: Output, value: object) -> Rows:
    """Rows from what an analyzer returned for `output`: an array, a number or `Rows` themselves."""
    try:
        rows = value if isinstance(value, Rows) else _made_rows(output, value)
    except (ValueError, TypeError) as error:  # from numpy, which says what no array can be made of
        raise ProcessorError(f"what came is no array: {error}") from None
    _check(output, rows)
    return rows


def _made_rows(output: Output, value: object) -> Rows:
    if output.time_mode == "global":
        return Rows(np.asarray(value)[np.newaxis])
    if output.time_mode == "framewise":
        return Rows(np.asarray(value))
    if output.time_mode == "event":
        return events(np.asarray(value), labelled=bool(output.labels))
    raise ProcessorError("a segment output takes segments(times, durations), not a bare array")


def _check(output: Output, rows: Rows) -> None:
    """Raise `ProcessorError` where rows do not fill their output."""
    values, mode = rows.values, output.time_mode
    if values.ndim == 0:
        raise ProcessorError(f"a {mode} output takes rows, not the single number {values}")
    if values.dtype.kind not in "biuf":
        raise ProcessorError(f"values of type {values.dtype} came: real numbers are wanted")
    if mode in ("event", "segment") and rows.times.shape != (len(rows),):
        raise ProcessorError(f"{len(rows)} values came with times of shape {rows.times.shape}: each row has one")
    if mode == "segment" and rows.durations.shape != (len(rows),):
        raise ProcessorError(
            f"{len(rows)} values came with durations of shape {rows.durations.shape}: each row has one"
        )
    if output.labels and len(rows) and not _are_indices(values, len(output.labels)):
        raise ProcessorError(
            f"labels {values!r:.80} came: indices of the {len(output.labels)} declared ones are wanted"
        )


def _are_indices(values: Array, count: int) -> bool:
    return values.dtype.kind in "iu" and int(values.min()) >= 0 and int(values.max()) < count
