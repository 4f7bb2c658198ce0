"""How results, pipelines and processors show themselves in a notebook: small HTML that needs nothing else.

It is built of elements, not of strings of markup, so that no text can become markup.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from xml.etree.ElementTree import Element, tostring

import numpy as np

from timeside_core.audio import Array
from timeside_core.outputs import Output
from timeside_core.processor import Analyzer, Processor
from timeside_core.thumbnails import bounds, color, color_map, curves, element, strips

if TYPE_CHECKING:
    from timeside_core.pipeline import Pipeline
    from timeside_core.results import Result, Results

CURVES = 4
"""Columns of a row that are drawn as curves; more are drawn as a map of colours."""
SHOWN = 50
"""Results that are shown of many, and numbers of a global value."""
CHARACTERS = 500
"""Characters of a value that are shown."""


def result_html(result: "Result") -> str:
    """A result: what it is, its picture, and on demand its parameters and provenance."""
    return _html(
        *_summary(result),
        _folded("Parameters", _pairs(result.provenance.parameters)),
        _folded("Provenance", _pairs(_origin(result))),
    )


def results_html(results: "Results") -> str:
    """All results, each with its picture."""
    return _html(*_summaries(results))


def pipeline_html(pipeline: "Pipeline") -> str:
    """The processors of a pipeline in order, with their parameters, and the results of its last run."""
    steps = (pipeline.decoder, *pipeline.processors)
    chain = (element("li", element("b", step.label()), f" {step.version}", _pairs(_fields(step))) for step in steps)
    return _html(element("ol", *chain), *_summaries(pipeline.results))


def processor_html(processor: Processor) -> str:
    """A processor: what it does, its parameters with their descriptions, its outputs."""
    schema = processor.schema()["properties"]
    parameters = (
        (name, value, schema.get(name, {}).get("description", "")) for name, value in _fields(processor).items()
    )
    parts = [
        element("div", element("b", processor.label()), f" {processor.version} · {processor.description()}"),
        _table(("parameter", "value", "description"), parameters),
    ]
    if isinstance(processor, Analyzer):
        outputs = ((name or processor.label(), *_kind(output)) for name, output in processor.declared().items())
        parts.append(_table(("output", "kind", "unit", "description"), outputs))
    return _html(*parts)


def _summaries(results: "Results") -> Iterator[Element]:
    uri = None
    for result in results[:SHOWN]:
        media = result.provenance.media
        if media.uri != uri:
            uri = media.uri
            yield element("div", element("b", uri), f" · {media.duration_s or 0:.2f} s")
        yield from _summary(result)
    if len(results) > SHOWN:
        yield element("div", f"… and {len(results) - SHOWN} more")


def _summary(result: "Result") -> Iterator[Element]:
    kind, unit, description = _kind(result.output)
    shape = " × ".join(map(str, result.values.shape))
    yield element("div", element("b", result.id), *(f" · {word}" for word in (kind, shape, unit, description) if word))
    if not len(result):
        yield element("div", element("i", "nothing to measure"))
    elif result.output.time_mode == "global":
        yield element("div", _numbers(result))
    else:
        start, stop = _span(result)
        yield _picture(result)
        yield element("div", f"{start:.2f} … {stop:.2f} s · ", *_legend(result), style="opacity:0.7")


def _kind(output: Output) -> tuple[str, str, str]:
    return f"{output.time_mode} {output.data_mode}", output.unit, output.description


def _numbers(result: "Result") -> str:
    values: list[Any] = result.values.reshape(-1)[:SHOWN].tolist()
    labels = result.output.labels
    words = [labels[int(value)] if labels else f"{value:.6g}" for value in values]
    return ", ".join(words) + (", …" if result.values.size > SHOWN else "")


def _span(result: "Result") -> tuple[float, float]:
    """Where the analysed signal begins and ends, s; where its length is not known, where the last row does."""
    segment, media = result.provenance.segment, result.provenance.media
    start = segment.first_sample / media.samplerate
    return start, start + (result.duration_s or float((result.times + result.durations).max()) - start)


def _legend(result: "Result") -> Iterator[Element | str]:
    if not result.output.labels:
        low, high = bounds(result.values)
        yield f"{low:.6g} … {high:.6g} {result.output.unit}"
    for index, label in enumerate(result.output.labels):
        yield element("span", "■", style=f"color:{color(index)}")
        yield f" {label} "


def _picture(result: "Result") -> Element:
    rows = result.values.reshape(len(result), -1)
    if result.output.time_mode != "framewise" or result.output.labels:
        return strips(_lanes(result, rows[:, 0]), result.id)
    return curves(rows, result.id) if rows.shape[1] <= CURVES else color_map(rows, result.id)


def _lanes(result: "Result", values: Array) -> list[tuple[Array, Array]]:
    """Starts and stops of each label's rows, or of all, as fractions of the span."""
    first, last = _span(result)
    starts, lengths = result.times, result.durations
    if result.output.time_mode == "framewise":
        lengths = np.full(len(result), 1 / result.stream.row_rate)
        starts = starts - lengths / 2
    scale = 1 / max(last - first, 1e-9)
    starts, stops = (starts - first) * scale, (starts + lengths - first) * scale
    if not result.output.labels:
        return [(starts, stops)]
    return [(starts[values == index], stops[values == index]) for index in range(len(result.output.labels))]


def _origin(result: "Result") -> dict[str, Any]:
    provenance, media = result.provenance, result.provenance.media
    fields = {
        "media": media.uri,
        "sha256": media.sha256,
        "duration": f"{media.duration_s or 0:.3f} s",
        "tags": dict(media.tags),
        "segment": None if provenance.segment.whole else dataclasses.asdict(provenance.segment),
        "processor": f"{provenance.processor} {provenance.version}",
        "effects": list(provenance.effects),
        "digest": provenance.digest,
        "run time": f"{provenance.run_time_s:.3f} s",
        "created": provenance.created,
        "libraries": dict(provenance.libraries),
    }
    return {name: value for name, value in fields.items() if value}


def _fields(processor: Processor) -> dict[str, Any]:
    """Parameters, and where to read and write, but not what is too large to print."""
    fields = dataclasses.fields(cast("Any", processor))
    return {field.name: getattr(processor, field.name) for field in fields if field.repr}


def _pairs(fields: Mapping[str, Any]) -> Element:
    return _table((), fields.items())


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Element:
    lines = [
        element("tr", *(element("td", _text(cell), style="text-align:left;overflow-wrap:anywhere") for cell in row))
        for row in rows
    ]
    names = [element("th", name, style="text-align:left") for name in head]
    return element("table", *([element("tr", *names)] if names else []), *lines)


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + "…"


def _folded(title: str, content: Element) -> Element:
    return element("details", element("summary", title), content)


def _html(*parts: Element) -> str:
    whole = element("div", *parts, style="max-width:640px;font-family:sans-serif")
    return tostring(whole, encoding="unicode", method="html").encode(errors="replace").decode()
