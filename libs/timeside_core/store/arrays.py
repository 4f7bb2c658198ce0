"""Arrays that grow by rows and are written in whole chunks only: short ones plain, long ones in shards."""

import gzip
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr as _zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore

from timeside_core.audio import Array

zarr: Any = _zarr  # its types are incomplete

CHUNK_BYTES = 1 << 20
"""Size of a chunk before compression: one read of a bucket, a few milliseconds to decode."""
SHARD_CHUNKS = 16
"""Chunks in a shard; a shard is held in memory until it is full."""
TILE_SHARD_CHUNKS = 64
"""Tiles in a shard: three hours are 1,800 tiles, but 29 objects."""
PLAIN_CHUNKS = 8
"""An array of at most so many chunks is written without shards."""


class Recorded(ObjectStore[Any]):
    """A place that one writer has to itself: what it has not put there is not there, and need not be asked for.

    Notes size and SHA-256 of each object that is put into it.
    """

    def __init__(self, store: Any, *, read_only: bool = False) -> None:
        super().__init__(store, read_only=read_only)
        self.written: dict[str, tuple[int, str]] = {}
        self._metadata: dict[str, Buffer] = {}

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Look at an object; Zarr looks at all groups above an array that it makes."""
        if key in self._metadata and byte_range is None:
            return self._metadata[key]
        return await super().get(key, prototype, byte_range) if key in self.written else None

    async def set(self, key: str, value: Buffer) -> None:
        """Put an object; the last one of a name counts."""
        await super().set(key, value)
        data = value.to_bytes()
        self.written[key] = (len(data), hashlib.sha256(data).hexdigest())
        if key.endswith("zarr.json"):
            self._metadata[key] = value

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Put an object, unless it was."""
        if key not in self.written:
            await self.set(key, value)


class _Gzip:
    def __init__(self, level: int) -> None:
        self.level = level

    def encode(self, data: Any) -> bytes:
        return gzip.compress(data, self.level, mtime=0)

    def decode(self, data: Any) -> bytes:
        return gzip.decompress(data)


@dataclass(frozen=True)
class TimelessGzip(GzipCodec):
    """Gzip without the time of writing in its header, so that equal tiles are equal bytes."""

    @cached_property
    def _gzip_codec(self) -> Any:
        return _Gzip(self.level)


def array_compressors() -> list[Any]:
    """For arrays that our readers decode."""
    return [ZstdCodec(level=1), Crc32cCodec()]


def tile_compressors() -> list[Any]:
    """For tiles that are served as they are: without the four last bytes, the checksum, a chunk is a gzip stream."""
    return [TimelessGzip(level=5), Crc32cCodec()]


class GrowingArray:
    """An array of rows, written to a Zarr group as whole chunks or shards fill up."""

    def __init__(self, group: Any, name: str, *, tile_rows: int | None = None) -> None:
        """`tile_rows` makes it an array of tiles of so many rows."""
        self._group, self._name, self._tile_rows = group, name, tile_rows
        self._held: list[Array] = []
        self._held_rows = 0
        self._array: Any = None
        self._chunk_rows = 0
        self.rows = 0
        """Rows so far."""

    def append(self, rows: Array) -> None:
        """Take the next rows, shape `(rows, …)`; always the same dtype and trailing shape."""
        if not self._chunk_rows:
            self._chunk_rows = self._tile_rows or chunk_rows(rows)
        self._held.append(rows)
        self._held_rows += len(rows)
        self.rows += len(rows)
        if self._array is None and self._held_rows > PLAIN_CHUNKS * self._chunk_rows:
            self._create(self._chunk_rows * (TILE_SHARD_CHUNKS if self._tile_rows else SHARD_CHUNKS))
        if self._array is not None and self._held_rows >= self._unit:
            self._write(self._held_rows // self._unit * self._unit)

    def finish(self, like: Array) -> None:
        """Write what is held; `like` gives dtype and trailing shape where there was no row."""
        if not self.rows:
            self.append(like[:0])
        if self._array is None:
            self._create(None, rows=self._held_rows)
        self._write(self._held_rows)

    def _create(self, shard_rows: int | None, *, rows: int = 0) -> None:
        sample = self._held[0]
        trailing = sample.shape[1:]
        self._unit = shard_rows or self._chunk_rows
        self._array = self._group.create_array(
            self._name,
            shape=(rows, *trailing),
            dtype=sample.dtype,
            chunks=(self._chunk_rows, *trailing),
            shards=(shard_rows, *trailing) if shard_rows else None,
            compressors=tile_compressors() if self._tile_rows else array_compressors(),
            fill_value=0,
            config={"write_empty_chunks": True},
        )
        self._written = 0

    def _write(self, rows: int) -> None:
        held = np.concatenate(self._held) if len(self._held) > 1 else self._held[0]
        self._held, self._held_rows = [held[rows:]], len(held) - rows
        if rows:
            stop = self._written + rows
            if stop > self._array.shape[0]:
                self._array.resize((stop, *held.shape[1:]))
            self._array[self._written : stop] = held[:rows]
            self._written = stop


def chunk_rows(rows: Array) -> int:
    """Rows of a chunk of about `CHUNK_BYTES`: a power of two."""
    row_bytes = max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))
    return 1 << max(0, int(math.log2(max(1, CHUNK_BYTES / row_bytes))))
