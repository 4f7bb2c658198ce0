"""Audacity's labels: a line `start⇥stop⇥text` for each event (`start == stop`) and segment, in seconds."""

from pathlib import Path

from timeside_core.formats.document import names
from timeside_core.formats.spans import Span, clean, spans
from timeside_core.results import Results

TICKS_PER_S = 1_000_000


def write(results: Results, path: Path) -> None:
    """Write one label track in the order of time; where it is of several results, each label begins with its name."""
    labels: list[Span] = []
    for name, result in zip(names(results), results, strict=True):
        prefix = f"{clean(name)}: " if len(results) > 1 else ""
        labels += [Span(each.start, each.stop, prefix + each.text) for each in spans(result, TICKS_PER_S)]
    labels.sort(key=lambda label: (label.start, label.stop))
    lines = (f"{each.start / TICKS_PER_S:.6f}\t{each.stop / TICKS_PER_S:.6f}\t{each.text}\n" for each in labels)
    path.write_text("".join(lines), encoding="utf-8")
