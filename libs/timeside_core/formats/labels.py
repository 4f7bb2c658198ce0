"""Labels that people made in other programs: moments and stretches of time with texts, read from their files."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timeside_core.errors import FormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A moment, or a stretch of time where it has a `stop_s`."""

    start_s: float
    stop_s: float | None = None
    text: str = ""
    value: float | None = None
    tier: str = ""
    """Name of the row that it stands in, where the program has several."""


def read_labels(data: bytes, format: str) -> list[Label]:
    """The labels in a file, in its order; raises `FormatError`, whatever the file holds."""
    if format not in READERS:
        raise FormatError(f"format {format!r} is unknown; labels are read from {', '.join(READERS)}")
    try:
        labels = list(READERS[format](data))
    except FormatError as error:
        raise FormatError(f"this is no {format} file: {error}") from error.__cause__
    except Exception as error:  # bytes that are not what they say make a library fail in any way
        raise FormatError(f"this is no {format} file: {type(error).__name__}: {error}") from error
    for label in labels:
        _check(label)
    return labels


def _check(label: Label) -> None:
    times = [label.start_s] if label.stop_s is None else [label.start_s, label.stop_s]
    if not np.isfinite(times).all() or label.start_s < 0 or times[-1] < label.start_s:
        raise FormatError(f"a label from {label.start_s:g} s to {times[-1]:g} s: {label.text!r:.80}")


def _audacity(data: bytes) -> Iterator[Label]:
    """`start⇥stop⇥text`; a line that begins with a backslash has the frequencies of the one before."""
    for number, line in enumerate(_text(data).splitlines(), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        start, _, rest = line.partition("\t")
        stop, _, text = rest.partition("\t")
        try:
            start_s, stop_s = float(start.replace(",", ".")), float(stop.replace(",", "."))
        except ValueError:
            raise FormatError(f"line {number} does not begin with two times and tabs") from None
        yield Label(start_s=start_s, stop_s=None if stop_s == start_s else stop_s, text=text)


_TEXTGRID = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)')
"""Texts in quotes and numbers that stand alone, of which a TextGrid consists, short or long: the rest is comment."""


def _textgrid(data: bytes) -> Iterator[Label]:
    tokens = (match.group(1, 2) for match in _TEXTGRID.finditer(_text(data)))

    def text() -> str:
        found, number = next(tokens, (None, None))
        if found is None:
            raise FormatError(f"a text is expected, not {'the end' if number is None else number}")
        return found.replace('""', '"')

    def number() -> float:
        found, number = next(tokens, (None, None))
        if number is None:
            raise FormatError(f"a number is expected, not {'the end' if found is None else repr(found)[:80]}")
        return float(number)

    def skip_times() -> None:
        for _ in ("xmin", "xmax"):
            number()

    if (text(), text()) != ("ooTextFile", "TextGrid"):
        raise FormatError("it does not begin as a TextGrid does")
    skip_times()
    for _ in range(int(number())):
        kind, tier = text(), text()
        skip_times()
        for _ in range(int(number())):
            start_s = number()
            stop_s = number() if kind == "IntervalTier" else None
            if (said := text()) or stop_s is None:  # an interval without a text is a gap between others
                yield Label(start_s=start_s, stop_s=stop_s, text=said, tier=tier)


_STARTS = ("start_s", "start", "time_s", "time", "begin", "onset", "tmin")
_STOPS = ("stop_s", "stop", "end_s", "end", "offset", "tmax")
_DURATIONS = ("duration_s", "duration", "length")
_TEXTS = ("label", "text", "title", "name", "annotation")
_TIERS = ("tier", "track", "result")


def _csv(data: bytes) -> Iterator[Label]:
    """A table with a line of names, or else of `start, stop, label` or `start, label`."""
    text = _text(data)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    names = [name.strip().lower() for name in next(lines, list[str]())]
    if not names:
        return
    if _is_number(names[0]):
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
        names = ["start", "stop", "label"] if len(names) > 1 and _is_number(names[1]) else ["start", "label"]
    for line in lines:
        if line:
            yield _of_row(dict(zip(names, line, strict=False)))


