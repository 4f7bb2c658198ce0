"""Results of TimeSide 1 from those of the native library, and back, nothing lost either way."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from timeside.core.metadata import numpy_data_types
from timeside.core.result import AnalyzerResult, json_like, read_json, well_formed
from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.errors import FormatError
from timeside_core.formats.document import OUTPUTS
from timeside_core.outputs import Output
from timeside_core.results import Provenance, Result

NOTE = "timeside_1"
"""Name of the note under which a native result carries what only a result of TimeSide 1 has."""

UNKNOWN_SAMPLERATE = 1000
"""Stands in where a result made by hand tells no samplerate: its start and duration are then kept to the ms."""


def from_native(
    result: Result,
    *,
    name: str = "",
    proc_uuid: str = "",
    sha1: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> AnalyzerResult:
    """A result of TimeSide 1; what the native one does not know, or knows under other names, is given by name.

    Raises `FormatError` where one that was a result of TimeSide 1 before holds a malformed note of it.
    """
    if (note := result.provenance.notes.get(NOTE)) is not None:
        with well_formed(f"note {NOTE!r} of result {result.id!r}"):
            made = _noted(read_json(json.dumps(note)))
            _fill(made, result, np.array(note["label_ids"], int))
    else:
        made = AnalyzerResult(result.output.data_mode, result.output.time_mode)
        _describe(made, result)
        made.id_metadata.name, made.id_metadata.proc_uuid, made.audio_metadata.sha1 = name, proc_uuid, sha1
        made.parameters.update(result.provenance.parameters if parameters is None else parameters)
        _fill(made, result, np.arange(len(result.output.labels)))
    made.remember(result)
    return made


def to_native(result: AnalyzerResult, provenance: Provenance | None = None) -> Result:
    """A result of the native library; raises `FormatError` where parameters are no JSON."""
    origin = result.origin
    if origin is None:
        origin = _made_native(result, provenance or _provenance(result))
    ids = _label_ids(result)
    try:
        fields = json.loads(json.dumps(_fields(result), default=json_like))
    except (TypeError, ValueError) as error:
        raise FormatError(f"result {result.id!r} cannot be written: {error}") from None
    notes = {**origin.provenance.notes, NOTE: {**fields, "label_ids": ids}}
    timed = result.time_mode in ("event", "segment")
    return replace(
        origin,
        id=result.id,
        output=_output(result) if result.data_mode == "label" else origin.output,
        values=np.searchsorted(ids, result.data) if result.data_mode == "label" else result.data,
        event_times=np.asarray(result.time) if timed else np.empty(0),
        event_durations=result.duration if result.time_mode == "segment" else np.empty(0),
        provenance=replace(origin.provenance, notes=notes),
    )


def clock_of(result: AnalyzerResult, samplerate: int) -> Stream:
    """Clock of framewise rows, whose times are the centres of frames."""
    if result.time_mode != "framewise":
        return Stream(samplerate=samplerate, start_s=result.audio_metadata.start)
    frames = result.data_object.frame_metadata
    rate, length = round(frames.samplerate or samplerate), round(frames.blocksize or 1)
    return Stream(
        samplerate=rate,
        hop_length=round(frames.stepsize or length),
        frame_length=length,
        start_s=result.audio_metadata.start + length / 2 / rate,
    )


def _describe(made: AnalyzerResult, result: Result) -> None:
    provenance, media, segment = result.provenance, result.provenance.media, result.provenance.segment
    created = datetime.fromisoformat(provenance.created) if provenance.created else None
    made.id_metadata = {  # pyright: ignore[reportAttributeAccessIssue]  # a dict adds to what is there
        "id": result.id,
        "unit": result.output.unit,
        "description": result.output.description,
        "date": created and created.strftime("%Y-%m-%d %H:%M:%S"),
        "version": provenance.version,
        "author": "TimeSide",
    }
    made.audio_metadata = {  # pyright: ignore[reportAttributeAccessIssue]
        "uri": media.uri,
        "start": segment.first_sample / media.samplerate,
        "duration": result.duration_s,
        "is_segment": not segment.whole,
        "channels": media.channels,
    }
    if result.output.time_mode == "framewise":
        frames = made.data_object.frame_metadata
        frames.samplerate = result.stream.samplerate
        frames.blocksize, frames.stepsize = result.stream.frame_length, result.stream.hop_length
    if result.output.labels:
        made.data_object.label_metadata.label = dict(enumerate(result.output.labels))


def _noted(note: dict[str, Any]) -> AnalyzerResult:
    made = AnalyzerResult(note["data_mode"], note["time_mode"])
    made.from_dict({name: note[name] for name in made.keys()})  # noqa: SIM118 (its iterator gives no str to pyright)
    return made


def _fill(made: AnalyzerResult, result: Result, label_ids: Array) -> None:
    data = made.data_object
    if made.data_mode == "label":
        data.label = label_ids[result.values]
    else:
        known = result.values.dtype.type in numpy_data_types  # not float16, not bool
        data.value = result.values if known else result.values.astype(np.float32)
        if isinstance(result.bins, np.ndarray):
            data.y_value = result.bins
    if made.time_mode in ("event", "segment"):
        data.time = result.event_times - made.audio_metadata.start
    if made.time_mode == "segment":
        data.duration = result.event_durations


def _fields(result: AnalyzerResult) -> dict[str, Any]:
    """All but the arrays, which the native result has."""
    fields = result.as_dict()
    arrays = ("value", "y_value", "label", "time", "duration")
    fields["data_object"] = {name: value for name, value in fields["data_object"].items() if name not in arrays}
    return fields


def _label_ids(result: AnalyzerResult) -> list[int]:
    """Numbers of labels in order: those of the vocabulary, and those that rows have besides."""
    if result.data_mode == "value":
        return []
    named: dict[Any, str] = result.data_object.label_metadata.label or {}
    return sorted({*map(int, named), *result.data.tolist()})


def _made_native(result: AnalyzerResult, provenance: Provenance) -> Result:
    y_value: Array = getattr(result.data_object, "y_value", np.empty(0))
    return Result(
        id=result.id,
        output=_output(result),
        values=result.data,
        stream=clock_of(result, provenance.media.samplerate),
        provenance=provenance,
        bins=y_value if y_value.size else None,
    )


def _output(result: AnalyzerResult) -> Output:
    labels: tuple[str, ...] = ()
    if result.data_mode == "label":
        given: dict[Any, str] = result.data_object.label_metadata.label or {}
        named = {int(id): name for id, name in given.items()}
        labels = tuple(str(named.get(id, id)) for id in _label_ids(result))
    about = result.id_metadata
    return OUTPUTS[result.time_mode](unit=about.unit, description=about.description, labels=labels)


def _provenance(result: AnalyzerResult) -> Provenance:
    """Where a result comes from, as far as one made by hand tells."""
    audio = result.audio_metadata
    frames = getattr(result.data_object, "frame_metadata", None)
    samplerate = round((frames and frames.samplerate) or UNKNOWN_SAMPLERATE)
    first = round(audio.start * samplerate)
    length = None if audio.duration is None else round(audio.duration * samplerate)
    whole = length if length is None else first + length
    return Provenance(
        processor=result.id.partition(".")[0],
        version=result.id_metadata.version,
        parameters={},
        digest="",
        media=Media(uri=audio.uri, samplerate=samplerate, channels=audio.channels or 1, samples=whole),
        segment=Segment(first, length) if audio.is_segment else Segment(),
    )
