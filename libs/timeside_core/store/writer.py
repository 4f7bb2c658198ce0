"""Results on their way into the store: rows as they come, the manifest last."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from timeside_core.audio import Array, Stream
from timeside_core.formats.typed import plain
from timeside_core.outputs import Framewise, Output, Rows
from timeside_core.pyramid import TILE_ROWS, WAVEFORM_ROWS
from timeside_core.results import Provenance
from timeside_core.store.arrays import GrowingArray, Recorded, zarr
from timeside_core.store.levels import Levels
from timeside_core.store.objects import Objects

MANIFEST = "manifest.json"
VERSION = 1
"""Of the manifest; raised when older readers would misread it."""


@dataclass(frozen=True, slots=True)
class ResultKey:
    """What a result is known by: the same key, the same result."""

    media_sha256: str
    processor: str
    version: str
    digest: str

    def prefix(self, leaf: str) -> str:
        """Where a writer's objects lie; each writer draws a leaf of its own, so that no two ever touch the same."""
        media = self.media_sha256
        return f"results/v1/{media[:2]}/{media}/{self.processor}/{self.version}/{self.digest[:16]}/{leaf}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A result that is whole: where it lies, and the SHA-256 of its manifest."""

    prefix: str
    manifest_sha256: str
    size: int
    """Size of all its objects, bytes."""


class ResultWriter:
    """Writes one result, the outputs of one processor over one media, below a prefix that nobody else writes to.

    Nothing is visible before `finish` has returned and its `Stored` is known to whoever keeps the keys. A writer that
    is given up leaves an orphan, which `sweep` removes.
    """

    def __init__(self, objects: Objects, key: ResultKey, outputs: Mapping[str, Output]) -> None:
        self.prefix = key.prefix(uuid.uuid4().hex)
        self._key, self._objects, self._outputs = key, objects, outputs
        self._here = objects.below(self.prefix)
        self._store = Recorded(self._here.backend)
        self._root: Any = None
        self._writers = {name: _OutputWriter(self, name, output) for name, output in outputs.items()}

    def append(self, output: str, rows: Rows) -> None:
        """Take the next rows of an output."""
        self._writers[output].append(rows)

    def finish(
        self, provenance: Provenance, stream: Stream, bins: Mapping[str, Array | tuple[str, ...] | None]
    ) -> Stored:
        """Write what is held, make it lasting, and write the manifest."""
        outputs = {name: writer.finish(bins.get(name)) for name, writer in self._writers.items()}
        self._here.sync()
        written = self._store.written
        manifest = {
            "format": "timeside-result",
            "version": VERSION,
            "media_sha256": self._key.media_sha256,
            "digest": self._key.digest,
            "provenance": plain(provenance, "provenance"),
            "stream": plain(stream, "stream"),
            "outputs": outputs,
            "objects": {name: {"size": size, "sha256": sha256} for name, (size, sha256) in written.items()},
        }
        data = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
        self._here.put(MANIFEST, data)
        self._here.sync_object(MANIFEST)
        size = len(data) + sum(size for size, _ in written.values())
        return Stored(self.prefix, hashlib.sha256(data).hexdigest(), size)

    def group(self, output: str) -> Any:
        """The Zarr group of an output, made when it is first needed."""
        if self._root is None:
            self._root = zarr.create_group(self._store, zarr_format=3)
        return self._root.create_group(output or "result")


class _OutputWriter:
    """Arrays of one output; a global value is kept in the manifest."""

    def __init__(self, writer: ResultWriter, name: str, output: Output) -> None:
        self._writer, self._name, self._output = writer, name, output
        self._group: Any = None
        self._arrays: dict[str, GrowingArray] = {}
        self._levels: Levels | None = None
        self._value: Array | None = None

    def append(self, rows: Rows) -> None:
        if self._output.time_mode == "global":
            self._value = rows.values[-1]
            return
        if self._group is None:
            self._create(rows.values)
        self._arrays["values"].append(rows.values)
        if self._levels is not None:
            self._levels.append(rows.values)
        for name, column in (("times", rows.times), ("durations", rows.durations)):
            if name in self._arrays:
                self._arrays[name].append(column)

    def finish(self, bins: Array | tuple[str, ...] | None) -> dict[str, Any]:
        """Write the rest; what the manifest says of the output."""
        facts: dict[str, Any] = {"time_mode": self._output.time_mode, **plain(self._output, "output")}
        facts["bins_at"] = bins.tolist() if isinstance(bins, np.ndarray) else bins
        if self._output.time_mode == "global":
            if self._value is None:
                return facts | {"value": None, "dtype": ""}
            value = np.asarray(self._value)
            return facts | {"value": value.tolist(), "dtype": value.dtype.name}
        if self._group is None:
            return facts | {"rows": 0, "levels": 0}
        for name, array in self._arrays.items():
            array.finish(np.empty((0, *self._trailing), self._dtype) if name == "values" else np.empty(0))
        levels = self._levels.finish() if self._levels is not None else 0
        rows = self._arrays["values"].rows
        return facts | {"rows": rows, "levels": levels, "dtype": self._dtype.name, "row_shape": list(self._trailing)}

    def _create(self, values: Array) -> None:
        self._group = self._writer.group(self._name)
        self._dtype, self._trailing = values.dtype, values.shape[1:]
        tile_rows = None
        if isinstance(self._output, Framewise):
            tiles = values.dtype == np.uint8
            if self._output.pooling != "summary":
                tile_rows = TILE_ROWS if tiles else WAVEFORM_ROWS
            if not self._output.labels:
                self._levels = Levels(self._output.pooling, lambda level: self._level(level, tile_rows), tiles=tiles)
        self._arrays["values"] = GrowingArray(self._group, "values", tile_rows=tile_rows)
        if self._output.time_mode in ("event", "segment"):
            self._arrays["times"] = GrowingArray(self._group, "times")
        if self._output.time_mode == "segment":
            self._arrays["durations"] = GrowingArray(self._group, "durations")

    def _level(self, level: int, tile_rows: int | None) -> GrowingArray:
        return GrowingArray(self._group, f"levels/{level}", tile_rows=tile_rows)
