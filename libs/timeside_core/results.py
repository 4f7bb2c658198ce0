"""Results: what analyzers found, with the clock, the vocabulary and the provenance that make it readable later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.outputs import Output, Rows
from timeside_core.processor import Processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a result comes from: enough to compute it again and to know when it is the same."""

    processor: str
    """Id of the processor."""
    version: str
    """Version of the processor."""
    parameters: Mapping[str, Any]
    """All parameters, fully defaulted, JSON-like."""
    digest: str
    """SHA-256 of what the result depends on besides the media: see `key.digest`."""
    media: Media
    segment: Segment = field(default_factory=Segment)
    effects: Sequence[Mapping[str, Any]] = ()
    """Identities of the effects upstream, first to last."""
    run_time_s: float = 0.0
    """Time spent in the processor itself, s."""
    created: str = ""
    """When it was computed, ISO 8601, UTC."""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    """Versions of the libraries that took part, by name; `timeside` among them."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else travels with the result, JSON-like, by who wrote it; nothing depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """One output of one analyzer over one media.

    `values` has shape `(rows, …)` for framewise, event and segment outputs, `()` or `(bins,)` for global ones, where
    it is empty (shape `(0,)`) if there was nothing to measure. Values of a label output are indices into
    `output.labels`.
    """

    id: str
    """`mfcc`, `level.max`."""
    output: Output
    values: Array
    stream: Stream
    """Clock of framewise rows."""
    provenance: Provenance
    event_times: Array = field(default_factory=lambda: np.empty(0))
    """Times of events and segments, shape `(rows,)`, s."""
    event_durations: Array = field(default_factory=lambda: np.empty(0))
    """Durations of segments, shape `(rows,)`, s."""
    bins: Array | tuple[str, ...] | None = None
    """Positions (`output.bin_unit`) or names of the columns."""

    def __len__(self) -> int:
        """Count of the rows; 1 for a global value, 0 where there was nothing to measure."""
        if self.output.time_mode == "global":
            return 0 if self.values.shape[:1] == (0,) else 1
        return len(self.values)

    @property
    def times(self) -> Array:
        """Time of each row, shape `(rows,)`, s: the centre of a frame, the instant of an event, a segment's start."""
        if self.output.time_mode == "framewise":
            return self.stream.times(0, len(self))
        if self.output.time_mode == "global":
            return np.full(len(self), self.provenance.segment.first_sample / self.provenance.media.samplerate)
        return self.event_times

    @property
    def durations(self) -> Array:
        """Duration of each row, shape `(rows,)`, s: 0 for an event, that of the media for a global value."""
        if self.output.time_mode == "framewise":
            return np.full(len(self), self.stream.frame_length / self.stream.samplerate)
        if self.output.time_mode == "global":
            return np.full(len(self), self.duration_s)
        return self.event_durations if self.output.time_mode == "segment" else np.zeros(len(self))

    @property
    def duration_s(self) -> float:
        """Length of the analysed signal, s; 0 while unknown."""
        media, segment = self.provenance.media, self.provenance.segment
        samples = segment.samples
        if samples is None:
            samples = max(0, (media.samples or 0) - segment.first_sample)
        return samples / media.samplerate

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each row; empty for values."""
        vocabulary = self.output.labels
        return tuple(vocabulary[int(index)] for index in np.atleast_1d(self.values)) if vocabulary else ()

    def __repr__(self) -> str:
        shape = "×".join(str(size) for size in self.values.shape) or str(self.values)
        return (
            f"<Result {self.id}: {self.output.time_mode} {self.output.data_mode} {shape} {self.output.unit}>".replace(
                " >", ">"
            )
        )

    def _repr_html_(self) -> str:
        from timeside_core import display

        return display.result_html(self)


class Results(Sequence[Result]):
    """Results of a run, in the order of the pipeline: `results["level.max"]`, `results[Level()]`, `results[0]`."""

    def __init__(self, results: Sequence[Result] = ()) -> None:
        self._results = tuple(results)

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    @overload
    def __getitem__(self, index: int | str) -> Result: ...
    @overload
    def __getitem__(self, index: slice | Processor) -> "Results": ...
    def __getitem__(self, index: int | str | slice | Processor) -> "Result | Results":
        """By position, by result id (where only one has it), or all of one processor."""
        if isinstance(index, int):
            return self._results[index]
        if isinstance(index, slice):
            return Results(self._results[index])
        if isinstance(index, Processor):
            wanted = index.parameters()
            return Results(
                [r for r in self if r.provenance.processor == index.id and r.provenance.parameters == wanted]
            )
        found = [result for result in self if result.id == index]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"{len(found)} results are named {index!r}: take them by processor, results[{index}(…)]")
        raise KeyError(f"no result is named {index!r}; there are {', '.join(self.ids()) or 'none'}")

    def __contains__(self, item: object) -> bool:
        return item in self.ids() if isinstance(item, str) else item in self._results

    def ids(self) -> tuple[str, ...]:
        """Ids of the results, in order."""
        return tuple(result.id for result in self)

    def __repr__(self) -> str:
        return f"<Results: {', '.join(self.ids())}>"

    def _repr_html_(self) -> str:
        from timeside_core import display

        return display.results_html(self)


def joined(parts: Sequence[Rows], output: Output) -> Rows:
    """All rows of an output as one."""
    if not parts:
        return Rows(np.empty(0, np.int32 if output.labels else np.float32))
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.durations for part in parts]),
    )
