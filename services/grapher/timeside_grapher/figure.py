"""A figure: lanes one above the other over a common time axis, with a title and a legend where there is room."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from timeside_grapher.axis import Axis, Tick, number_labels, time_ticks
from timeside_grapher.color import MapName, color_map, faded
from timeside_grapher.panel import Panel
from timeside_grapher.scene import Box, Scene, Shape, Text
from timeside_grapher.text import shortened, width_px

MIN_PANEL_PX = (96, 32)
"""Least width and height of what is left for the lanes; where less would be, axes and title are left out."""
TICK_PX = 4


@dataclass(frozen=True, slots=True)
class Swatch:
    """A colour of the legend and what it stands for."""

    label: str
    color: str


@dataclass(frozen=True, kw_only=True)
class Lane(ABC):
    """What is drawn in one panel."""

    label: str = ""
    """Name shown where a figure has several lanes."""
    axis: Axis | None = None
    """The vertical axis."""
    legend: Sequence[Swatch] = ()
    """Colours that need words."""

    @abstractmethod
    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The lane, drawn in a panel."""

    def across(self, start_s: float, stop_s: float, count: int) -> Sequence[Tick]:
        """About `count` ticks of the horizontal axis, time unless a lane says otherwise."""
        return time_ticks(start_s, stop_s, count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a figure looks around its lanes."""

    foreground: str
    background: str
    font_px: int
    axes: bool
    legend: bool
    title: str


@dataclass(frozen=True, slots=True)
class _Margins:
    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


def color_scale(low: float, high: float, unit: str, colors: MapName) -> list[Swatch]:
    """A legend of the lowest, the middle and the highest colour."""
    labels = number_labels([float(f"{value:.3g}") for value in (low, (low + high) / 2, high)])
    tints = color_map(colors)[[0, 128, 255]]
    return [
        Swatch(f"{label} {unit}".strip(), f"#{bytes(tint[:3]).hex()}")
        for label, tint in zip(labels, tints, strict=True)
    ]


def compose(lanes: Sequence[Lane], *, width: int, height: int, start_s: float, stop_s: float, style: Style) -> Scene:
    """The scene of some lanes between two times."""
    scene = Scene(width, height, style.background)
    margins = _margins(lanes, scene, style, start_s, stop_s)
    decorated = margins != _Margins()
    panels = _panels(len(lanes), width, height, margins, start_s, stop_s)
    for lane, panel in zip(lanes, panels, strict=True):
        if not panel.height:
            continue
        if decorated and lane.axis is not None:
            scene.shapes += _vertical_axis(lane.axis, panel, style)
        scene.shapes += lane.shapes(panel)
        if decorated and len(lanes) > 1:
            scene.shapes += _lane_label(lane, panel, style)
    if decorated:
        scene.shapes += _frame(lanes, panels, style)
        scene.shapes += _header(lanes, width, margins, style)
    return scene


def _margins(lanes: Sequence[Lane], scene: Scene, style: Style, start_s: float, stop_s: float) -> _Margins:
    """Room for axes, title and legend; none of it where the lanes would get too small, or were told to fill all."""
    font = style.font_px
    header = round(1.9 * font) if style.title or (style.legend and _swatches(lanes)) else round(0.7 * font)
    labels = [tick.label for lane in lanes if lane.axis is not None for tick in lane.axis.ticks(5)]
    margins = _Margins(
        left=round(1.1 * max((width_px(label, font) for label in labels), default=0) + 1.2 * font) + TICK_PX,
        top=header,
        right=font,
        bottom=round(1.5 * font) + TICK_PX if lanes and lanes[-1].across(start_s, stop_s, 1) else font,
    )
    room = (scene.width - margins.left - margins.right, scene.height - margins.top - margins.bottom)
    fits = all(side >= least for side, least in zip(room, MIN_PANEL_PX, strict=True))
    return margins if style.axes and lanes and fits else _Margins()


def _panels(count: int, width: int, height: int, margins: _Margins, start_s: float, stop_s: float) -> list[Panel]:
    room = height - margins.top - margins.bottom
    gap = min(6, room // (8 * max(1, count)))
    edges = np.rint(margins.top + np.arange(count + 1) * ((room + gap) / max(1, count))).astype(int)
    return [
        Panel(
            left=margins.left,
            top=int(top),
            width=width - margins.left - margins.right,
            height=max(0, int(bottom - gap - top)),
            start_s=start_s,
            stop_s=stop_s,
        )
        for top, bottom in pairwise(edges)
    ]


def _vertical_axis(axis: Axis, panel: Panel, style: Style) -> Iterator[Shape]:
    if panel.height < style.font_px:
        return
    room = 1.3 * style.font_px
    lowest = float("inf")
    for tick in axis.ticks(max(2, int(panel.height / (2.4 * style.font_px)))):
        y = panel.bottom - tick.position * panel.height
        yield Box(panel.left, y - 0.5, panel.right, y + 0.5, faded(style.foreground, 0.12))
        yield Box(panel.left - TICK_PX, y - 0.5, panel.left, y + 0.5, faded(style.foreground, 0.6))
        text_y = min(max(y, panel.top + 0.4 * style.font_px), panel.bottom - 0.4 * style.font_px)
        if lowest - text_y < room:  # from the bottom up
            continue
        lowest = text_y
        yield Text(
            panel.left - TICK_PX - 0.3 * style.font_px, text_y, tick.label, style.foreground, style.font_px, "end"
        )


def _frame(lanes: Sequence[Lane], panels: Sequence[Panel], style: Style) -> Iterator[Shape]:
    """A hairline on the left of each panel, and the time axis below the last."""
    ink = faded(style.foreground, 0.6)
    for lane, panel in zip(lanes, panels, strict=True):
        if lane.axis is not None:
            yield Box(panel.left - 1, panel.top, panel.left, panel.bottom, ink)
    panel = panels[-1]
    ticks = _ticks_across(lanes[-1], panel, style)
    if ticks:
        yield Box(panel.left - 1, panel.bottom, panel.right, panel.bottom + 1, ink)
    free = 0.0
    for tick in ticks:
        x = panel.left + tick.position * panel.width
        yield Box(x - 0.5, panel.bottom, x + 0.5, panel.bottom + TICK_PX, ink)
        half = width_px(tick.label, style.font_px) / 2
        text_x = min(max(x, half + 1), panel.right + style.font_px - half - 1)
        if text_x - half < free:  # the last one, moved inwards
            continue
        free = text_x + half + style.font_px
        y = panel.bottom + TICK_PX + 0.8 * style.font_px
        yield Text(text_x, y, tick.label, style.foreground, style.font_px, "middle")


def _ticks_across(lane: Lane, panel: Panel, style: Style) -> Sequence[Tick]:
    """As many ticks as have room beside each other."""
    count = max(1, panel.width // (5 * style.font_px))
    while True:
        ticks = lane.across(panel.start_s, panel.stop_s, count)
        widest = max((width_px(tick.label, style.font_px) for tick in ticks), default=0)
        if count == 1 or len(ticks) * (widest + 1.5 * style.font_px) <= panel.width:
            return ticks
        count = max(1, count * 3 // 4)


def _lane_label(lane: Lane, panel: Panel, style: Style) -> Iterator[Shape]:
    if not lane.label or panel.height < 2 * style.font_px:
        return
    label = shortened(lane.label, style.font_px, panel.width / 2)
    pad = style.font_px * 0.4
    height = 1.4 * style.font_px
    yield Box(
        panel.left + pad,
        panel.top + pad,
        panel.left + 3 * pad + width_px(label, style.font_px),
        panel.top + pad + height,
        faded(style.background, 0.7),
    )
    yield Text(panel.left + 2 * pad, panel.top + pad + height / 2, label, style.foreground, style.font_px)


def _header(lanes: Sequence[Lane], width: int, margins: _Margins, style: Style) -> Iterator[Shape]:
    """Title from the left, legend from the right."""
    font, y = style.font_px, 0.95 * style.font_px
    room = width - margins.left - margins.right
    title = shortened(style.title, font, room)
    yield Text(margins.left, y, title, style.foreground, font)
    if style.legend:
        yield from _legend(_swatches(lanes), width - margins.right, room - width_px(title, font) - 2 * font, style)


def _legend(entries: Sequence[Swatch], right: float, room: float, style: Style) -> Iterator[Shape]:
    """Entries up to the right; the last ones become a count where there is no room for them."""
    font, y = style.font_px, 0.95 * style.font_px
    widths = [width_px(entry.label, font) + 2.3 * font for entry in entries]
    kept = len(entries)
    while kept and sum(widths[:kept]) + (2 * font if kept < len(entries) else 0) > room:
        kept -= 1
    if not kept:
        return
    if kept < len(entries):
        yield Text(right, y, f"+{len(entries) - kept}", style.foreground, font, "end")
        right -= 2.5 * font
    x = right - sum(widths[:kept]) + font
    for entry, wide in zip(entries, widths[:kept], strict=False):
        yield Box(x, y - 0.4 * font, x + 0.8 * font, y + 0.4 * font, entry.color)
        yield Text(x + 1.3 * font, y, entry.label, style.foreground, font)
        x += wide


def _swatches(lanes: Sequence[Lane]) -> list[Swatch]:
    return list(dict.fromkeys(swatch for lane in lanes for swatch in lane.legend))
