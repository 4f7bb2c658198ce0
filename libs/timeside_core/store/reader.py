"""Results read back: facts, any slice of rows at any level, tiles as they lie there."""

import hashlib
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from zarr.storage import ObjectStore

from timeside_core.audio import Array, Stream
from timeside_core.errors import StoreError
from timeside_core.formats.document import OUTPUTS
from timeside_core.formats.typed import built
from timeside_core.outputs import Output
from timeside_core.pyramid import TILE_ROWS, WAVEFORM_ROWS
from timeside_core.results import Provenance, Result, Results
from timeside_core.store.arrays import zarr
from timeside_core.store.objects import Objects
from timeside_core.store.writer import MANIFEST, VERSION

ROWS_PER_COLUMN = 4
"""Rows that a column of a picture is drawn from, at least: a row at its side then moves it by a quarter of a pixel."""
MARGIN_ROWS = 64
"""Rows beyond the span that are read too: lines are drawn, and colours read, from one row to the next."""
CHECKSUM_BYTES = 4
"""What the crc32c codec appends to a chunk."""
_ABSENT = (1 << 64) - 1
"""Offset and length of a chunk that a shard does not hold."""


class StoredResult:
    """A whole result in the store. Reading checks the checksum of every chunk; `StoreError` says what is damaged."""

    def __init__(self, objects: Objects, prefix: str, *, manifest_sha256: str | None = None) -> None:
        """`manifest_sha256`, where known, must match."""
        self.prefix = prefix
        self._here = objects.below(prefix)
        data = self._here.get(MANIFEST)
        if manifest_sha256 is not None and hashlib.sha256(data).hexdigest() != manifest_sha256:
            raise StoreError(f"manifest of {prefix} is not the one that was stored: its SHA-256 differs")
        try:
            self.manifest: dict[str, Any] = json.loads(data)
            self.version = int(self.manifest["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"manifest of {prefix} cannot be read: {error}") from error
        if self.version != VERSION:
            raise StoreError(f"manifest of {prefix} has version {self.version}; {VERSION} is known")

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Facts of each output by name: fields of the declaration, rows, levels, dtype, bins."""
        return self.manifest["outputs"]

    @cached_property
    def provenance(self) -> Provenance:
        """Where the result comes from."""
        return built(Provenance, self.manifest["provenance"], "provenance")

    @cached_property
    def stream(self) -> Stream:
        """Clock of framewise rows."""
        return built(Stream, self.manifest["stream"], "stream")

    def output(self, name: str) -> Output:
        """Declaration of an output."""
        facts = self._facts(name)
        known = {"time_mode", "bins_at", "value", "dtype", "rows", "levels", "row_shape"}
        fields = {key: value for key, value in facts.items() if key not in known}
        return built(OUTPUTS[facts["time_mode"]], fields, f"output {name!r}")

    def rows(self, output: str, level: int = 0) -> int:
        """Rows of an output at a level."""
        facts = self._facts(output)
        if facts["time_mode"] == "global":
            return 0 if facts["value"] is None else 1
        if not 0 <= level <= facts["levels"]:
            raise StoreError(f"level={level} of {output!r} must be between 0 and {facts['levels']}")
        return facts["rows"] if level == 0 else int(self._array(output, f"levels/{level}").shape[0])

    def slice(
        self, output: str, start: int = 0, stop: int | None = None, *, level: int = 0, part: str = "values"
    ) -> Array:
        """Rows `start` to `stop` of an output; `part` may be `times` or `durations` of events and segments."""
        facts = self._facts(output)
        if facts["time_mode"] == "global":
            value = facts["value"]
            return np.empty(0, _dtype(facts)) if value is None else np.asarray(value, dtype=facts["dtype"])
        rows = self.rows(output, level)
        if not rows:
            dtype = facts.get("dtype", _dtype(facts)) if part == "values" else "float64"
            return np.empty((0, *facts.get("row_shape", ())) if part == "values" else 0, dtype)
        first, last, _ = slice(start, stop).indices(rows)
        try:
            return self._array(output, part if level == 0 else f"levels/{level}")[first:last]
        except StoreError:
            raise
        except Exception as error:  # zarr and its codecs raise all kinds on damaged bytes
            raise StoreError(f"rows of {output!r} of {self.prefix} cannot be read: {error}") from error

    def tile(self, output: str, level: int, index: int) -> tuple[bytes, int]:
        """A tile of an output made for display: a gzip stream of its rows as they lie there, and how many count."""
        facts = self._facts(output)
        if facts["time_mode"] != "framewise" or facts["pooling"] == "summary":
            raise StoreError(f"output {output!r} has no tiles: it is not made for display")
        rows = self.rows(output, level)
        tile_rows = TILE_ROWS if facts.get("dtype") == "uint8" else WAVEFORM_ROWS
        tiles = -(-rows // tile_rows)
        if not 0 <= index < tiles:
            raise StoreError(f"tile index={index} of {output!r} at level {level} must be below {tiles}")
        chunk = self._chunk(output, "values" if level == 0 else f"levels/{level}", index)
        return chunk[:-CHECKSUM_BYTES], min(tile_rows, rows - index * tile_rows)

    def results(self) -> Results:
        """All outputs as results in memory."""
        return Results([self._result(name, self.slice(name), self.stream) for name in self.outputs])

    def pieces(self, rows: int) -> Iterator[Result]:
        """All outputs as results in memory, one after the other, of so many consecutive rows at most; none is empty."""
        for name in self.outputs:
            step_s = 0.0 if self._facts(name)["time_mode"] == "global" else 1 / self.stream.row_rate
            for first in range(0, self.rows(name), rows):
                clock = replace(self.stream, start_s=self.stream.start_s + first * step_s)
                yield self._result(name, self.slice(name, first, first + rows), clock, first, first + rows)

    def shown(self, start_s: float | None, stop_s: float | None, columns: int) -> Results:
        """All outputs as results in memory, of which those made for display have what so many columns need.

        Such an output has the rows that lie between two times (by default all), a few more on both sides, and is of
        the coarsest level that has `ROWS_PER_COLUMN` rows or more to a column; its stream is the clock of that level.
        """
        return Results([self._shown(name, start_s, stop_s, columns) for name in self.outputs])

    def _shown(self, name: str, start_s: float | None, stop_s: float | None, columns: int) -> Result:
        facts = self._facts(name)
        if facts["time_mode"] != "framewise" or facts["pooling"] == "summary" or not facts["rows"]:
            return self._result(name, self.slice(name), self.stream)
        first, last = rows_between(self.stream, facts["rows"], start_s, stop_s)
        level = level_for(last - first, ROWS_PER_COLUMN * columns, facts["levels"])
        first, last = max(0, (first >> level) - MARGIN_ROWS), (last >> level) + MARGIN_ROWS
        clock = level_clock(self.stream, level)
        clock = replace(clock, start_s=clock.start_s + first * clock.hop_length / clock.samplerate)
        return self._result(name, self.slice(name, first, last, level=level), clock)

    def _result(self, name: str, values: Array, stream: Stream, first: int = 0, last: int | None = None) -> Result:
        facts = self._facts(name)
        timed, lasting = facts["time_mode"] in ("event", "segment"), facts["time_mode"] == "segment"
        bins = facts["bins_at"]
        named = bool(bins) and isinstance(bins[0], str)
        id = self.provenance.processor
        return Result(
            id=f"{id}.{name}" if name else id,
            output=self.output(name),
            values=values,
            stream=stream,
            provenance=self.provenance,
            event_times=self.slice(name, first, last, part="times") if timed else np.empty(0),
            event_durations=self.slice(name, first, last, part="durations") if lasting else np.empty(0),
            bins=None if bins is None else tuple(bins) if named else np.asarray(bins),
        )

    def _facts(self, output: str) -> dict[str, Any]:
        if output not in self.outputs:
            raise StoreError(f"{self.prefix} has no output {output!r}; it has {', '.join(map(repr, self.outputs))}")
        return self.outputs[output]

    def _array(self, output: str, name: str) -> Any:
        path = f"{output or 'result'}/{name}"
        if path not in self._arrays:
            self._arrays[path] = zarr.open_array(ObjectStore(self._here.backend, read_only=True), path=path, mode="r")
        return self._arrays[path]

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        return {}

    def _chunk(self, output: str, name: str, index: int) -> bytes:
        """Encoded bytes of an inner chunk: all of its object, or a range that the shard's index tells."""
        array = self._array(output, name)
        trailing = "/0" * (array.ndim - 1)
        path = f"{output or 'result'}/{name}/c"
        if array.shards is None:
            return self._here.get(f"{path}/{index}{trailing}")
        in_shard = array.shards[0] // array.chunks[0]
        shard = f"{path}/{index // in_shard}{trailing}"
        size = self._here.size(shard)
        if size is None:
            raise StoreError(f"object {shard!r} of {self.prefix} is missing")
        entry = self._here.get_range(shard, size - CHECKSUM_BYTES - 16 * (in_shard - index % in_shard), 16)
        offset, length = struct.unpack("<QQ", entry)
        if offset == _ABSENT:
            raise StoreError(f"tile {index} of {name!r} of {self.prefix} is missing")
        return self._here.get_range(shard, offset, length)


def rows_between(stream: Stream, rows: int, start_s: float | None, stop_s: float | None) -> tuple[int, int]:
    """The first row, and one past the last, of so many that a span touches; a row reaches half a hop to both sides."""
    first = 0 if start_s is None else math.floor((start_s - stream.start_s) * stream.row_rate + 0.5)
    last = rows if stop_s is None else math.ceil((stop_s - stream.start_s) * stream.row_rate + 0.5)
    return min(max(first, 0), rows), min(max(last, 0), rows)


def level_for(rows: int, wanted: int, levels: int) -> int:
    """The coarsest of so many levels, each of half as many rows, at which `rows` rows are still `wanted` or more."""
    return min(levels, max(0, (rows // max(1, wanted)).bit_length() - 1))


def level_clock(stream: Stream, level: int) -> Stream:
    """Clock of a level, of which each row stands for two of the one below."""
    each_for = 1 << level
    return replace(
        stream,
        hop_length=stream.hop_length * each_for,
        frame_length=stream.frame_length * each_for,
        start_s=stream.start_s + (each_for - 1) / 2 * stream.hop_length / stream.samplerate,
    )


def _dtype(facts: dict[str, Any]) -> str:
    """Of an output that has no rows to tell."""
    return "int32" if facts["labels"] else "float32"
