"""Events and segments as spans of time with a text: what annotation programs have."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from timeside_core.audio import Array, Media
from timeside_core.errors import FormatError
from timeside_core.formats.digits import as_text
from timeside_core.results import Result, Results


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in whole ticks of a program's clock; an instant where `start == stop`."""

    start: int
    stop: int
    text: str


def spans(result: Result, ticks_per_s: int, *, least: int = 0) -> list[Span]:
    """The rows of an event or segment result in the order of time, each of at least so many ticks."""
    starts = ticks(result.times, ticks_per_s)
    stops = np.maximum(ticks(result.times + result.durations, ticks_per_s), starts + least)
    found = map(Span, starts.tolist(), stops.tolist(), texts(result))
    return sorted(found, key=lambda span: (span.start, span.stop))


def texts(result: Result) -> list[str]:
    """What each row says, on one line: its label, or its value or values."""
    if not len(result):
        return []
    vocabulary = result.output.labels
    lines = as_text(result.values.reshape(len(result), -1)).split("\n")
    return [clean(" ".join(vocabulary[int(word)] for word in line.split())) if vocabulary else line for line in lines]


def tiers(name: str, spans: Iterable[Span]) -> list[tuple[str, list[Span]]]:
    """The spans in as few named tiers as hold them without overlap: `notes`, `notes (2)`, …; there is always one.

    A span that overlaps the next by one tick, as rounding makes them do, ends where the next begins.
    """
    found: list[list[Span]] = [[]]
    for span in spans:
        free = next((tier for tier in found if not tier or _follows(span, tier[-1])), None)
        if free is None:
            found.append([span])
            continue
        if free:
            free[-1] = replace(free[-1], stop=min(free[-1].stop, span.start))
        free.append(span)
    return [(clean(name) if not index else f"{clean(name)} ({index + 1})", tier) for index, tier in enumerate(found)]


def media_of(results: Results) -> Media:
    """The media that all results are of; raises `FormatError` where it is not one."""
    found = {(result.provenance.media.uri, result.provenance.media.sha256) for result in results}
    if len(found) != 1:
        raise FormatError(f"these are results of {len(found)} media, not of one")
    return results[0].provenance.media


def clean(text: str) -> str:
    """Text on one line, with blanks for what programs cannot read: tabs, control characters, lone surrogates."""
    return "".join(char if char.isprintable() else " " for char in text)


def ticks(times: Array, ticks_per_s: int) -> Array:
    """Times in s as whole ticks of a clock, such as the samples of a media."""
    return np.rint(times * ticks_per_s).astype(np.int64)


def _follows(span: Span, last: Span) -> bool:
    return span.start > last.start and span.start >= last.stop - 1
