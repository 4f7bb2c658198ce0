"""Graphers of any analyzer's result: curves, images, events, segments and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from timeside_core import Analyzer, Result, Results
from timeside_core.errors import ParameterError
from timeside_core.outputs import Output
from timeside_grapher.axis import ValueAxis
from timeside_grapher.chart import Chart, default_analyzer, result_of, results_of
from timeside_grapher.color import PALETTE, TRANSPARENT, Color, MapName
from timeside_grapher.curves import curve_lanes, image_lane
from timeside_grapher.figure import Lane
from timeside_grapher.look import LARGEST, Levels, Look
from timeside_grapher.marks import event_lane, labelled_frames_lane, segment_lane, value_lane
from timeside_grapher.panel import Panel
from timeside_grapher.scene import Shape
from timeside_grapher.spectrogram import HIGH_DB, LOW_DB, frequency_axis, in_ratios, is_tiles, spectrogram_lane
from timeside_grapher.waveform import AmplitudeAxis, WaveformLane, channels_of

Background: TypeAlias = Literal["none", "waveform", "spectrogram"]

Bound: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]

BEHIND_COLOR = "#00000026"
"""Colour of a waveform that lies behind something."""
BEHIND_OPACITY = 0.45
"""Opacity of a spectrogram that lies behind something."""


def _analyzer(default: str) -> Any:
    """A parameter that is any analyzer; the default is imported when an instance is made."""
    schema: dict[str, Any] = {"additionalProperties": True, "required": ["id"]}
    return Field(default_factory=lambda: default_analyzer(default), json_schema_extra=schema)


class ResultGrapher(Chart, id="result_grapher", version="2.0"):
    """The result of any analyzer, where asked for over the waveform or the spectrogram."""

    analyzer: Analyzer = _analyzer("level")
    """Analyzer whose result is drawn."""
    output: Annotated[str, Field(max_length=200)] = ""
    """Which of the analyzer's outputs; the first (of values for the whole signal: all) where not given."""
    background: Background = "none"
    """What to draw behind."""
    color: Color = PALETTE[0]
    """Colour of curves, and of marks without a label."""
    colors: MapName = "viridis"
    """Colours of images, from low to high."""
    levels: Levels = "auto"
    """Whether the colours of an image stand for values as they are, or for decibels of an amplitude or a power."""
    minimum: Bound | None = None
    """Value at the bottom, or of the first colour; the smallest of the whole result where not given."""
    maximum: Bound | None = None
    """Value at the top, or of the last colour; the largest of the whole result where not given."""

    @model_validator(mode="after")
    def _minimum_below_maximum(self) -> Self:
        if self.minimum is not None and self.maximum is not None and not self.minimum < self.maximum:
            raise ValueError(f"minimum={self.minimum:g} must be less than maximum={self.maximum:g}")
        return self

    @property
    def input(self) -> tuple[Analyzer, ...]:
        """The analyzer, and the one of what lies behind."""
        if self.background == "none":
            return (self.analyzer,)
        return (self.analyzer, default_analyzer(f"{self.background}_analyzer"))

    def default_title(self) -> str:
        """Name and unit of what is drawn."""
        name, output = self._chosen()
        if output.time_mode == "global" and not self.output:
            return self.analyzer.id
        title = f"{self.analyzer.id}.{name}" if name else self.analyzer.id
        return f"{title} ({output.unit})" if output.unit else title

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One, or one per channel."""
        name, _ = self._chosen()
        result = result_of(results, self.analyzer, name)
        look = Look(
            color=self.color,
            colors=self.colors,
            levels=self.levels,
            minimum=self.minimum,
            maximum=self.maximum,
            foreground=self.foreground_color,
            font_px=self.font_px,
            named=self.axes,
        )
        if result.output.time_mode == "global":
            every = [each for each in results_of(results, self.analyzer) if each.output.time_mode == "global"]
            return [value_lane([result] if self.output else every, look)]
        scale, behind = self._behind(results, result)
        lanes = self._timed_lanes(result, look, scale)
        return [Layered.over(behind, lane) for lane in lanes] if behind else lanes

    def _chosen(self) -> tuple[str, Output]:
        """The output that is drawn, by its name."""
        declared = self.analyzer.declared()
        name = self.output or next(iter(declared))
        if name not in declared:
            known = ", ".join(map(repr, declared))
            raise ParameterError(f"{self.id}: output={name!r} is not one of {self.analyzer.id!r}; it has {known}")
        return name, declared[name]

    def _timed_lanes(self, result: Result, look: Look, scale: ValueAxis | None) -> list[Lane]:
        mode = result.output.time_mode
        if mode == "event":
            return [event_lane(result, look)]
        if mode == "segment":
            return [segment_lane(result, look)]
        if result.output.labels:
            return [labelled_frames_lane(result, look)]
        if result.values.ndim == 1 or result.output.bins == "channel":
            return curve_lanes(result, look, scale)
        return [self._tiles_lane(result) if is_tiles(result) else image_lane(result, look)]

    def _tiles_lane(self, result: Result) -> Lane:
        scale = frequency_axis(result, log=in_ratios(np.asarray(result.bins)))
        low_db = LOW_DB if self.minimum is None else self.minimum
        high_db = HIGH_DB if self.maximum is None else self.maximum
        return spectrogram_lane(result, scale, low_db=low_db, high_db=high_db, colors=self.colors)

    def _behind(self, results: Results, result: Result) -> tuple[ValueAxis | None, Sequence[Lane]]:
        """What lies behind, and its axis where it serves for the result as well."""
        if self.background == "none":
            return None, ()
        if self.background == "waveform":
            return None, [
                WaveformLane(
                    channel=channel,
                    axis=AmplitudeAxis(),
                    color=BEHIND_COLOR,
                    rms_color=TRANSPARENT,
                    middle_color=TRANSPARENT,
                )
                for channel in channels_of(results, self.input[1])
            ]
        tiles = result_of(results, self.input[1], "tiles")
        shared = result.output.unit == "Hz" and result.output.time_mode == "framewise"
        low_hz, high_hz = (self.minimum, self.maximum) if shared else (None, None)
        scale = frequency_axis(tiles, log=True, low_hz=low_hz, high_hz=high_hz)
        lane = spectrogram_lane(tiles, scale, low_db=LOW_DB, high_db=HIGH_DB, colors="grey", opacity=BEHIND_OPACITY)
        return scale if shared else None, [lane]


@dataclass(frozen=True, kw_only=True)
class Layered(Lane):
    """A lane over others, whose axes and legends are left out."""

    front: Lane
    behind: Sequence[Lane]

    @classmethod
    def over(cls, behind: Sequence[Lane], front: Lane) -> Self:
        """A lane over others."""
        return cls(label=front.label, axis=front.axis, legend=front.legend, front=front, behind=behind)

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """First what lies behind."""
        for lane in (*self.behind, self.front):
            yield from lane.shapes(panel)


class PitchGrapher(ResultGrapher, id="grapher_aubio_pitch", version="2.0"):
    """Fundamental frequency over the spectrogram, both on one axis."""

    analyzer: Analyzer = _analyzer("aubio_pitch")
    """Analyzer whose result is drawn."""
    output: Annotated[str, Field(max_length=200)] = "pitch"
    """Which of the analyzer's outputs."""
    background: Background = "spectrogram"
    """What to draw behind."""
    color: Color = "#D55E00"
    """Colour of the curve."""
    minimum: Bound | None = 50.0
    """Lowest frequency shown, Hz."""
    maximum: Bound | None = 4000.0
    """Highest frequency shown, Hz."""


