"""Praat's TextGrid, long text format: an interval tier for each segment result, a point tier for each event result.

A tier has neither overlaps nor two points at one time: a result that has them takes several tiers.
"""

from collections.abc import Iterator
from pathlib import Path

from timeside_core.errors import FormatError
from timeside_core.formats.document import names
from timeside_core.formats.spans import Span, media_of, spans, tiers
from timeside_core.results import Results

TICKS_PER_S = 1_000_000


def write(results: Results, path: Path) -> None:
    """Write all results, from 0 s to the end of the media."""
    found = [
        (title, tier, result.output.time_mode == "segment")
        for name, result in zip(names(results), results, strict=True)
        for title, tier in tiers(name, spans(result, TICKS_PER_S, least=1))
    ]
    length = round((media_of(results).duration_s or 0) * TICKS_PER_S)
    whole = Span(
        min([0, *(each.start for _, tier, _ in found for each in tier)]),
        max([length, *(each.stop for _, tier, _ in found for each in tier)]),
        "",
    )
    if whole.stop <= whole.start:
        raise FormatError("a TextGrid lasts some time: these are results of media without length")
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *_times(whole), "tiers? <exists>"]
    lines += [f"size = {len(found)}", "item []:"]
    for number, (title, tier, lasting) in enumerate(found, 1):
        lines.append(f"    item [{number}]:")
        lines += ("        " + line for line in (_intervals if lasting else _points)(title, tier, whole))
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _intervals(title: str, tier: list[Span], whole: Span) -> Iterator[str]:
    filled = list(_filled(tier, whole))
    yield from ('class = "IntervalTier"', f"name = {_quoted(title)}", *_times(whole))
    yield f"intervals: size = {len(filled)}"
    for number, span in enumerate(filled, 1):
        yield f"intervals [{number}]:"
        yield from ("    " + line for line in (*_times(span), f"text = {_quoted(span.text)}"))


def _points(title: str, tier: list[Span], whole: Span) -> Iterator[str]:
    yield from ('class = "TextTier"', f"name = {_quoted(title)}", *_times(whole))
    yield f"points: size = {len(tier)}"
    for number, span in enumerate(tier, 1):
        yield f"points [{number}]:"
        yield from (f"    number = {span.start / TICKS_PER_S!r}", f"    mark = {_quoted(span.text)}")


def _filled(tier: list[Span], whole: Span) -> Iterator[Span]:
    """The spans with empty ones between them: an interval tier has no gaps."""
    reached = whole.start
    for span in tier:
        if span.start > reached:
            yield Span(reached, span.start, "")
        yield span
        reached = span.stop
    if whole.stop > reached:
        yield Span(reached, whole.stop, "")


def _times(span: Span) -> tuple[str, str]:
    return f"xmin = {span.start / TICKS_PER_S!r}", f"xmax = {span.stop / TICKS_PER_S!r}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
