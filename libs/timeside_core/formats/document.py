"""A result as a document, plain fields and arrays: the one form that every lossless format writes and reads."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from timeside_core.audio import Array, Stream
from timeside_core.errors import FormatError
from timeside_core.formats.typed import built, plain, require
from timeside_core.outputs import Events, Framewise, Output, Segments, Value
from timeside_core.results import Provenance, Result, Results

FORMAT = "timeside-results"
VERSION = 1
"""Raised when older readers would misread what is written."""

_FLOATS = ("float16", "float32", "float64")
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", *_FLOATS)
"""Types of numbers that every format holds exactly."""

ARRAYS = ("values", "event_times", "event_durations", "bins")
OUTPUTS: dict[str, type[Output]] = {each.time_mode: each for each in (Value, Framewise, Events, Segments)}


@dataclass(frozen=True, slots=True)
class Document:
    """A result taken apart. `bins` are a field where they are names, an array where they are positions."""

    fields: dict[str, Any]
    arrays: dict[str, Array]


@dataclass(frozen=True, slots=True)
class _Fields:
    id: str
    output: Mapping[str, Any]
    """Fields of the output, and its `time_mode`."""
    stream: Stream
    provenance: Provenance
    bins: tuple[str, ...] | None = None


def documents(results: Results) -> dict[str, Document]:
    """Documents of all results, in order, by unique name."""
    return dict(zip(names(results), map(document, results), strict=True))


def names(results: Iterable[Result]) -> list[str]:
    """Unique names: the id, with `#2`, `#3`, … where an id comes again (other parameters, other effects)."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for result in results:
        seen[result.id] += 1
        found.append(result.id if seen[result.id] == 1 else f"{result.id}#{seen[result.id]}")
    return found


def header() -> dict[str, Any]:
    """How a file says what it is."""
    return {"format": FORMAT, "version": VERSION}


def check_header(fields: Any) -> None:
    """Raise `FormatError` unless a file says that it is ours, and of the version that is known."""
    given = cast("dict[str, Any]", fields if isinstance(fields, dict) else {})
    if given.get("format") != FORMAT:
        raise FormatError("holds no TimeSide results")
    require(given.get("version") == VERSION, "version", given.get("version"), f"{VERSION}, the one that is known")


def document(result: Result) -> Document:
    """Take a result apart; raises `FormatError` where it holds what no file could give back."""
    named = result.bins if isinstance(result.bins, tuple) else None
    output = {"time_mode": result.output.time_mode, **plain(result.output, "output")}
    fields = _Fields(result.id, output, result.stream, result.provenance, named)
    arrays = {"values": result.values, "event_times": result.event_times, "event_durations": result.event_durations}
    if result.bins is not None and named is None:
        arrays["bins"] = np.asarray(result.bins)
    _check(result)
    kept = {name: _native(array, name) for name, array in arrays.items() if not _absent(name, array)}
    return Document(plain(fields, result.id), kept)


def restore(document: Document) -> Result:
    """Put a result together; raises `FormatError` naming what is not as it must be."""
    fields = built(_Fields, plain(document.fields, "result"), "result")
    output = dict(fields.output)
    time_mode = output.pop("time_mode", None)
    require(time_mode in tuple(OUTPUTS), f"{fields.id}.output.time_mode", time_mode, f"one of {', '.join(OUTPUTS)}")
    arrays = {name: _native(array, name) for name, array in document.arrays.items()}
    require("values" in arrays, f"{fields.id}: arrays", sorted(arrays), "complete: there are always values")
    require(arrays.keys() <= set(ARRAYS), f"{fields.id}: arrays", sorted(arrays), f"among {', '.join(ARRAYS)}")
    bins = arrays.pop("bins", None)
    require(fields.bins is None or bins is None, f"{fields.id}.bins", fields.bins, "either names or positions")
    result = Result(
        id=fields.id,
        output=built(OUTPUTS[time_mode], output, f"{fields.id}.output"),
        stream=fields.stream,
        provenance=fields.provenance,
        bins=fields.bins if bins is None else bins,
        **arrays,
    )
    _check(result)
    return result


def _native(array: Any, name: str) -> Array:
    array = np.asarray(array)
    require(array.dtype.name in DTYPES, name, array.dtype, f"of one of {', '.join(DTYPES)}")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)


def _absent(name: str, array: Array) -> bool:
    """Whether an array is what a result has by itself where it has no times."""
    return name.startswith("event_") and array.shape == (0,) and array.dtype == np.float64


def _check(result: Result) -> None:
    """Raise `FormatError` where fields contradict each other, so that whoever has a result can rely on them."""
    id, output, stream = result.id, result.output, result.stream
    media, segment = result.provenance.media, result.provenance.segment
    require(id.isprintable() and id.strip("._") != "" and not set(id) & set("/\\#"), "id", id, "a name without / \\ #")
    _check_count(f"{id}.stream.samplerate", stream.samplerate, 1)
    _check_count(f"{id}.stream.hop_length", stream.hop_length, 1)
    _check_count(f"{id}.provenance.media.samplerate", media.samplerate, 1)
    _check_count(f"{id}.provenance.media.samples", media.samples or 0, 0)
    _check_count(f"{id}.provenance.segment.first_sample", segment.first_sample, 0)
    _check_count(f"{id}.provenance.segment.samples", segment.samples or 0, 0)
    require(result.values.ndim > 0 or output.time_mode == "global", f"{id}.values", result.values, "rows")
    if output.time_mode in ("event", "segment"):
        _check_times(f"{id}.event_times", result.event_times, len(result))
    if output.time_mode == "segment":
        _check_times(f"{id}.event_durations", result.event_durations, len(result))
    if output.labels:
        _check_labels(f"{id}.values", result.values, len(output.labels))


def _check_count(name: str, count: int, least: int) -> None:
    require(least <= count <= 1 << 53, name, count, f"a count from {least} on")


def _check_times(name: str, times: Array, rows: int) -> None:
    require(times.shape == (rows,), f"{name} of shape", times.shape, f"one for each of {rows} rows")
    require(times.dtype.kind in "fiu" and bool(np.isfinite(times).all()), name, times, "finite seconds")


def _check_labels(name: str, values: Array, labels: int) -> None:
    require(values.dtype.kind in "iu", f"{name} of type", values.dtype, "integers, the indices of labels")
    inside = not values.size or 0 <= int(values.min()) <= int(values.max()) < labels
    require(inside, name, values, f"indices of {labels} labels")