class SilenceGrapher(ResultGrapher, id="grapher_aubio_silence", version="2.0"):
    """Where there is silence and where not, over the waveform."""

    analyzer: Analyzer = _analyzer("aubio_silence")
    """Analyzer whose result is drawn."""
    background: Background = "waveform"
    """What to draw behind."""


class LoudnessGrapher(ResultGrapher, id="grapher_loudness_itu", version="2.0"):
    """Momentary loudness over time."""

    analyzer: Analyzer = _analyzer("loudness_itu")
    """Analyzer whose result is drawn."""
    output: Annotated[str, Field(max_length=200)] = "block_loudness"
    """Which of the analyzer's outputs."""


class OnsetFunctionGrapher(ResultGrapher, id="grapher_onset_detection_function", version="2.0"):
    """The onset detection function over time."""

    analyzer: Analyzer = _analyzer("onset_detection_function")
    """Analyzer whose result is drawn."""


def grapher_of(analyzer: Analyzer, output: str = "", background: Background = "none") -> ResultGrapher:
    """A grapher of an analyzer's result; raises `ParameterError` where it has no such output."""
    grapher = ResultGrapher(analyzer=analyzer, output=output, background=background)
    grapher.default_title()  # an unknown output is refused now, not when it is drawn
    return grapher
