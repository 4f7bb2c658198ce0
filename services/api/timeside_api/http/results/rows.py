"""Rows of a result as answers: JSON, raw numbers, Arrow; bounded, and cut to what was asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic_core import to_json

from timeside_api.http.problems import Problem, invalid
from timeside_core.audio import Array
from timeside_core.store import StoredResult
from timeside_core.store.levels import FACTORS

Format: TypeAlias = Literal["json", "raw", "arrow"]
MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "raw": "application/octet-stream",
    "arrow": "application/vnd.apache.arrow.stream",
}
_JSON_GROWTH = 8
"""Bytes of JSON for a byte of numbers, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which rows, and how."""

    output: str
    level: int
    start: int
    stop: int | None
    format: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows from `start` on, of `total` at their level."""

    start: int
    total: int
    values: Array
    timing: Mapping[str, Any]
    """`start_s` and `step_s` of framewise rows, `times` (and `durations`) of events (and segments)."""


def encoded(stored: StoredResult, wanted: Slice, max_bytes: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer."""
    found = _found(stored, wanted, max_bytes // _JSON_GROWTH if wanted.format == "json" else max_bytes)
    if wanted.format == "json":
        return _json(wanted, found), {}
    body = _arrow(found) if wanted.format == "arrow" else _raw(found.values).tobytes()
    values = found.values if wanted.format == "arrow" else _raw(found.values)
    headers = {
        "TimeSide-Dtype": values.dtype.name,
        "TimeSide-Shape": ",".join(map(str, values.shape)),
        "TimeSide-First-Row": str(found.start),
        "TimeSide-Total-Rows": str(found.total),
    }
    return body, headers | {f"TimeSide-{name.replace('_', '-').title()}": str(value) for name, value in _clock(found)}


def _found(stored: StoredResult, wanted: Slice, max_bytes: int) -> Rows:
    facts = stored.outputs[wanted.output]
    if facts["time_mode"] == "global":
        value = stored.slice(wanted.output)
        return Rows(start=0, total=stored.rows(wanted.output), values=value, timing={})
    if not 0 <= wanted.level <= facts["levels"]:
        raise invalid("level", f"must be between 0 and {facts['levels']}")
    total = stored.rows(wanted.output, wanted.level)
    start = min(wanted.start, total)
    stop = _stop(wanted, start, total, max_bytes // _row_bytes(facts, wanted.level))
    values = stored.slice(wanted.output, start, stop, level=wanted.level)
    return Rows(start=start, total=total, values=values, timing=_timing(stored, wanted, facts, start, stop))


def _stop(wanted: Slice, start: int, total: int, most: int) -> int:
    """One past the last row: as asked for, else as many as fit."""
    if wanted.stop is None:
        return min(total, start + max(1, most))
    if wanted.stop < wanted.start:
        raise invalid("stop", f"must not be less than start={wanted.start}")
    stop = min(wanted.stop, total)
    if stop - start > max(1, most):
        raise Problem(422, "too-many-rows", f"{stop - start} rows were asked for; {most} at a time can be had")
    return stop


def _row_bytes(facts: Mapping[str, Any], level: int) -> int:
    pooled = level > 0 and facts.get("pooling") == "summary"
    dtype = np.dtype("float32" if pooled else facts.get("dtype", "float32"))
    return max(1, dtype.itemsize * int(np.prod(facts.get("row_shape", ()), dtype=int)) * (3 if pooled else 1))


def _timing(stored: StoredResult, wanted: Slice, facts: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    if facts["time_mode"] == "framewise":
        stream, each_stands_for = stored.stream, FACTORS[facts["pooling"]] ** wanted.level
        step_s = stream.hop_length / stream.samplerate
        first_s = stream.start_s + step_s * (each_stands_for - 1) / 2
        return {"start_s": first_s + start * step_s * each_stands_for, "step_s": step_s * each_stands_for}
    parts = ("times",) if facts["time_mode"] == "event" else ("times", "durations")
    return {part: stored.slice(wanted.output, start, stop, part=part) for part in parts}


def _clock(found: Rows) -> list[tuple[str, Any]]:
    return [(name, found.timing[name]) for name in ("start_s", "step_s") if name in found.timing]


def _raw(values: Array) -> Array:
    """Numbers as a client with typed arrays reads them: bytes stay bytes, all else is float32, little-endian."""
    return np.ascontiguousarray(values, "u1" if values.dtype == np.uint8 else "<f4")


def _json(wanted: Slice, found: Rows) -> bytes:
    timing = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.timing.items()}
    document = {
        "level": wanted.level,
        "first_row": found.start,
        "total_rows": found.total,
        **timing,
        "values": found.values.tolist(),
    }
    return to_json(document, inf_nan_mode="null")


def _arrow(found: Rows) -> bytes:
    """One record batch: a column of times where rows have their own, and a column of values, as lists where wide."""
    import pyarrow

    arrow: Any = pyarrow  # its types are incomplete
    values = found.values if found.values.ndim else found.values[np.newaxis]
    flat = arrow.array(values.reshape(-1))
    for width in reversed(values.shape[1:]):
        flat = arrow.FixedSizeListArray.from_arrays(flat, width)
    columns = {name: arrow.array(value) for name, value in found.timing.items() if isinstance(value, np.ndarray)}
    batch = arrow.record_batch({**columns, "values": flat})
    about = {"first_row": found.start, "total_rows": found.total, **dict(_clock(found))}
    batch = batch.replace_schema_metadata({"timeside": json.dumps(about)})
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
