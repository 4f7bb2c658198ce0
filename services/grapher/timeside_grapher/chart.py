"""What all graphers share: the frame around a picture, its checks, its formats and its tiles."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field

from timeside_core import Analyzer, Grapher, Result, Results, get_processor
from timeside_core.errors import ParameterError
from timeside_grapher.color import Color
from timeside_grapher.figure import Lane, Style, compose
from timeside_grapher.scene import check_size

TILE_SAMPLES = 256
"""Samples of the media that one column of a tile covers at level 0; a level has twice as many as the one before."""
TILE_PX = 256
"""Width and height of a tile."""
MAX_LEVEL = 32


class Chart(Grapher):
    """A figure of lanes over a common time axis."""

    foreground_color: Color = "#333333"
    """Colour of text and axes."""
    background_color: Color = "#ffffff"
    """Colour behind everything."""
    axes: bool = True
    """Whether to draw axes, title and legend; without them the picture's sides are the ends of its time span."""
    legend: bool = True
    """Whether to say what the colours mean."""
    title: Annotated[str, Field(max_length=1000)] | None = None
    """Text above the figure; a name of what is drawn where not given, nothing where empty."""
    font_px: Annotated[int, Field(ge=6, le=96)] = 12
    """Size of the text, pixels."""

    @property
    @abstractmethod
    def input(self) -> tuple[Analyzer, ...]:
        """The analyzers whose results are drawn."""

    @abstractmethod
    def lanes(self, results: Results) -> Sequence[Lane]:
        """What to draw, from top to bottom."""

    def default_title(self) -> str:
        """The title where none was given."""
        return ""

    def draw(
        self,
        results: Results,
        *,
        width: int = 1024,
        height: int = 256,
        start_s: float | None = None,
        stop_s: float | None = None,
        format: str = "png",
    ) -> bytes:
        """A picture of the results between two times, of all the signal where not given.

        `width` and `height` are from 1 to 16384 pixels, at most 8,388,608 in all. Raises `ParameterError` for other
        sizes, for times that do not overlap the signal, and where results are missing.
        """
        if format not in ("png", "svg"):
            raise ParameterError(f"format={format!r} must be png or svg")
        start, stop = _span(self._drawn(results), start_s, stop_s)
        style = Style(
            foreground=self.foreground_color,
            background=self.background_color,
            font_px=self.font_px,
            axes=self.axes,
            legend=self.legend,
            title=self.default_title() if self.title is None else self.title,
        )
        scene = compose(self.lanes(results), width=width, height=height, start_s=start, stop_s=stop, style=style)
        if format == "svg":
            from timeside_grapher.svg import svg

            return svg(scene)
        from timeside_grapher.raster import png

        return png(scene)

    def bare(self) -> Self:
        """The same grapher without axes, title and legend."""
        return replace(self, axes=False)

    def tile(
        self,
        results: Results,
        *,
        level: int,
        index: int,
        width: int = TILE_PX,
        height: int = TILE_PX,
        format: str = "png",
    ) -> bytes:
        """A picture of fixed scale that joins its neighbours without a seam, whatever the grapher.

        A column of pixels covers `256 · 2^level` samples of the media, counted from the media's first; tile `index`
        has the columns from `index · width` on.
        """
        check_size(width, height)
        if index < 0:
            raise ParameterError(f"index={index} must not be negative")
        tile_s = self._tile_s(results, level, width)
        return self.bare().draw(
            results, width=width, height=height, start_s=index * tile_s, stop_s=(index + 1) * tile_s, format=format
        )

    def tiles(self, results: Results, *, level: int, width: int = TILE_PX) -> range:
        """Indices of the tiles of a level that hold some of the signal."""
        check_size(width, height=1)
        tile_s = self._tile_s(results, level, width)
        start_s, stop_s = _span(self._drawn(results), None, None)
        return range(math.floor(start_s / tile_s + 1e-9), max(1, math.ceil(stop_s / tile_s - 1e-9)))

    def _tile_s(self, results: Results, level: int, width: int) -> float:
        if not 0 <= level <= MAX_LEVEL:
            raise ParameterError(f"level={level} must be from 0 to {MAX_LEVEL}")
        return (width * TILE_SAMPLES << level) / self._drawn(results)[0].provenance.media.samplerate

    def _drawn(self, results: Results) -> list[Result]:
        return [result for analyzer in self.input for result in results_of(results, analyzer)]


def default_analyzer(id: str) -> Analyzer:
    """The analyzer of that id with its default parameters, imported now."""
    found = get_processor(id)()
    if not isinstance(found, Analyzer):
        raise ParameterError(f"{id!r} is not an analyzer: a grapher draws results")
    return found


def results_of(results: Results, analyzer: Analyzer) -> Results:
    """The results of an analyzer; raises `ParameterError` where there are none."""
    found = results[analyzer]
    if not found:
        there = ", ".join(results.ids()) or "none"
        raise ParameterError(f"results hold none of {analyzer.id!r} with {analyzer.parameters()}; there are {there}")
    return found


def result_of(results: Results, analyzer: Analyzer, output: str) -> Result:
    """One output of an analyzer; raises `ParameterError` where it is not among the results."""
    id = f"{analyzer.id}.{output}" if output else analyzer.id
    found = results_of(results, analyzer)
    for result in found:
        if result.id == id:
            return result
    raise ParameterError(f"output={output!r} is not one of {analyzer.id!r}; there are {', '.join(found.ids())}")


def _span(results: Sequence[Result], start_s: float | None, stop_s: float | None) -> tuple[float, float]:
    first_s = min(begin_s(result) for result in results)
    last_s = max(end_s(result) for result in results)
    start = first_s if start_s is None else start_s
    stop = max(last_s, start) if stop_s is None else stop_s
    for name, value in (("start_s", start), ("stop_s", stop)):
        if not (math.isfinite(value) and value >= 0):
            raise ParameterError(f"{name}={value} must be a time from 0 s on")
    if last_s > first_s and (start >= last_s or stop <= first_s):
        raise ParameterError(
            f"start_s={start:g}, stop_s={stop:g} lies outside the signal, {first_s:g} s to {last_s:g} s"
        )
    if stop == start and stop_s is None:
        stop = start + 1  # nothing to show, but a picture all the same
    if not start < stop:
        raise ParameterError(f"start_s={start:g} must be less than stop_s={stop:g}")
    return start, stop


def begin_s(result: Result) -> float:
    """Begin of the analysed signal."""
    return result.provenance.segment.first_sample / result.provenance.media.samplerate


def end_s(result: Result) -> float:
    """End of the analysed signal; that of the last row where the length is unknown."""
    if result.duration_s:
        return begin_s(result) + result.duration_s
    if not len(result) or result.output.time_mode == "global":
        return begin_s(result)
    return float((result.times[-1:] + result.durations[-1:])[0])