def _of_row(row: Mapping[str, str]) -> Label:
    start_s = float(_first(row, _STARTS))
    stop, duration, value = _first(row, _STOPS), _first(row, _DURATIONS), row.get("value", "")
    stop_s = float(stop) if stop else start_s + float(duration) if duration and float(duration) else None
    return Label(
        start_s=start_s,
        stop_s=stop_s,
        text=_first(row, _TEXTS) or ("" if _is_number(value) else value),
        value=float(value) if _is_number(value) and not _first(row, _TEXTS) else None,
        tier=_first(row, _TIERS),
    )


def _first(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _jams(data: bytes) -> Iterator[Label]:
    for annotation in json.loads(_text(data))["annotations"]:
        rows: Any = annotation["data"]
        if isinstance(rows, dict):  # columns, as JAMS had them first
            columns: dict[str, Any] = rows  # pyright: ignore[reportUnknownVariableType]
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for row in rows:
            yield _observed(row, annotation["namespace"])


def _observed(row: Mapping[str, Any], tier: str) -> Label:
    start_s, duration_s, value = float(row["time"]), float(row["duration"] or 0), row["value"]
    if isinstance(value, list) and len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
        value = value[0]  # pyright: ignore[reportUnknownVariableType]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = "" if is_number or value is None else value if isinstance(value, str) else json.dumps(value)
    number = float(value) if is_number else None  # pyright: ignore[reportArgumentType]
    return Label(
        start_s=start_s, stop_s=start_s + duration_s if duration_s else None, text=text, value=number, tier=tier
    )


def _elan(data: bytes) -> Iterator[Label]:
    """Tiers of a document; an annotation that refers to another has its times."""
    root = _xml(data)
    slots = list(root.iter("TIME_SLOT"))
    known = [(index, int(slot.get("TIME_VALUE", ""))) for index, slot in enumerate(slots) if slot.get("TIME_VALUE")]
    if slots and not known:
        raise FormatError("no time slot has a time")
    places, values = zip(*known, strict=True) if known else ((), ())
    times = np.interp(np.arange(len(slots)), places, values) / 1000 if known else np.empty(0)  # the others in between
    at = {slot.get("TIME_SLOT_ID"): float(time) for slot, time in zip(slots, times, strict=True)}
    spans = {
        each.get("ANNOTATION_ID"): (at[each.get("TIME_SLOT_REF1")], at[each.get("TIME_SLOT_REF2")])
        for each in root.iter("ALIGNABLE_ANNOTATION")
    }
    parents = {each.get("ANNOTATION_ID"): each.get("ANNOTATION_REF") for each in root.iter("REF_ANNOTATION")}
    for tier in root.iter("TIER"):
        for each in tier.iter():
            if each.tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
                start_s, stop_s = spans[_aligned(each.get("ANNOTATION_ID"), parents)]
                text = each.findtext("ANNOTATION_VALUE") or ""
                yield Label(start_s=start_s, stop_s=stop_s, text=text, tier=tier.get("TIER_ID", ""))


def _aligned(id: Any, parents: Mapping[Any, Any]) -> Any:
    for _ in range(len(parents)):
        if id not in parents:
            return id
        id = parents[id]
    if id in parents:
        raise FormatError(f"annotation {id} refers to itself")
    return id


def _sonic_visualiser(data: bytes) -> Iterator[Label]:
    root = _xml(data)
    model = next(root.iter("model"), None)
    if model is None:
        raise FormatError("it has no model")
    samplerate = float(model.get("sampleRate", ""))
    for point in root.iter("point"):
        start, duration = float(point.get("frame", "")), float(point.get("duration", "0"))
        value = point.get("value")
        yield Label(
            start_s=start / samplerate,
            stop_s=(start + duration) / samplerate if point.get("duration") is not None else None,
            text=point.get("label", ""),
            value=None if value is None else float(value),
            tier=model.get("name", ""),
        )


def _xml(data: bytes) -> Any:
    try:
        from defusedxml import ElementTree
        from defusedxml.common import DefusedXmlException
    except ModuleNotFoundError as error:
        raise FormatError(f"reading it needs {error.name}: pip install 'timeside[formats]'") from error
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise FormatError(str(error)) from error


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding).replace("\0", "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


READERS: dict[str, Callable[[bytes], Iterator[Label]]] = {
    "audacity": _audacity,
    "textgrid": _textgrid,
    "jams": _jams,
    "csv": _csv,
    "elan": _elan,
    "sonic_visualiser": _sonic_visualiser,
}
"""By name of the format, as `FORMATS` names it."""
