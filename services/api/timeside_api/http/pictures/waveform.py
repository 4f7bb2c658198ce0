"""A span of a waveform in as many points as a client has pixels, from the coarsest level that has so many."""

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic_core import to_json

from timeside_core.audio import Array
from timeside_core.store import StoredResult
from timeside_core.store.reader import level_clock, level_for, rows_between

ANALYZER = "waveform_analyzer"
Format: TypeAlias = Literal["json", "raw"]
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "raw": "application/octet-stream"}
_OUTPUTS = ("min", "max", "rms")


def encoded(
    stored: StoredResult, start_s: float | None, stop_s: float | None, pixels: int, format: Format
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer."""
    first, last = rows_between(stored.stream, stored.rows("min"), start_s, stop_s)
    level = level_for(last - first, pixels, stored.outputs["min"]["levels"])
    first, last = first >> level, math.ceil(last / (1 << level))
    rows = (stored.slice(each, first, last, level=level) for each in _OUTPUTS)
    low, high, rms = reduced(*(each.reshape(len(each), -1) for each in rows), pixels=pixels)
    clock = level_clock(stored.stream, level)
    begin_s = clock.start_s + (first - 0.5) / clock.row_rate
    facts: dict[str, Any] = {
        "start_s": begin_s,
        "stop_s": begin_s + (last - first) / clock.row_rate,
        "channels": low.shape[1],
        "pixels": len(low),
    }
    values = np.stack([each.T for each in (low, high, rms)]).astype("<f4")
    if format == "raw":
        shape = ",".join(map(str, values.shape))
        times = {"TimeSide-Start-S": str(facts["start_s"]), "TimeSide-Stop-S": str(facts["stop_s"])}
        return values.tobytes(), {"TimeSide-Dtype": "float32", "TimeSide-Shape": shape, **times}
    return to_json(facts | dict(zip(_OUTPUTS, values.tolist(), strict=True)), inf_nan_mode="null"), {}


def reduced(low: Array, high: Array, rms: Array, *, pixels: int) -> tuple[Array, Array, Array]:
    """At most so many points, each of nearly as many rows; shapes `(rows, channels)` to `(points, channels)`."""
    points = min(pixels, len(low))
    if not points:
        return low, high, rms
    starts = np.arange(points) * len(low) // points
    counts = np.diff(np.append(starts, len(low)))[:, np.newaxis]
    energy = np.add.reduceat(np.square(rms, dtype=float), starts) / counts
    return np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts), np.sqrt(energy)
