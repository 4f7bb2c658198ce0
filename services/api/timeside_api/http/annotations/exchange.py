"""Annotations from files and into files of other programs, and from results."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from timeside_api.annotations import Annotation, AnnotationTrack, TrackKind
from timeside_api.http.annotations.schemas import LabelsFormat, NewAnnotation
from timeside_api.http.problems import Problem
from timeside_api.http.processors.schemas import output_path
from timeside_api.models import Media
from timeside_core import audio, formats
from timeside_core.formats.labels import Label, read_labels
from timeside_core.outputs import Events, Output, Segments
from timeside_core.results import Provenance, Result
from timeside_core.store import StoredResult

MEDIA_TYPES: dict[LabelsFormat, str] = {
    "audacity": "text/plain; charset=utf-8",
    "textgrid": "text/plain; charset=utf-8",
    "jams": "application/json",
    "csv": "text/csv; charset=utf-8",
    "elan": "application/xml",
    "sonic_visualiser": "application/xml",
}
MAX_LABEL = 1000
_ASSUMED_SAMPLERATE = 44_100
"""Of media that nobody has looked at: positions that are counted in samples need one."""


class Found(NamedTuple):
    """What a result has that can be annotated."""

    kind: TrackKind
    vocabulary: list[str]
    annotations: list[dict[str, Any]]


def read(data: bytes, format: LabelsFormat, kind: TrackKind, tier: str | None) -> list[dict[str, Any]]:
    """Annotations for a track of a kind; moments become regions of no length. Raises a problem."""
    labels = [each for each in read_labels(data, format) if tier is None or each.tier == tier]
    if kind is TrackKind.POINTS and any(each.stop_s is not None for each in labels):
        raise Problem(422, "invalid", "the file has stretches of time, and the track is one of points")
    return [_fields(each, kind) for each in labels]


def _fields(label: Label, kind: TrackKind) -> dict[str, Any]:
    stop_s = label.start_s if label.stop_s is None and kind is TrackKind.REGIONS else label.stop_s
    text = "".join(char for char in label.text if char != "\0")
    said = {"label": text} if len(text) <= MAX_LABEL else {"text": text}
    return NewAnnotation(start_s=label.start_s, stop_s=stop_s, value=label.value, **said).model_dump()


def from_result(stored: StoredResult, output: str, most: int) -> Found:
    """The events or segments of an output of a result."""
    name = next((each for each in stored.outputs if output_path(each) == output), None)
    if name is None:
        raise Problem(404, "not-found", f"the result has no output {output!r}")
    facts = stored.outputs[name]
    if facts["time_mode"] not in ("event", "segment"):
        raise Problem(422, "invalid", f"output {output!r} is {facts['time_mode']}: only events and segments have times")
    if stored.rows(name) > most:
        raise Problem(422, "too-many", f"output {output!r} has {stored.rows(name)} rows, and a track {most} at most")
    labels = list(stored.output(name).labels)
    starts = np.maximum(stored.slice(name, part="times"), 0)
    is_segments = facts["time_mode"] == "segment"
    stops = starts + stored.slice(name, part="durations") if is_segments else None
    rows = stored.slice(name)
    annotations = [
        {"start_s": float(start), "stop_s": None if stops is None else float(stops[index]), **_said(row, labels)}
        for index, (start, row) in enumerate(zip(starts, rows, strict=True))
    ]
    return Found(TrackKind.REGIONS if is_segments else TrackKind.POINTS, labels, annotations)


def _said(row: Any, labels: Sequence[str]) -> dict[str, Any]:
    """What a row says: its label, its number, or its numbers."""
    numbers = np.atleast_1d(row).ravel()
    if labels:
        return {"label": labels[int(numbers[0])], "text": "", "value": None}
    if len(numbers) == 1:
        value = float(numbers[0])
        return {"label": "", "text": "", "value": value if math.isfinite(value) else None}
    return {"label": "", "text": " ".join(f"{each:g}" for each in numbers), "value": None}


def written(
    track: AnnotationTrack, annotations: Sequence[Annotation], media: Media | None, format: LabelsFormat
) -> bytes:
    """A file with the annotations of a track."""
    with tempfile.TemporaryDirectory(prefix="timeside-labels-") as folder:
        path = Path(folder) / "labels"
        formats.export(_as_result(track, annotations, media), path, format)
        return path.read_bytes()


def suffix(format: LabelsFormat) -> str:
    """Of a file's name."""
    return formats.FORMATS[format].suffixes[0]


def _as_result(track: AnnotationTrack, annotations: Sequence[Annotation], media: Media | None) -> Result:
    """As if an analyzer had found them: so the same writers write them."""
    starts = np.array([each.start_s for each in annotations], dtype=float)
    stops = np.array([each.start_s if each.stop_s is None else each.stop_s for each in annotations], dtype=float)
    is_regions = track.kind is TrackKind.REGIONS
    output, values = _values(track, annotations)
    samplerate = (media.samplerate if media else None) or _ASSUMED_SAMPLERATE
    end = math.ceil(max([0.0, *stops]) * samplerate)
    source = audio.Media(
        uri=f"urn:uuid:{track.item_id}",
        samplerate=samplerate,
        channels=(media.channels if media else None) or 1,
        samples=(media.samples if media else None) or end,
        sha256=media.sha256 if media else None,
        mime_type=media.mime_type if media else "",
        tags={name: str(value) for name, value in media.tags.items()} if media else {},
    )
    return Result(
        id=track.title or "annotations",
        output=output,
        values=values,
        stream=audio.Stream(samplerate=samplerate),
        provenance=Provenance(processor="annotations", version="1", parameters={}, digest="", media=source),
        event_times=starts,
        event_durations=stops - starts if is_regions else np.empty(0),
    )


def _values(track: AnnotationTrack, annotations: Sequence[Annotation]) -> tuple[Output, audio.Array]:
    """Numbers where there is nothing else, else texts."""
    make: Any = Segments if track.kind is TrackKind.REGIONS else Events
    if annotations and all(each.value is not None and not each.label and not each.text for each in annotations):
        return make(description=track.description), np.array([each.value for each in annotations])
    texts = [_text(each) for each in annotations]
    vocabulary = list(dict.fromkeys([*track.vocabulary, *texts])) or [""]
    index = {text: number for number, text in enumerate(vocabulary)}
    values = np.array([index[text] for text in texts], dtype=np.int32)
    return make(labels=tuple(vocabulary), description=track.description), values


def _text(annotation: Annotation) -> str:
    value = "" if annotation.value is None else f"{annotation.value:g}"
    return ": ".join(part for part in (annotation.label, annotation.text, value) if part)
