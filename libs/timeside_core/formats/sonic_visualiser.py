"""A Sonic Visualiser layer (.svl): events as time instants, segments as regions, framewise values as curve or grid.

A file is one layer, hence one result. Positions are in samples of the media.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from timeside_core.errors import FormatError
from timeside_core.formats.digits import as_text
from timeside_core.formats.spans import clean, texts, ticks
from timeside_core.results import Result, Results

PROLOGUE = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE sonic-visualiser>\n'


def write(results: Results, path: Path) -> None:
    """Write the one result."""
    if len(results) != 1:
        raise FormatError(f"a layer is of one result, not of {len(results)}: export them one by one")
    root = _grid(results[0]) if _is_grid(results[0]) else _points(results[0])
    indent(root)
    path.write_text(PROLOGUE + tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def _is_grid(result: Result) -> bool:
    return result.output.time_mode == "framewise" and result.values.ndim > 1


def _points(result: Result) -> Element:
    """A point for each row, with a value unless it is an event, with a duration if it is a segment."""
    layer, dimensions = {
        "event": ("timeinstants", 1),
        "framewise": ("timevalues", 2),
        "segment": ("regions", 3),
    }[result.output.time_mode]
    model = {"type": "sparse", "resolution": "1", "notifyOnAdd": "true"}
    if dimensions == 3:
        model["subtype"] = "region"
    root, dataset = _session(result, layer, dimensions, model)
    labelled = bool(result.output.labels) or dimensions != 2  # the label of a curve's every point would hide it
    for start, stop, number, text in _rows(result):
        point = SubElement(dataset, "point", frame=str(start))
        if dimensions > 1:
            point.set("value", number)
        if dimensions > 2:
            point.set("duration", str(stop - start))
        point.set("label", text if labelled else "")
    return root


def _rows(result: Result) -> Iterator[tuple[int, int, str, str]]:
    samplerate, rows = result.provenance.media.samplerate, len(result)
    starts = ticks(result.times, samplerate).tolist()
    stops = ticks(result.times + result.durations, samplerate).tolist()
    numbers = as_text(result.values.reshape(rows, -1)[:, :1]).split() if rows else []
    return zip(starts, stops, numbers, texts(result), strict=True)


def _grid(result: Result) -> Element:
    """A column for each frame; the column is drawn around the frame's centre."""
    stream, samplerate, rows = result.stream, result.provenance.media.samplerate, len(result)
    hop_length, rest = divmod(stream.hop_length * samplerate, stream.samplerate)
    if rest:
        raise FormatError(
            f"{result.id}: a hop of {stream.hop_length} samples at {stream.samplerate} Hz is no whole number of the "
            f"media's samples at {samplerate} Hz, in which a grid counts"
        )
    values = result.values.reshape(rows, -1) if rows else result.values
    start = round(stream.start_s * samplerate - hop_length / 2)
    model = {"type": "dense", "windowSize": str(hop_length), "startFrame": str(start)}
    root, dataset = _session(result, "colour3dplot", 3, {**model, "yBinCount": str(values.shape[1])})
    dataset.set("separator", " ")
    for number, name in enumerate(result.bins if result.bins is not None else ()):
        SubElement(dataset, "bin", number=str(number), name=clean(str(name)))
    for number, line in enumerate(as_text(values).split("\n") if rows else ()):
        SubElement(dataset, "row", n=str(number)).text = line
    return root


def _session(result: Result, layer: str, dimensions: int, model: dict[str, str]) -> tuple[Element, Element]:
    """The document, and in it the dataset that is to be filled."""
    name, samplerate = clean(result.id), str(result.provenance.media.samplerate)
    if dimensions > 1 and result.values.size:
        model = {**model, "minimum": str(result.values.min()), "maximum": str(result.values.max())}
    root = Element("sv")
    data = SubElement(root, "data")
    described = {"id": "1", "name": name, "sampleRate": samplerate, "dimensions": str(dimensions), "dataset": "2"}
    SubElement(data, "model", {**described, **model, "units": clean(result.output.unit)})
    SubElement(SubElement(root, "display"), "layer", id="3", type=layer, name=name, model="1")
    return root, SubElement(data, "dataset", id="2", dimensions=str(dimensions))
